//! Signals that are passed on to the command.
//!
//! A signal from the terminal reaches the command by itself, since it is in the same process
//! group; passing it on would deliver it twice. So only signals that a process sent are passed.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};

use crate::sys;

/// What `run` and the sandbox's init pass on.
const PASSED: [Signal; 6] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
];

/// Blocked signals, readable from a descriptor.
#[derive(Debug)]
pub struct Signals {
    descriptor: SignalFd,
}

/// What arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A child changed its state.
    Child,
    /// A process sent this; pass it on.
    Pass(Signal),
    /// The terminal sent it, to the command as well.
    Terminal,
    /// This process was stopped, and may go on.
    Continue,
}

impl Signals {
    /// Blocks the signals in this thread, and so in every thread made later.
    ///
    /// # Errors
    /// What signalfd gives.
    pub fn block() -> io::Result<Self> {
        let mut set = SigSet::from_iter(PASSED);
        set.add(Signal::SIGCONT);
        Self::block_all(set)
    }

    /// For the init: SIGCHLD too, and no others, whatever was blocked before.
    pub(super) fn block_with_children() -> io::Result<Self> {
        sys::process::heed_children()?;
        let mut set = SigSet::from_iter(PASSED);
        set.add(Signal::SIGCHLD);
        set.thread_set_mask()?;
        Self::block_all(set)
    }

    fn block_all(set: SigSet) -> io::Result<Self> {
        set.thread_block()?;
        Ok(Self { descriptor: SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC)? })
    }

    /// Whether one is there already.
    pub fn has_arrived(&self) -> bool {
        sys::descriptors::is_readable(self.descriptor.as_fd())
    }

    /// Waits for a signal.
    ///
    /// # Errors
    /// What read gives.
    pub fn wait(&self) -> io::Result<Arrived> {
        loop {
            let Some(signal) = self.descriptor.read_signal()? else { continue };
            let number = i32::try_from(signal.ssi_signo).unwrap_or(0);
            let Ok(name) = Signal::try_from(number) else { continue };
            return Ok(match name {
                Signal::SIGCHLD => Arrived::Child,
                Signal::SIGCONT => Arrived::Continue,
                // si_code above 0 comes from the kernel (the terminal), 0 and below from a process.
                _ if signal.ssi_code > 0 => Arrived::Terminal,
                passed => Arrived::Pass(passed),
            });
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}
