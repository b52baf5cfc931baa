//! The thread that starts every sandbox's init. The parent of a process is a thread: the signal that an init
//! asks for at its parent's death comes when the thread ends that made it (prctl(2), PR_SET_PDEATHSIG). This
//! one ends with the process.

use std::{
    io,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Sender, SyncSender},
    },
};

use crate::sys::{
    process::heed_children,
    spawn::{Child, Execution, spawn},
};

/// What to start, and whom to tell.
struct Job {
    execution: Execution,
    answer: SyncSender<io::Result<Child>>,
}

static JOBS: Mutex<Option<Sender<Job>>> = Mutex::new(None);

/// Starts a process, from any thread.
///
/// # Errors
/// What the start gives.
pub(super) fn launch(execution: Execution) -> io::Result<Child> {
    let (answer, answered) = mpsc::sync_channel(1);
    jobs()?.send(Job { execution, answer }).map_err(io::Error::other)?;
    answered.recv().map_err(io::Error::other)?
}

/// Where the thread takes its jobs from; started at the first.
fn jobs() -> io::Result<Sender<Job>> {
    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(jobs) = &*jobs {
        return Ok(jobs.clone());
    }
    heed_children()?;
    let (sender, receiver) = mpsc::channel::<Job>();
    let work = move || {
        for Job { execution, answer } in receiver {
            // Nobody waits any more: the init will find its socket closed, and end.
            let _ = answer.send(spawn(&execution));
        }
    };
    std::thread::Builder::new().name("egress-launcher".to_owned()).spawn(work)?;
    Ok(jobs.insert(sender).clone())
}
