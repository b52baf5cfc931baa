//! The caller's terminal. Of the process groups of a session one is in the foreground: it alone may read, and gets
//! what the keys send. A command that makes itself that group cannot give it back, as the group of before has no
//! number in its PID namespace. And a command that stops itself is to hand the terminal to the caller's shell, as
//! it would without a sandbox: so the caller's child stops with it.

use std::{
    fs::{File, read_link},
    os::unix::fs::OpenOptionsExt,
};

use nix::{
    errno::Errno,
    sys::signal::{SigSet, SigmaskHow, Signal, kill, killpg},
    unistd::{Pid, getpgrp, getpid, tcgetpgrp, tcsetpgrp},
};

use super::Signals;

/// The terminal that controls this process's session.
#[derive(Debug)]
pub struct Terminal {
    file: File,
    /// This process's group.
    own: Pid,
    /// Which group was in the foreground at the start.
    before: Pid,
}

impl Terminal {
    /// The caller's, where there is one.
    pub fn of_caller() -> Option<Self> {
        let mut options = File::options();
        let file =
            options.read(true).write(true).custom_flags(libc::O_NOCTTY).open("/dev/tty").ok()?;
        let before = tcgetpgrp(&file).ok()?;
        Some(Self { file, own: getpgrp(), before })
    }

    /// Gives it back to the group that had it at the start, or to our own, where the one that has it now is
    /// no more. One that lives has come by it with the will of the caller's shell.
    pub fn give_back(&self) {
        let now = self.foreground();
        if now != self.own && !is_alive(now) {
            self.set(if is_alive(self.before) { self.before } else { self.own });
        }
    }

    /// Stops this process until its caller lets it go on, the terminal given back meanwhile. False when
    /// nothing stopped: the caller ignores such signals, or nobody is there who would let us go on.
    pub fn stand_still(&self, signals: &Signals) -> bool {
        let now = self.foreground();
        let lent = (now != self.own && is_inside(now)).then_some(now);
        if lent.is_some() {
            self.set(self.own);
        }
        // To a thread that does not block it, which this is: the process stops before the call returns.
        let is_sent = kill(getpid(), Signal::SIGTSTP).is_ok();
        // Blocked, so it is still there if it came.
        let has_stopped = is_sent && signals.has_arrived();
        if let Some(group) = lent
            && (!has_stopped || self.foreground() == self.own)
        {
            self.set(group);
        }
        has_stopped
    }

    /// 0 where it is none that we see.
    fn foreground(&self) -> Pid {
        tcgetpgrp(&self.file).unwrap_or(Pid::from_raw(0))
    }

    fn set(&self, group: Pid) {
        // Who is not in the foreground is stopped for trying, unless it blocks the signal (tcsetpgrp(3)).
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTTOU);
        let Ok(before) = mask.thread_swap_mask(SigmaskHow::SIG_BLOCK) else { return };
        if let Err(errno) = tcsetpgrp(&self.file, group) {
            tracing::debug!(%errno, "the terminal could not be given back");
        }
        let _ = before.thread_set_mask();
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn is_alive(group: Pid) -> bool {
    group.as_raw() > 1 && killpg(group, None) != Err(Errno::ESRCH)
}

/// Whether the group's first process is in another PID namespace than this one.
fn is_inside(group: Pid) -> bool {
    let namespace = |process: &str| read_link(format!("/proc/{process}/ns/pid")).ok();
    let its = namespace(&group.to_string());
    its.is_some() && its != namespace("self")
}
