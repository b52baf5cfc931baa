//! One process becomes two: this one goes on as the worker, and the one that its caller knows becomes the broker, whose
//! signals, terminal and exit code are the caller's.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
};

use egress_broker::{launch::Command, order::Order, sys::link};
use egress_common::sandbox::WORKERS;
use nix::{
    sys::signal::{Signal, kill},
    unistd::{AccessFlags, Pid, access, execv},
};

use super::rights::give_up;
use crate::{
    config::DnsSettings,
    dns,
    host::{HostError, Rights, Writer},
    launch::Signals,
    points::reach,
    supervisor::Descriptors,
    sys::{self, descriptors, inherited::Inherited},
};

/// The program of the broker, beside this one.
const PROGRAM: &str = "egress-broker";

/// Why there are no two processes.
#[derive(Debug, thiserror::Error)]
pub enum DivideError {
    /// The program is missing, or none that can be executed.
    #[error("{} is missing, or not executable: the part of egress that has its rights: install it beside `egress`", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// The machine, or the caller, lacks something.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The certificates of name servers cannot be read.
    #[error(transparent)]
    Servers(#[from] dns::ServersError),
    /// Something that the kernel refused.
    #[error("{what}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> DivideError {
    move |source| DivideError::System { what, source: source.into() }
}

/// What the worker has of it.
pub struct Division {
    /// To the broker.
    pub(crate) socket: OwnedFd,
    /// Who the command is to the machine's files.
    pub(crate) writer: Writer,
    pub(crate) descriptors: Descriptors,
    /// Process id of the broker, which is that of the run.
    pub(crate) run: u32,
}

/// Becomes the broker of a sandbox for `command` in the process that calls this, and gives the other end to a process of
/// its own, without rights, which is who returns. To be called while there is one thread, before anything was read that
/// others could have written.
///
/// # Errors
/// In the process that called, whose child has ended then; and in the worker, when it cannot give up its rights.
pub fn divide(
    command: Command,
    settings: &DnsSettings,
    fail_on_refusal: bool,
) -> Result<Division, DivideError> {
    Rights::check()?;
    let program = program()?;
    dns::preload(settings)?;
    let writer = command.writer().map_err(failed("find out which files the command is handed"))?;
    let descriptors = Descriptors::raise();
    let workers = std::thread::available_parallelism().map_or(2, usize::from).clamp(1, WORKERS);
    let count = |all: usize| u32::try_from(all).unwrap_or(u32::MAX);
    // Until the broker has its own: a signal that comes meanwhile waits for it.
    let signals = Signals::block().map_err(failed("block signals"))?;
    let (ours, theirs) = link::pair().map_err(failed("make a socket"))?;
    let run = std::process::id();
    match sys::process::fork().map_err(failed("start the process that serves the sandbox"))? {
        None => {
            drop((theirs, signals));
            reach("worker:divided");
            // Whoever reads the command's output, or what it was handed, is not to wait for this process.
            descriptors::leave_output();
            descriptors::close_inherited().map_err(failed("close what the command is handed"))?;
            give_up()
                .map_err(failed("give up the rights of the process that serves the sandbox"))?;
            reach("worker:without-rights");
            Ok(Division { socket: ours, writer, descriptors, run })
        }
        Some(worker) => {
            let order = Order {
                command,
                inherited: Inherited::of_this_process(),
                worker: worker.as_raw(),
                listeners6: count(descriptors.listeners6(workers)),
                fail_on_refusal,
            };
            let error = become_broker(&program, &order, &theirs);
            end(worker);
            Err(DivideError::System { what: "execute egress-broker", source: error })
        }
    }
}

/// Where it is: beside the program of this process, and nowhere else.
///
/// # Errors
/// [`DivideError::Missing`], where there is no program; or the path of this one cannot be read.
pub(crate) fn program() -> Result<PathBuf, DivideError> {
    let own = std::env::current_exe().map_err(failed("find the path of this program"))?;
    let path = own.with_file_name(PROGRAM);
    match path.is_file() && access(&path, AccessFlags::X_OK).is_ok() {
        true => Ok(path),
        false => Err(DivideError::Missing { path }),
    }
}

/// Returns only where it fails.
fn become_broker(program: &std::path::Path, order: &Order, link: &OwnedFd) -> io::Error {
    let attempt = || -> io::Result<()> {
        let order = order.write()?;
        let numbers = [descriptors::hand_on(link.as_fd())?, descriptors::hand_on(order.as_fd())?];
        let path = CString::new(program.as_os_str().as_bytes())?;
        let [link, order] = numbers.map(|number| number.to_string());
        let words = [PROGRAM.to_owned(), link, order];
        let words: Vec<CString> = words.into_iter().map(CString::new).collect::<Result<_, _>>()?;
        execv(&path, &words)?;
        Ok(())
    };
    attempt().err().unwrap_or_else(|| io::ErrorKind::Other.into())
}

fn end(worker: Pid) {
    let _ = kill(worker, Signal::SIGKILL);
    let _ = nix::sys::wait::waitpid(worker, None);
}
