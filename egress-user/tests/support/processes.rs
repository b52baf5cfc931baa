//! What other processes do, and waiting for it.
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::command::Running;
use super::tools::slowness;

/// How long a condition may take to come true; so many times longer where all is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `condition` holds; fails with `what` when it does not come.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl Fn() -> bool) {
    let patience = PATIENCE * slowness();
    let deadline = Instant::now() + patience;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {patience:?}");
        // Nothing tells of the changes that this waits for, so it looks again and again.
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The worker of a run: the child of the process that its caller knows.
pub(crate) fn worker_of(run: Pid) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{run}/task/{run}/children")).ok()?;
    let ids = children.split_whitespace().filter_map(|id| id.parse().ok());
    ids.into_iter().find(|id| value(*id, "Uid:").starts_with("2120"))
}

/// A line of a process's status, its first word.
fn value(process: i32, key: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_default().to_owned()
}

impl Running<'_> {
    /// The process that reads what the program sends: the worker, where the program is filtered.
    pub(crate) fn reader(&self) -> Pid {
        worker_of(self.pid()).map_or(self.pid(), Pid::from_raw)
    }

    /// Lets what [`Running::stop`] has stopped go on.
    pub(crate) fn go_on(&self) {
        for id in [self.reader(), self.pid()] {
            kill(id, Signal::SIGCONT).expect("let it go on");
        }
    }
}

/// Ids of living processes with `word` among their arguments; zombies have none.
pub(crate) fn with_argument(word: &str) -> Vec<i32> {
    let processes = std::fs::read_dir("/proc").expect("read /proc");
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    ids.filter(|id: &i32| {
        let arguments = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        arguments.split(|byte| *byte == 0).any(|argument| argument == word.as_bytes())
    })
    .collect()
}

/// Kills, at the end of a test, the processes that should have been dead long before.
pub(crate) struct Reaper {
    /// A word that only this test's own processes have among their arguments.
    pub(crate) token: String,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        for id in with_argument(&self.token) {
            kill(Pid::from_raw(id), Signal::SIGKILL).ok();
        }
    }
}

/// A thread, as /proc/PID/task/TID/status has it.
#[derive(Debug)]
pub(crate) struct Task {
    /// Of the process.
    pub(crate) process: i32,
    /// What it calls itself.
    pub(crate) name: String,
    status: String,
}

impl Task {
    /// What stands behind a key, as text.
    #[track_caller]
    pub(crate) fn field(&self, key: &str) -> &str {
        let line = self.status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {key} in {self:?}")).trim()
    }

    /// A set of capabilities: `CapEff` and its like.
    #[track_caller]
    pub(crate) fn capabilities(&self, key: &str) -> u64 {
        u64::from_str_radix(self.field(key), 16).expect("a set in hexadecimal")
    }
}

/// The threads of a process that live now.
pub(crate) fn tasks_of(process: i32) -> Vec<Task> {
    // One that has ended meanwhile has none.
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten();
    tasks
        .filter_map(|task| {
            let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
            let name = status.lines().find_map(|line| line.strip_prefix("Name:\t"))?.to_owned();
            Some(Task { process, name, status })
        })
        .collect()
}
