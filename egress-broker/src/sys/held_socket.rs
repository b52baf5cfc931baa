//! A socket of another process, by a descriptor of our own (pidfd_getfd(2), Linux 5.6): to have TCP send what it holds,
//! and to read what it holds and has not tried to send.

use std::{
    fs,
    io::{self, IoSliceMut},
    os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};

// linux/tcp.h, linux/sockios.h.
const TCP_REPAIR_ON: libc::c_int = 1;
const TCP_REPAIR_OFF_NO_WP: libc::c_int = -1;
const TCP_SEND_QUEUE: libc::c_int = 2;
/// How many bytes TCP has not sent.
pub const SIOCOUTQNSD: libc::Ioctl = 0x894b;

/// Where a socket was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pid: i32,
    number: RawFd,
}

/// Another process's TCP socket. While this lives the socket does, so it is not kept.
#[derive(Debug)]
pub struct HeldSocket {
    socket: OwnedFd,
    place: Place,
}

impl HeldSocket {
    /// The socket with this cookie, where it was found before.
    ///
    /// # Errors
    /// As [`HeldSocket::find`].
    pub fn at(place: Place, cookie: u64) -> io::Result<Self> {
        let process = pidfd_open(place.pid)?;
        let socket = pidfd_getfd(&process, place.number)?;
        if socket_cookie(&socket)? != cookie {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(Self { socket, place })
    }

    /// The socket with this cookie, in one process. What else is met on the way is told to `met`.
    ///
    /// # Errors
    /// NotFound where it does not have it; EPERM without the rights of a debugger (CAP_SYS_PTRACE) over it.
    pub fn find(pid: i32, cookie: u64, mut met: impl FnMut(u64, Place)) -> io::Result<Self> {
        let process = pidfd_open(pid)?;
        let directory = format!("/proc/{pid}/fd");
        let is_socket = |number: &RawFd| {
            let target = fs::read_link(format!("{directory}/{number}"));
            target.is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
        };
        let entries = fs::read_dir(&directory)?.flatten();
        let mut numbers: Vec<RawFd> =
            entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
        // What is connecting is among the newest, and the newest have the highest numbers.
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        for number in numbers.into_iter().filter(is_socket) {
            // Closed since, or no socket of this family: not the one.
            let Ok(socket) = pidfd_getfd(&process, number) else { continue };
            let place = Place { pid, number };
            match socket_cookie(&socket) {
                Ok(found) if found == cookie => return Ok(Self { socket, place }),
                Ok(other) => met(other, place),
                Err(_) => {}
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Has TCP send what it holds. A socket that is corked stays so, and is left to its own timer.
    ///
    /// # Errors
    /// What setsockopt(2) gives.
    pub fn push(&self) -> io::Result<()> {
        // Uncorking pushes, and changes nothing where nothing is corked.
        match self.option(libc::IPPROTO_TCP, libc::TCP_CORK)? {
            0 => self.set(libc::IPPROTO_TCP, libc::TCP_CORK, 0),
            _ => Ok(()),
        }
    }

    /// TCP_USER_TIMEOUT in milliseconds; 0: none.
    ///
    /// # Errors
    /// What getsockopt(2) gives.
    pub fn user_timeout(&self) -> io::Result<u32> {
        let value = self.option(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT)?;
        u32::try_from(value).map_err(io::Error::other)
    }

    /// Sets it.
    ///
    /// # Errors
    /// What setsockopt(2) gives.
    pub fn set_user_timeout(&self, milliseconds: u32) -> io::Result<()> {
        let value = libc::c_int::try_from(milliseconds).map_err(io::Error::other)?;
        self.set(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, value)
    }

    /// How many bytes TCP has not sent; the end of the stream counts as one.
    ///
    /// # Errors
    /// When it is not connected.
    pub fn unsent(&self) -> io::Result<usize> {
        let mut bytes: libc::c_int = 0;
        // SAFETY: the kernel writes one int.
        let result = unsafe { libc::ioctl(self.socket.as_raw_fd(), SIOCOUTQNSD, &raw mut bytes) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(usize::try_from(bytes).unwrap_or(0))
    }

    /// What TCP holds: what the peer has not acknowledged, and behind it what was not sent. In repair mode (Linux 3.5),
    /// for the few microseconds that this takes: what the program calls on the socket meanwhile waits for its lock, or
    /// fails where it comes between two of these calls.
    ///
    /// # Errors
    /// EPERM without CAP_NET_ADMIN; where there are more than `most` bytes.
    pub fn queue(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        self.set(libc::IPPROTO_TCP, libc::TCP_REPAIR, TCP_REPAIR_ON)?;
        let read = self.peek(&mut bytes);
        // Whatever came of it.
        self.set(libc::IPPROTO_TCP, libc::TCP_REPAIR, TCP_REPAIR_OFF_NO_WP)?;
        bytes.truncate(read?);
        Ok(bytes)
    }

    fn peek(&self, bytes: &mut [u8]) -> io::Result<usize> {
        self.set(libc::IPPROTO_TCP, libc::TCP_REPAIR_QUEUE, TCP_SEND_QUEUE)?;
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let mut parts = [IoSliceMut::new(bytes)];
        let read = recvmsg::<()>(self.socket.as_raw_fd(), &mut parts, None, flags)?;
        debug_assert_eq!(
            read.cmsgs().ok().and_then(|mut all| all.next()),
            None::<ControlMessageOwned>
        );
        Ok(read.bytes)
    }

    fn set(&self, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
        let length = libc::socklen_t::try_from(size_of_val(&value)).map_err(io::Error::other)?;
        // SAFETY: the kernel reads an int of the given length, which lives.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                level,
                name,
                (&raw const value).cast(),
                length,
            )
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn option(&self, level: libc::c_int, name: libc::c_int) -> io::Result<libc::c_int> {
        option(&self.socket, level, name)
    }
}

fn option<T: Default>(socket: &OwnedFd, level: libc::c_int, name: libc::c_int) -> io::Result<T> {
    let mut value = T::default();
    let mut length = libc::socklen_t::try_from(size_of::<T>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most as many bytes as the value has; asked for here are integers alone.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, (&raw mut value).cast(), &raw mut length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(value) }
}

fn socket_cookie(socket: &OwnedFd) -> io::Result<u64> {
    option(socket, libc::SOL_SOCKET, libc::SO_COOKIE)
}

pub(super) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

fn pidfd_getfd(process: &OwnedFd, number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: takes no pointer.
    descriptor(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), number, 0) })
}

fn descriptor(result: libc::c_long) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let number = RawFd::try_from(result).map_err(io::Error::other)?;
    // SAFETY: the kernel has just opened it for us, close-on-exec.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
