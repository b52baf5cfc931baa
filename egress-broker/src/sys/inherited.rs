//! What this process was started with and changes for itself, but is to hand on unchanged to the command that
//! it runs: read before anything of ours, or of the language's runtime, has run.

use std::{
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::{SigHandler, Signal, signal},
};

use super::spawn::set_mask;

/// As the caller of this process left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherited {
    /// Blocked signals, a bit each, signal 1 the lowest.
    mask: u64,
    /// Whether SIGPIPE is ignored: the runtime ignores it for this process.
    ignores_pipe: bool,
    /// Whether SIGCHLD is ignored; see [`super::process::heed_children`].
    ignores_children: bool,
    /// RLIMIT_NOFILE, the soft and the hard one: a sandbox's service raises it for this process.
    open_files: (u64, u64),
}

static MASK: AtomicU64 = AtomicU64::new(0);
static IGNORES_PIPE: AtomicBool = AtomicBool::new(false);
static IGNORES_CHILDREN: AtomicBool = AtomicBool::new(false);
static OPEN_FILES: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// Called by the loader before `main`, and so before the runtime.
#[used]
// SAFETY: the loader calls what the section has, functions of the C ABI; this one needs nothing of the runtime.
#[unsafe(link_section = ".init_array")]
static READ_AT_START: extern "C" fn() = read_at_start;

extern "C" fn read_at_start() {
    // Where one of these cannot be read the defaults stay, which is what most callers leave.
    if let Ok(mask) = mask() {
        MASK.store(mask, Ordering::Relaxed);
    }
    IGNORES_PIPE.store(is_ignored(libc::SIGPIPE), Ordering::Relaxed);
    IGNORES_CHILDREN.store(is_ignored(libc::SIGCHLD), Ordering::Relaxed);
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let [soft_at_start, hard_at_start] = &OPEN_FILES;
        soft_at_start.store(soft, Ordering::Relaxed);
        hard_at_start.store(hard, Ordering::Relaxed);
    }
}

impl Inherited {
    /// What this process was started with.
    pub fn of_this_process() -> Self {
        let [soft, hard] = &OPEN_FILES;
        Self {
            mask: MASK.load(Ordering::Relaxed),
            ignores_pipe: IGNORES_PIPE.load(Ordering::Relaxed),
            ignores_children: IGNORES_CHILDREN.load(Ordering::Relaxed),
            open_files: (soft.load(Ordering::Relaxed), hard.load(Ordering::Relaxed)),
        }
    }

    /// As numbers, for another process.
    pub fn numbers(&self) -> [u64; 5] {
        let Self { mask, ignores_pipe, ignores_children, open_files: (soft, hard) } = *self;
        [mask, ignores_pipe.into(), ignores_children.into(), soft, hard]
    }

    /// The counterpart of [`Self::numbers`].
    pub fn of_numbers([mask, pipe, children, soft, hard]: [u64; 5]) -> Self {
        let (ignores_pipe, ignores_children) = (pipe != 0, children != 0);
        Self { mask, ignores_pipe, ignores_children, open_files: (soft, hard) }
    }

    /// Gives it to this process, which is about to execute the command.
    ///
    /// # Errors
    /// What setrlimit, sigaction or sigprocmask gives.
    pub fn restore(&self) -> io::Result<()> {
        let (soft, hard) = self.open_files;
        // None was read, or it has been lowered from outside since: that holds for the command too.
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        if hard > 0 {
            setrlimit(Resource::RLIMIT_NOFILE, soft.min(most), hard.min(most))?;
        }
        set_ignored(Signal::SIGPIPE, self.ignores_pipe)?;
        set_ignored(Signal::SIGCHLD, self.ignores_children)?;
        set_mask(self.mask).map(drop)
    }
}

fn mask() -> io::Result<u64> {
    let now = set_mask(u64::MAX)?;
    set_mask(now)?;
    Ok(now)
}

fn is_ignored(signal: libc::c_int) -> bool {
    // SAFETY: nothing is set, and the record, for which zero is valid, is the kernel's to fill.
    unsafe {
        let mut now: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut now) == 0
            && now.sa_sigaction == libc::SIG_IGN
    }
}

fn set_ignored(which: Signal, ignored: bool) -> io::Result<()> {
    let handler = if ignored { SigHandler::SigIgn } else { SigHandler::SigDfl };
    // SAFETY: neither runs code of ours.
    unsafe { signal(which, handler) }.map(drop).map_err(io::Error::from)
}
