//! Ends sockets from outside (sock_diag(7), SOCK_DESTROY): the program gets ECONNABORTED at once, where
//! a dropped packet would leave it waiting.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use egress_common::{Address, event::Unverified};
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, NetlinkAddr, recv, sendto},
};

use super::{
    Connected,
    sock_diag::{self, NLMSG_ERROR, request_of, socket_of},
};
use crate::sys;

// linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h.
const SOCK_DESTROY: u16 = 21;
const NLM_F_REQUEST_ACK: u16 = 1 | 4;

/// Sockets of the network namespace in which it was opened.
#[derive(Debug)]
pub struct Destroyer {
    socket: OwnedFd,
}

impl Destroyer {
    /// Makes sure that the kernel can do it.
    ///
    /// # Errors
    /// When it cannot (`CONFIG_INET_DIAG_DESTROY`), or the rights (CAP_NET_ADMIN) are missing.
    pub fn open() -> io::Result<Self> {
        let socket = sock_diag::open()?;
        let destroyer = Self { socket };
        // Nobody's: port 0 is nothing that a connection could have.
        let nobody = (Address::LOOPBACK4, 0);
        match destroyer.destroy(nobody, nobody, 0) {
            Ok(()) => Ok(destroyer),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(destroyer),
            Err(error) => Err(error),
        }
    }

    /// Ends a connection of which no payload has left. Waits for whoever uses the socket: a program
    /// can make that last as long as it lives (`send` from memory that it does not provide).
    ///
    /// # Errors
    /// ENOENT when it has ended by itself. Before Linux 6.12 sockets that no process has any more
    /// are left as they are.
    pub fn end(&self, cookie: u64, connection: &Unverified) -> io::Result<()> {
        let source = (connection.source, connection.source_port);
        self.destroy(source, (connection.destination, connection.destination_port), cookie)
    }

    /// Ends any connection.
    ///
    /// # Errors
    /// As [`Destroyer::end`].
    pub fn end_connection(&self, connection: &Connected) -> io::Result<()> {
        let Connected { source, destination, cookie } = connection;
        let key = |at: &SocketAddr| (Address::from(at.ip()), at.port());
        self.destroy(key(source), key(destination), *cookie)
    }

    /// Cookie of the network namespace whose sockets these are.
    pub(super) fn netns(&self) -> io::Result<u64> {
        sys::sockets::netns_cookie(self.socket.as_fd())
    }

    fn destroy(
        &self,
        source: (Address, u16),
        destination: (Address, u16),
        cookie: u64,
    ) -> io::Result<()> {
        let request = request(source, destination, cookie);
        sendto(self.socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 256];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        match error_of(answer.get(..length).unwrap_or_default()) {
            Some(0) => Ok(()),
            Some(error) => Err(Errno::from_raw(-error).into()),
            None => Err(io::Error::other("an answer of another kind")),
        }
    }
}

fn request(source: (Address, u16), destination: (Address, u16), cookie: u64) -> Vec<u8> {
    let (family, socket) = socket_of(source, destination, cookie);
    // Every state.
    request_of(SOCK_DESTROY, NLM_F_REQUEST_ACK, family, u32::MAX, &socket)
}

/// The error of an acknowledgement, as a negative errno.
fn error_of(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(*answer.get(4..)?.first_chunk()?);
    (kind == NLMSG_ERROR).then_some(())?;
    Some(i32::from_ne_bytes(*answer.get(16..)?.first_chunk()?))
}
