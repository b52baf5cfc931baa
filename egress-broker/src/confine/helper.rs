//! Threads that have a right of their own and do one thing with it, for those that have none.

use std::{
    io,
    sync::{
        OnceLock,
        mpsc::{self, Sender},
    },
    thread,
};

use super::{Role, enter};

type Job = Box<dyn FnOnce() + Send>;

/// Reads the system's resolver configuration.
pub static FILES: Helper = Helper::new("egress-files", Role::Files);

/// Starts the threads that end sockets, which have its rights.
pub static ENDERS: Helper = Helper::new("egress-enders", Role::Ender);

/// Starts the threads that look into the programs' sockets, which have its rights.
pub static SOCKETS: Helper = Helper::new("egress-sockets", Role::Sockets);

/// One such thread.
pub struct Helper {
    name: &'static str,
    role: Role,
    jobs: OnceLock<Sender<Job>>,
}

impl Helper {
    const fn new(name: &'static str, role: Role) -> Self {
        Self { name, role, jobs: OnceLock::new() }
    }

    /// Starts it, the first time.
    pub(super) fn start(&'static self) -> io::Result<()> {
        if self.jobs.get().is_some() {
            return Ok(());
        }
        let (sender, jobs) = mpsc::channel::<Job>();
        let (tell, told) = mpsc::channel();
        let work = move || {
            let entered = enter(self.role);
            let is_confined = entered.is_ok();
            if tell.send(entered).is_ok() && is_confined {
                jobs.iter().for_each(|job| job());
            }
        };
        thread::Builder::new().name(self.name.to_owned()).spawn(work)?;
        told.recv().map_err(io::Error::other)??;
        // Where another was quicker, this one ends.
        self.jobs.get_or_init(|| sender);
        Ok(())
    }

    /// Has it do something, and waits until that is done. Where it was not started nobody has given up a right, and the
    /// caller does it itself.
    ///
    /// # Errors
    /// When the thread is gone.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let Some(jobs) = self.jobs.get() else { return Ok(job()) };
        let (tell, told) = mpsc::sync_channel(1);
        let job = move || {
            // Nobody waits any more.
            let _ = tell.send(job());
        };
        jobs.send(Box::new(job)).map_err(|_| gone())?;
        told.recv().map_err(|_| gone())
    }
}

fn gone() -> io::Error {
    io::Error::other("the thread that has the right for it has ended")
}
