//! What can go wrong between the object and the kernel, with what to do about it.

use std::{io, path::PathBuf};

use aya::{EbpfError, maps::MapError, programs::ProgramError};
use egress_common::abi;

/// Why the kernel side could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// The object as a whole.
    #[error("load egress's kernel object")]
    Object(#[source] Box<EbpfError>),
    /// One program.
    #[error("load the program {program}, which enforces {enforces}")]
    Load {
        /// Its name.
        program: &'static str,
        /// What it is for.
        enforces: &'static str,
        /// What the kernel said.
        #[source]
        source: Box<Rejected>,
    },
    /// The object lacks a program of the table: object and binary do not belong together.
    #[error("the kernel object has no program {program}; rebuild it with `cargo xtask build-ebpf`")]
    Missing {
        /// Its name.
        program: &'static str,
    },
    /// Attaching.
    #[error("attach {program} to the cgroup {}", cgroup.display())]
    Attach {
        /// Program.
        program: &'static str,
        /// Cgroup directory.
        cgroup: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Pinning.
    #[error("pin the link of {program} at {}", path.display())]
    Pin {
        /// Program.
        program: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A map of the object.
    #[error("use the map {map}")]
    Map {
        /// Its name.
        map: &'static str,
        /// Why.
        #[source]
        source: Box<MapError>,
    },
    /// An address set of the policy does not fit the kernel's map.
    #[error("the policy's addresses do not fit the kernel's map of {}", abi::capacity::ADDRESSES)]
    PolicyTooLarge,
    /// One object has as many as it was loaded for.
    #[error("there are as many sandboxes already as the kernel side has room for")]
    TooManySandboxes,
    /// What was to be written of a sandbox came too late.
    #[error("the sandbox has ended")]
    SandboxEnded,
    /// A system call of the set-up.
    #[error("{what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl KernelError {
    /// Whether the kernel does not let this process load anything, whatever it is.
    pub fn is_not_permitted(&self) -> bool {
        match self {
            Self::Object(error) => match &**error {
                EbpfError::MapError(MapError::CreateError { io_error, .. }) => {
                    io_error.raw_os_error() == Some(libc::EPERM)
                }
                _ => false,
            },
            Self::Load { source, .. } => matches!(**source, Rejected::NotPermitted),
            _ => false,
        }
    }
}

/// What the kernel said of a program, without the hundreds of lines of the verifier's log.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// A right is missing.
    #[error("not permitted")]
    NotPermitted,
    /// The verifier did not accept it.
    #[error(
        "the kernel's verifier refused it: {0}; please report this with the output of `uname -a`"
    )]
    Verifier(String),
    /// Something else.
    #[error(transparent)]
    Other(ProgramError),
}

impl From<ProgramError> for Rejected {
    fn from(error: ProgramError) -> Self {
        let ProgramError::LoadError { io_error, verifier_log } = &error else {
            return Self::Other(error);
        };
        if io_error.raw_os_error() == Some(libc::EPERM) {
            return Self::NotPermitted;
        }
        let log = verifier_log.to_string();
        tracing::debug!(%log, "verifier");
        // The last lines are statistics; the line before them says what was wrong.
        let statistics = ["processed ", "verification time", "stack depth", "mark_read"];
        let said = log
            .lines()
            .rev()
            .find(|line| !line.is_empty() && !statistics.iter().any(|word| line.starts_with(word)));
        Self::Verifier(format!("{io_error}: {}", said.unwrap_or("no reason given")))
    }
}
