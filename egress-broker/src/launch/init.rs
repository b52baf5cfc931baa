//! The sandbox's init, seen from the process that started it: a process of its own, which executes this
//! program anew ([`super::entry`]).

use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::Signal,
        wait::{Id, WaitPidFlag, WaitStatus, waitid},
    },
    unistd::Pid,
};

use super::{
    command::{Command, exit},
    launcher::launch,
    message::{Order, Report, Spec, receive, send},
    note::Note,
};
use crate::{
    host::Cgroup,
    sys::{
        descriptors::is_readable_within,
        inherited::Inherited,
        process::send_signal,
        spawn::{Child, Execution},
    },
    wire::Wire,
};

/// Names, as the first argument, what the program executes itself anew for.
pub(super) const INIT_ARGUMENT: &str = "egress-init";

/// This very program, even where another has taken its path since.
const OWN_EXECUTABLE: &str = "/proc/self/exe";

/// How long an init that is given up may take to die.
const DEATH_WITHIN: Duration = Duration::from_secs(5);

static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();

/// Has inits execute `program` from now on: an `egress` whose version is this library's. For programs whose
/// `main` does not begin with [`super::entry::init`]; the first call counts.
pub fn set_executable(program: &Path) {
    EXECUTABLE.get_or_init(|| program.to_owned());
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

/// A live init. When this is dropped, or the process that has it ends in any way, the init and all that runs
/// in its sandbox end.
#[derive(Debug)]
pub struct Init {
    id: Pid,
    /// A pidfd.
    handle: OwnedFd,
    /// Orders one way, reports the other. Its end of file is what the init dies of.
    channel: UnixStream,
    /// The exit code, once it has been waited for.
    ended: Mutex<Option<i32>>,
}

impl Init {
    /// Makes the process, which goes on to prepare its namespaces by itself. From any thread.
    ///
    /// # Errors
    /// What clone3 or execveat gives.
    pub fn spawn(cgroup: &Cgroup, command: &Command) -> Result<Self, InitError> {
        Self::spawn_with(cgroup, command, Inherited::of_this_process())
    }

    /// The same for a command that gets what another process than this one was started with.
    ///
    /// # Errors
    /// As [`Init::spawn`].
    pub fn spawn_with(
        cgroup: &Cgroup,
        command: &Command,
        inherited: Inherited,
    ) -> Result<Self, InitError> {
        let (channel, kept) = UnixStream::pair().map_err(InitError::Clone)?;
        let Child { id, handle } = execute(cgroup, kept.into()).map_err(InitError::Clone)?;
        let mut init = Self { id, handle, channel, ended: Mutex::default() };
        let (cgroup, command) = (cgroup.inner().into(), command.clone());
        init.say(&Spec { cgroup, command, inherited })?;
        Ok(init)
    }

    /// Lets the init prove that the path works, and gives what is to be told before the command starts. The
    /// sandbox's listeners must have been started.
    ///
    /// # Errors
    /// What it reports, of the preparation too.
    pub fn probe(&mut self) -> Result<Vec<Note>, InitError> {
        match self.order(Order::Probe)? {
            Report::Probed(notes) => Ok(notes),
            _ => Err(InitError::Died),
        }
    }

    /// Starts the command.
    ///
    /// # Errors
    /// When it cannot be executed.
    pub fn start(&mut self) -> Result<(), InitError> {
        match self.order(Order::Start)? {
            Report::Started => Ok(()),
            _ => Err(InitError::Died),
        }
    }

    /// Its answer, which is no failure.
    fn order(&mut self, order: Order) -> Result<Report, InitError> {
        self.say(&order)?;
        match receive(&mut self.channel) {
            Ok(Report::Failed { code, text }) => Err(InitError::Failed { code, text }),
            Ok(report) => Ok(report),
            Err(_) => Err(InitError::Died),
        }
    }

    fn say(&mut self, message: &impl Wire) -> Result<(), InitError> {
        match send(&mut self.channel, message) {
            Ok(()) => Ok(()),
            // It may have said why it ended.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                match receive(&mut self.channel) {
                    Ok(Report::Failed { code, text }) => Err(InitError::Failed { code, text }),
                    _ => Err(InitError::Died),
                }
            }
            Err(error) => Err(InitError::Clone(error)),
        }
    }

    /// Its mount of proc, which is whole whatever the caller's shows, once it has been probed.
    pub fn proc(&self) -> PathBuf {
        format!("/proc/{}/root/proc", self.id).into()
    }

    /// Passes a signal on, to the command.
    pub fn signal(&self, signal: Signal) {
        // Gone already is as good as passed on.
        let _ = send_signal(self.handle.as_fd(), signal);
    }

    /// Readable when it tells that the command stands, and when it has ended.
    pub fn channel(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }

    /// Readable when it has ended (pidfd_open(2)).
    pub fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    /// Behind [`Self::channel`]: that the command stands, by its id in its namespace; none when the init has
    /// ended. Waits for it.
    pub fn read_stopped(&self) -> Option<Pid> {
        // It comes in one piece, of a process that is ours.
        match receive(&mut &self.channel) {
            Ok(Report::Stopped(id)) => Some(Pid::from_raw(id)),
            _ => None,
        }
    }

    /// Whether a process of its namespace stands now.
    pub fn is_stopped(&self, id: Pid) -> bool {
        let stat = std::fs::read_to_string(self.proc().join(id.to_string()).join("stat"));
        // proc_pid_stat(5): the state stands behind the name, which may hold anything.
        stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
    }

    /// Behind [`Self::read_stopped`]: whether the command may go on.
    pub fn heard(&self, goes_on: bool) {
        let order = if goes_on { Order::Continue } else { Order::Heard };
        // Gone already: nothing stands there.
        let _ = send(&mut &self.channel, &order);
    }

    /// The command's exit code once the sandbox has ended; none while it runs.
    pub fn ended(&self) -> Option<i32> {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        if ended.is_none() {
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG;
            *ended = match waitid(Id::PIDFd(self.handle.as_fd()), flags) {
                Ok(WaitStatus::Exited(_, code)) => Some(code),
                Ok(WaitStatus::Signaled(_, signal, _)) => Some(128 + signal as i32),
                Ok(_) | Err(Errno::EINTR) => None,
                // Somebody else has waited for it.
                Err(_) => Some(i32::from(exit::NOT_STARTED)),
            };
        }
        *ended
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        if self.ended().is_none() {
            // Its namespace goes with it. Waited for here, or it would stay as a zombie.
            self.signal(Signal::SIGKILL);
            is_readable_within(self.handle.as_fd(), DEATH_WITHIN);
            self.ended();
        }
    }
}

/// Executes this program as an init that has `kept` as its end of the channel.
fn execute(cgroup: &Cgroup, kept: OwnedFd) -> io::Result<Child> {
    let path = EXECUTABLE.get().map_or(OWN_EXECUTABLE.as_ref(), PathBuf::as_path);
    let words = ["egress", INIT_ARGUMENT, &kept.as_raw_fd().to_string()];
    let arguments = words.into_iter().map(CString::new).collect::<Result<_, _>>()?;
    launch(Execution {
        program: File::open(path)?.into(),
        arguments,
        cgroup: cgroup.open()?.into(),
        kept,
    })
}
