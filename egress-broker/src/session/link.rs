//! The broker's end of the socket to its worker.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use nix::sys::{
    socket::{setsockopt, sockopt::SendTimeout},
    time::TimeVal,
};

use super::{SessionError, error::failed};
use crate::{
    message::{Ask, SIZE, Tell, decode, encode},
    sys::link::{Arrived, receive, send},
};

/// How long a worker may leave unread what it is told. A thread of its own reads it, and does nothing else.
const READ_WITHIN: Duration = Duration::from_secs(5);

pub(super) struct Link {
    socket: Arc<OwnedFd>,
}

/// Tells a worker something from another thread.
pub(super) struct Teller {
    socket: Arc<OwnedFd>,
}

impl Teller {
    /// Where the worker is gone, nobody is to be told.
    pub(super) fn tell(&self, tell: &Tell, descriptors: &[BorrowedFd<'_>]) {
        let _ = send(self.socket.as_fd(), &encode(tell), descriptors);
    }
}

impl Link {
    /// # Errors
    /// When there can be no time-out.
    pub(super) fn new(socket: OwnedFd) -> io::Result<Self> {
        let seconds = i64::try_from(READ_WITHIN.as_secs()).map_err(io::Error::other)?;
        setsockopt(&socket, SendTimeout, &TimeVal::new(seconds, 0))?;
        Ok(Self { socket: Arc::new(socket) })
    }

    pub(super) fn teller(&self) -> Teller {
        Teller { socket: self.socket.clone() }
    }

    pub(super) fn tell(&mut self, tell: &Tell) -> io::Result<()> {
        send(self.socket.as_fd(), &encode(tell), &[])
    }

    pub(super) fn give(
        &mut self,
        tell: &Tell,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SessionError> {
        let sent = send(self.socket.as_fd(), &encode(tell), descriptors);
        sent.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => SessionError::WorkerDied(String::new()),
            io::ErrorKind::WouldBlock => SessionError::Misbehaved("did not read what it was told"),
            _ => failed("hand the sandbox to the process that serves it")(error),
        })
    }

    /// Waits for what the worker asks, with the descriptors that it sends along.
    ///
    /// # Errors
    /// [`SessionError::WorkerDied`], and [`SessionError::Misbehaved`] for anything but a record.
    pub(super) fn asked(&mut self) -> Result<(Ask, Vec<OwnedFd>), SessionError> {
        let mut record = [0; SIZE];
        let arrived = receive(self.socket.as_fd(), &mut record);
        let Arrived { length, descriptors, is_cut } = match arrived {
            Ok(arrived) => arrived,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(SessionError::WorkerDied(String::new()));
            }
            Err(error) => return Err(failed("read what is asked")(error)),
        };
        if length == 0 && descriptors.is_empty() {
            return Err(SessionError::WorkerDied(String::new()));
        }
        let known = record.get(..length).filter(|_| !is_cut).and_then(decode);
        let ask = known.ok_or(SessionError::Misbehaved("sent what is no request"))?;
        Ok((ask, descriptors))
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
