//! Why a session ends before its command, or instead of it.

use std::io;

use crate::{
    host::{Barred, CgroupError, HostError, ListenError},
    kernel::KernelError,
    launch::{InitError, StdioError, exit},
};

/// Why there is nothing more of a sandbox; everything in it has ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The machine lacks something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The kernel side cannot be put in place.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// Nothing may be loaded, whatever it is.
    #[error("{barred}")]
    NotPermitted {
        /// By what, as far as it is known.
        barred: Barred,
        /// What was tried.
        #[source]
        source: KernelError,
    },
    /// Its cgroup.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// Its listeners.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its first process, or its command.
    #[error(transparent)]
    Init(#[from] InitError),
    /// What it would be handed.
    #[error(transparent)]
    Stdio(#[from] StdioError),
    /// Something else that the kernel refused.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The worker has told why it cannot serve.
    #[error("the sandbox could not be served")]
    Told,
    /// The worker is gone: nothing is looked up or passed on any more.
    #[error(
        "the process that serves the sandbox has died{0}: everything in the sandbox was ended, as nothing could be \
         looked up or reached any more"
    )]
    WorkerDied(String),
    /// The worker asked for what is not its own: somebody else has it in hand.
    #[error(
        "the process that serves the sandbox {0}, which it never does by itself: it got nothing, and it and everything \
         in the sandbox were ended; please report this (SECURITY.md)"
    )]
    Misbehaved(&'static str),
}

impl SessionError {
    /// Exit code of the run.
    pub fn code(&self) -> u8 {
        match self {
            Self::Init(InitError::Failed { code, .. }) => *code,
            _ => exit::NOT_STARTED,
        }
    }

    /// Whether there is something to be said that nobody has said yet.
    pub fn is_untold(&self) -> bool {
        !matches!(self, Self::Told)
    }
}

pub(super) fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SessionError {
    move |source| SessionError::System { what, source }
}
