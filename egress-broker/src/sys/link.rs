//! A socket of records between two processes, with descriptors sent along (unix(7), SCM_RIGHTS).

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
        sendmsg, socketpair,
    },
};

/// Most descriptors of one record: the kernel takes 253 (SCM_MAX_FD).
pub const MOST: usize = 250;

/// Both ends of one, close-on-exec.
///
/// # Errors
/// What socketpair gives.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let (kind, flags) = (SockType::SeqPacket, SockFlag::SOCK_CLOEXEC);
    Ok(socketpair(AddressFamily::Unix, kind, None, flags)?)
}

/// Sends a record; the receiver gets descriptors of its own. Never kills by SIGPIPE.
///
/// # Errors
/// EPIPE when the other end is gone.
pub fn send(to: BorrowedFd<'_>, record: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    send_with(MsgFlags::empty(), to, record, descriptors)
}

/// The same without waiting for room.
///
/// # Errors
/// EAGAIN when the other end has too much to read.
pub fn send_now(to: BorrowedFd<'_>, record: &[u8]) -> io::Result<()> {
    send_with(MsgFlags::MSG_DONTWAIT, to, record, &[])
}

fn send_with(
    flags: MsgFlags,
    to: BorrowedFd<'_>,
    record: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control: &[_] = if numbers.is_empty() { &[] } else { &rights };
    let parts = [IoSlice::new(record)];
    let sent = loop {
        match sendmsg::<()>(to.as_raw_fd(), &parts, control, flags, None) {
            Err(nix::Error::EINTR) => {}
            sent => break sent?,
        }
    };
    if sent == record.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// A record that has arrived.
#[derive(Debug)]
pub struct Arrived {
    /// How many bytes; 0 when the other end is gone. More than there was room for never pass for fewer.
    pub length: usize,
    /// What was sent along, close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// Whether something of it had no room.
    pub is_cut: bool,
}

/// Waits for a record and reads it.
///
/// # Errors
/// What recvmsg gives.
pub fn receive(from: BorrowedFd<'_>, record: &mut [u8]) -> io::Result<Arrived> {
    let mut control = cmsg_space!([RawFd; MOST]);
    let mut parts = [IoSliceMut::new(record)];
    let message = loop {
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        match recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut control), flags) {
            Err(nix::Error::EINTR) => {}
            message => break message?,
        }
    };
    let mut descriptors = Vec::new();
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel has just made them for this process, and nobody has them yet.
            descriptors.extend(numbers.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    let is_cut = message.flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC);
    Ok(Arrived { length: message.bytes, descriptors, is_cut })
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn records_arrive_whole_with_their_descriptors() {
        let (here, there) = pair().unwrap();
        send(here.as_fd(), &[1; 40], &[here.as_fd(), there.as_fd()]).unwrap();
        send(here.as_fd(), &[2; 41], &[]).unwrap();
        let mut record = [0; 40];
        let first = receive(there.as_fd(), &mut record).unwrap();
        assert_eq!((first.length, first.descriptors.len(), first.is_cut), (40, 2, false));
        drop(first);
        let second = receive(there.as_fd(), &mut record).unwrap();
        assert!(second.is_cut, "longer than there is room for");
        drop(here);
        assert_eq!(receive(there.as_fd(), &mut record).unwrap().length, 0);
        assert_eq!(send(there.as_fd(), &[1], &[]).unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
