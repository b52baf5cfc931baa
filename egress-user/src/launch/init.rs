//! The sandbox's init: process 1 of its PID namespace. It prepares the namespaces, proves that the
//! path works, starts the command, reaps, passes signals on, and dies with `run`; when it dies, the
//! kernel kills whatever is left in the namespace.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, BufRead, BufReader, Read, Write},
    os::fd::{AsFd, AsRawFd},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};

use super::{
    isolate::isolate,
    probe::probe,
    signals::{Arrived, Signals},
    user::User,
    working_directory::Place,
};
use crate::{
    host::Cgroup,
    sys::{self, process::Cloned},
};

/// Exit codes of `run` that are not the command's own.
pub mod exit {
    /// The sandbox could not be started.
    pub const NOT_STARTED: u8 = 125;
    /// The command is not executable.
    pub const NOT_EXECUTABLE: u8 = 126;
    /// The command was not found.
    pub const NOT_FOUND: u8 = 127;
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Command {
    /// Program, looked up in PATH when it has no slash.
    pub program: OsString,
    /// Arguments.
    pub arguments: Vec<OsString>,
    /// As whom; none = as the caller, root without capabilities.
    pub user: Option<User>,
}

/// Why the command does not run.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The init process could not be made.
    #[error("make the sandbox's first process")]
    Clone(#[source] io::Error),
    /// It said what failed, with the exit code that goes with it.
    #[error("{text}")]
    Failed {
        /// Exit code of `run`.
        code: u8,
        /// What failed and why.
        text: String,
    },
    /// It died without a word.
    #[error("the sandbox's first process died before the command was started")]
    Died,
}

/// A live init, seen from `run`.
#[derive(Debug)]
pub struct Init {
    pid: Pid,
    orders: File,
    reports: BufReader<File>,
}

const PROBE: u8 = b'p';
const START: u8 = b's';

impl Init {
    /// Makes the process; in it this call never returns. The caller must have one thread, and must
    /// start its listeners before it lets the init go on.
    ///
    /// # Errors
    /// What clone gives.
    pub fn spawn(cgroup: &Cgroup, command: &Command) -> Result<Self, InitError> {
        let pipes = || Ok::<_, io::Error>((io::pipe()?, io::pipe()?));
        let ((orders_out, orders_in), (reports_out, reports_in)) =
            pipes().map_err(InitError::Clone)?;
        let inner = cgroup.open().map_err(InitError::Clone)?;
        match sys::process::clone_child(inner.as_fd()).map_err(InitError::Clone)? {
            Cloned::Parent(pid) => Ok(Self {
                pid,
                orders: File::from(std::os::fd::OwnedFd::from(orders_in)),
                reports: BufReader::new(File::from(std::os::fd::OwnedFd::from(reports_out))),
            }),
            Cloned::Child => {
                let ours = [orders_out.as_raw_fd(), reports_in.as_raw_fd()];
                let mut reports = File::from(std::os::fd::OwnedFd::from(reports_in));
                let orders = File::from(std::os::fd::OwnedFd::from(orders_out));
                let code = match be_init(&cgroup.inner(), command, orders, &mut reports, ours) {
                    Ok(code) => code,
                    Err(failure) => {
                        let text = failure.text.replace('\n', " ");
                        // Nobody reads any more when `run` is gone.
                        let _ = writeln!(reports, "failed {} {text}", failure.code);
                        i32::from(failure.code)
                    }
                };
                std::process::exit(code);
            }
        }
    }

    /// Lets the init prepare itself and prove that the path works.
    ///
    /// # Errors
    /// What it reports.
    pub fn probe(&mut self) -> Result<(), InitError> {
        self.order(PROBE, "probed")
    }

    /// Starts the command.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub fn start(&mut self) -> Result<(), InitError> {
        self.order(START, "started")
    }

    fn order(&mut self, order: u8, answer: &str) -> Result<(), InitError> {
        self.orders.write_all(&[order]).map_err(|_| self.failure(String::new()))?;
        let mut line = String::new();
        match self.reports.read_line(&mut line) {
            Ok(_) if line.trim_end() == answer => Ok(()),
            _ => Err(self.failure(line)),
        }
    }

    fn failure(&mut self, mut line: String) -> InitError {
        if line.is_empty() {
            // A report may wait that was written before the order could be.
            let _ = self.reports.read_line(&mut line);
        }
        let Some(rest) = line.trim_end().strip_prefix("failed ") else { return InitError::Died };
        let Some((code, text)) = rest.split_once(' ') else { return InitError::Died };
        let code = code.parse().unwrap_or(exit::NOT_STARTED);
        InitError::Failed { code, text: text.to_owned() }
    }

    /// Its mount of proc, which is whole whatever the caller's shows, once it is prepared.
    pub fn proc(&self) -> PathBuf {
        format!("/proc/{}/root/proc", self.pid).into()
    }

    /// Passes a signal on.
    pub fn signal(&self, signal: Signal) {
        // Gone already is as good as passed on.
        let _ = kill(self.pid, signal);
    }

    /// The command's exit code once the sandbox has ended; none while it runs.
    pub fn ended(&self) -> Option<i32> {
        match waitpid(self.pid, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Some(code),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
            Ok(_) => None,
            Err(_) => Some(i32::from(exit::NOT_STARTED)),
        }
    }
}

struct Failure {
    code: u8,
    text: String,
}

fn not_started(error: impl std::error::Error) -> Failure {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Failure { code: exit::NOT_STARTED, text }
}

fn be_init(
    cgroup: &Path,
    command: &Command,
    mut orders: File,
    reports: &mut File,
    ours: [i32; 2],
) -> Result<i32, Failure> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(not_started)?;
    // What `run` holds (links, listeners, the lock that says it lives) must end with it.
    sys::descriptors::close_own(&ours).map_err(not_started)?;
    let signals = Signals::block().map_err(not_started)?;
    await_order(&mut orders, PROBE)?;
    // Born in the cgroup, which becomes the root of what the sandbox sees.
    unshare(CloneFlags::CLONE_NEWCGROUP).map_err(not_started)?;
    let place = Place::leave().map_err(not_started)?;
    isolate(cgroup).map_err(not_started)?;
    let pending = enter(&place, command)?;
    prctl::set_dumpable(false).map_err(not_started)?;
    probe().map_err(not_started)?;
    say(reports, "probed")?;
    await_order(&mut orders, START)?;
    let child = spawn(command, pending)?;
    say(reports, "started")?;
    supervise(child, &signals)
}

fn say(reports: &mut File, word: &str) -> Result<(), Failure> {
    writeln!(reports, "{word}").map_err(not_started)
}

/// An end of file means that `run` is gone.
fn await_order(orders: &mut File, wanted: u8) -> Result<(), Failure> {
    let mut order = [0];
    orders.read_exact(&mut order).map_err(not_started)?;
    if order == [wanted] { Ok(()) } else { Err(not_started(io::Error::other("unknown order"))) }
}

/// Goes to where the caller stands; the place where only the command's user may go is given back.
fn enter(place: &Place, command: &Command) -> Result<Option<Place>, Failure> {
    match place.enter() {
        Ok(()) => Ok(None),
        Err(errno) if Place::is_barred(errno) && command.user.is_some() => Ok(Some(place.clone())),
        Err(errno) => Err(not_started(place.error(errno))),
    }
}

/// Told by the child in place of an errno, from which this bit keeps it apart.
const NOT_ENTERED: i32 = 1 << 30;

fn spawn(command: &Command, pending: Option<Place>) -> Result<Pid, Failure> {
    let mut process = std::process::Command::new(&command.program);
    process.args(&command.arguments);
    if let Some(user) = &command.user {
        let name = user.name.to_string_lossy().into_owned();
        process.env("HOME", &user.home).env("USER", &name).env("LOGNAME", name);
    }
    let user = command.user.clone();
    let last = pending.clone();
    sys::process::before_exec(&mut process, move || {
        super::privileges::drop_all(user.as_ref())?;
        let entered = last.as_ref().map_or(Ok(()), Place::enter);
        entered.map_err(|errno| io::Error::from_raw_os_error(errno as i32 | NOT_ENTERED))
    });
    let name = command.program.to_string_lossy();
    let not_entered = |error: &io::Error| {
        let code = error.raw_os_error().filter(|code| code & NOT_ENTERED != 0)?;
        Some(pending.as_ref()?.error(Errno::from_raw(code & !NOT_ENTERED)))
    };
    let child = process.spawn().map_err(|error| match error.kind() {
        _ if let Some(error) = not_entered(&error) => not_started(error),
        io::ErrorKind::NotFound => Failure {
            code: exit::NOT_FOUND,
            text: format!(
                "{name}: command not found, or the interpreter in its first line; give its path, or \
                 look at PATH"
            ),
        },
        // capabilities(7): the kernel refuses a file whose capabilities it could not give.
        _ if error.raw_os_error() == Some(libc::EPERM) => Failure {
            code: exit::NOT_EXECUTABLE,
            text: format!("{name}: needs capabilities, which no program in a sandbox has"),
        },
        io::ErrorKind::PermissionDenied => Failure {
            code: exit::NOT_EXECUTABLE,
            text: format!("{name}: not executable by the user that runs it"),
        },
        _ if error.raw_os_error() == Some(libc::ENOEXEC) => Failure {
            code: exit::NOT_EXECUTABLE,
            text: format!("{name}: not a program that this machine can execute"),
        },
        _ => not_started(error),
    })?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(not_started)
}

/// Reaps whatever becomes an orphan, until the command itself has ended.
fn supervise(child: Pid, signals: &Signals) -> Result<i32, Failure> {
    loop {
        match signals.wait().map_err(not_started)? {
            Arrived::Pass(signal) => {
                let _ = kill(child, signal);
            }
            Arrived::Terminal => {}
            Arrived::Child => {
                while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                    match status {
                        WaitStatus::Exited(pid, code) if pid == child => return Ok(code),
                        WaitStatus::Signaled(pid, signal, _) if pid == child => {
                            return Ok(128 + signal as i32);
                        }
                        WaitStatus::StillAlive => break,
                        _ => {}
                    }
                }
            }
        }
    }
}
