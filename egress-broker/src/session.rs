//! One sandbox, from the order to its end: everything that needs rights, for a worker that has none.

mod error;
mod life;
mod link;
mod prepare;

use std::time::Duration;

use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

pub use self::error::SessionError;
use self::{link::Link, prepare::Made};
use crate::{
    host::Cgroup,
    kernel::Attached,
    message::{Tell, What},
    order::Order,
    sys::process::ends_within,
};

/// How long a worker that has told all may take to end; then it is killed.
const ENDS_WITHIN: Duration = Duration::from_secs(5);

/// The process that reads what others wrote: a child of this one, without rights.
struct Worker {
    id: Pid,
    /// How it ended, once that is known.
    ended: Option<String>,
}

impl Worker {
    /// Kills it, where it has not ended by itself, and tells how it did.
    fn end(&mut self) -> String {
        let flags = Some(WaitPidFlag::WNOHANG);
        let mut status = waitpid(self.id, flags);
        if self.ended.is_none() && status == Ok(WaitStatus::StillAlive) {
            let _ = kill(self.id, Signal::SIGKILL);
            status = waitpid(self.id, None);
        }
        self.ended.get_or_insert_with(|| how(status)).clone()
    }

    /// Waits for it, which has told that it ends, and does not take its word for it.
    fn wait(&mut self) {
        if self.ended.is_none() {
            ends_within(self.id, ENDS_WITHIN);
            self.end();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

fn how(status: nix::Result<WaitStatus>) -> String {
    match status {
        Ok(WaitStatus::Signaled(_, signal, _)) => format!(" by {signal}"),
        Ok(WaitStatus::Exited(_, code)) => format!(" with exit code {code}"),
        _ => String::new(),
    }
}

/// A sandbox that has a worker. The order of the fields is that in which they go.
struct Session {
    link: Link,
    worker: Worker,
    order: Order,
    made: Made,
}

/// The cgroup and the programs at it, which on every way out, an error's too, go in this order: nothing may be left to
/// run when the programs go.
struct Placed {
    cgroup: Cgroup,
    attached: Attached,
    is_removed: bool,
}

impl Placed {
    /// Kills and removes what is left; false when something does not die, which stays filtered.
    fn remove(&mut self) -> bool {
        if std::mem::replace(&mut self.is_removed, true) {
            return true;
        }
        let is_empty = self.cgroup.remove();
        if !is_empty {
            self.attached.leave();
        }
        is_empty
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Runs the sandbox of an order for the worker behind this socket, and gives the exit code of the run.
///
/// # Errors
/// Why there is nothing more of it: everything in it has ended then, and the worker.
pub fn run(order: Order, link: std::os::fd::OwnedFd) -> Result<u8, SessionError> {
    let mut worker = Worker { id: Pid::from_raw(order.worker), ended: None };
    let mut link = Link::new(link).map_err(error::failed("make ready to hear the worker"))?;
    let made = match prepare::make(&order, &mut link) {
        Ok(made) => made,
        Err(error) => {
            // It ends without a word: what there is to say is said here.
            if link.tell(&Tell::Gone).is_ok() {
                worker.wait();
            }
            return Err(with_how(error, worker.end()));
        }
    };
    let mut session = Session { link, worker, order, made };
    let ended = session.live();
    if let Err(error) = &ended {
        // First of all: nothing is to run on while this is told.
        session.made.place.remove();
        match error {
            SessionError::WorkerDied(_) | SessionError::Misbehaved(_) => {}
            _ if session.link.tell(&Tell::Gone).is_ok() => session.worker.wait(),
            _ => {}
        }
    }
    let how = session.worker.end();
    ended.map_err(|error| with_how(error, how))
}

fn with_how(error: SessionError, how: String) -> SessionError {
    match error {
        SessionError::WorkerDied(_) => SessionError::WorkerDied(how),
        error => error,
    }
}

/// What a worker may ask at that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Its sandbox is made; the path is to be proved.
    Proving,
    /// It is proved; the command is to start.
    Starting,
    /// The command runs.
    Running,
    /// It has ended; what it wrote is delivered.
    Delivering,
    /// All is over but for the account of it.
    Ending,
}

impl Stage {
    /// Whether `what` is asked for now. What is about sockets and files may come at any time.
    fn takes(self, what: &What) -> bool {
        match what {
            What::End(_) | What::EndConnection(_) | What::Settle | What::MayWrite => true,
            What::Look { .. } | What::Push { .. } | What::PushOn(_) | What::Forget(_) => true,
            What::Probe => self == Self::Proving,
            What::Start => self == Self::Starting,
            What::Failed => matches!(self, Self::Proving | Self::Starting),
            What::Drained => self == Self::Delivering,
            What::Finished { .. } => self == Self::Ending,
        }
    }
}
