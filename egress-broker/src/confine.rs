//! What the threads that read foreign bytes may do: nothing that they do not need.
//!
//! A fault in a parser is a fault in such a thread. It has no capability, gains none by executing (which it cannot do),
//! makes the system calls of its list (module `calls`) and opens no file (module `files`). What needs a right has a
//! thread of its own for that one thing (module `helper`), which reads nothing that comes from a sandbox, a server or a
//! name server.
//!
//! Threads of one process share its memory: who can write there can make a thread with rights do things. What is here
//! keeps such a fault from the straight way, and makes the process that parses alone, once there is one, what it has to
//! be. docs/security-model.md has the whole table.

mod calls;
mod capabilities;
mod files;
mod helper;

use std::io;

use nix::sys::prctl;

pub(crate) use self::capabilities::hold;
pub use self::helper::{ENDERS, FILES, Helper, SOCKETS};
use crate::sys::allowlist;

/// What a thread is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads what sandboxes, servers and name servers send, and connects to servers.
    Reader,
    /// Ends sockets that the kernel side has refused (SOCK_DESTROY).
    Ender,
    /// Reads the system's resolver configuration again.
    Files,
    /// Takes descriptors of the programs' sockets, to push what they hold and to read it.
    Sockets,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Reader, Self::Ender, Self::Files, Self::Sockets];
}

/// Confines the calling thread, and whatever it starts, for good. Does nothing where a thread inherits it from the one
/// that has started it.
///
/// # Errors
/// What could not be taken; the thread may read nothing then.
pub fn enter(role: Role) -> io::Result<()> {
    if allowlist::is_installed() {
        return Ok(());
    }
    // Before the rights to ask for it go.
    let rules = calls::of(role);
    capabilities::keep(role)?;
    prctl::set_no_new_privs()?;
    files::close(role)?;
    allowlist::install(&rules)?;
    match allowlist::is_installed() {
        true => Ok(()),
        false => Err(io::Error::other("the filter of system calls is not in force")),
    }
}

/// Confines a thread of the runtime that is about to start, and tells how that went. One that nobody waits for any more
/// ends the process instead of reading without.
pub fn enter_or_tell(role: Role, tell: &std::sync::mpsc::Sender<io::Result<()>>) {
    let entered = enter(role);
    let has_failed = entered.is_err();
    if tell.send(entered).is_err() && has_failed {
        std::process::abort();
    }
}

/// Starts the threads that have the rights which others give up. To be called before any of these is confined, by a
/// thread that has the rights; the first call counts.
///
/// # Errors
/// When a thread cannot be started, or cannot be confined.
pub fn start_helpers() -> io::Result<()> {
    // No memory of this process is written to a file, or read by another process of the same user's. The limit of core
    // files stays as it is: the command inherits it.
    prctl::set_dumpable(false)?;
    FILES.start()?;
    SOCKETS.start()?;
    ENDERS.start()
}

/// What this kernel gives, for whoever asks whether it is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered {
    /// Whether elements of maps can be used without CAP_BPF (Linux 5.19); otherwise readers keep that one.
    pub maps_without_rights: bool,
}

impl Offered {
    /// Asks the kernel.
    ///
    /// # Errors
    /// When no thread can be started to ask in.
    pub fn ask() -> io::Result<Self> {
        Ok(Self { maps_without_rights: !capabilities::needs_bpf()? })
    }
}
