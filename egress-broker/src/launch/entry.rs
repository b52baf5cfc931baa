//! The sandbox's init itself: process 1 of its PID namespace. It prepares the namespaces, proves that the path
//! works, starts the command, reaps, passes signals on, and dies with its parent; when it dies, the kernel
//! kills whatever is left in the namespace.

use std::{
    ffi::{OsStr, OsString},
    io,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
};

use nix::{
    errno::Errno,
    sched::{CloneFlags, unshare},
    sys::{
        prctl,
        signal::{Signal, kill, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{Pid, getpgid, getpid},
};

use super::{
    command::exit,
    environment::{self, Change},
    init::INIT_ARGUMENT,
    isolate::isolate,
    message::{Order, Report, Spec, receive, send},
    note::{Note, Sockets},
    privileges::drop_all,
    probe::probe,
    signals::{Arrived, Signals},
    user::User,
    working_directory::Place,
};
use crate::{
    points::reach,
    sys,
    text::{Printable, with_causes},
};

/// Somebody else than [`super::Init`] asked for an init.
#[derive(Debug, thiserror::Error)]
#[error(
    "`egress egress-init` is the first process of a sandbox, which `egress run` starts for itself; to run a \
     command use `egress run`"
)]
pub struct NotAsInit;

/// Is this process's init when its arguments, the program's name first, say so, and gives the exit code with
/// which it has to end. None otherwise.
///
/// The first thing that `main` does: whatever goes before it is done twice at every start of a sandbox. Not a
/// matter of rights: all that an init does its caller could do as well.
pub fn init(mut arguments: impl Iterator<Item = OsString>) -> Option<Result<u8, NotAsInit>> {
    (arguments.nth(1)? == INIT_ARGUMENT).then(|| {
        let channel = adopt(arguments.next().as_deref()).ok_or(NotAsInit)?;
        Ok(be_init(channel))
    })
}

fn adopt(number: Option<&OsStr>) -> Option<UnixStream> {
    let number = number?.to_str()?.parse().ok()?;
    if getpid() != Pid::from_raw(1) {
        return None;
    }
    sys::descriptors::adopt_socket(number)
}

struct Failure {
    code: u8,
    text: String,
}

fn not_started(error: impl std::error::Error) -> Failure {
    Failure { code: exit::NOT_STARTED, text: with_causes(&error) }
}

fn be_init(mut channel: UnixStream) -> u8 {
    match live(&mut channel) {
        Ok(code) => u8::try_from(code).unwrap_or(exit::NOT_STARTED),
        Err(Failure { code, text }) => {
            // Nobody reads any more when the parent is gone.
            let _ = send(&mut channel, &Report::Failed { code, text });
            code
        }
    }
}

/// Everything that the parent has open, but the channel and what its own caller gave it, was closed by exec.
fn live(channel: &mut UnixStream) -> Result<i32, Failure> {
    // The kernel's own way, which needs no help of a process that may be stopped or stuck. Whoever asks too
    // late finds the end of the channel instead.
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(not_started)?;
    prctl::set_name(c"egress-init").map_err(not_started)?;
    let signals = Signals::block_with_children().map_err(not_started)?;
    let spec: Spec = receive(channel).map_err(not_started)?;
    let Spec { cgroup, command: wanted, inherited } = spec;
    let (user, capabilities) = (wanted.user, wanted.capabilities);
    // Born in the cgroup, which becomes the root of what the sandbox sees.
    unshare(CloneFlags::CLONE_NEWCGROUP | capabilities.namespaces()).map_err(not_started)?;
    let place = Place::leave().map_err(not_started)?;
    let sockets = Sockets::of_environment();
    isolate(Path::new(&cgroup), user.as_ref()).map_err(not_started)?;
    let (environment, notes) = not_handed_on(&sockets).map_err(not_started)?;
    let pending = enter(&place, user.as_ref())?;
    prctl::set_dumpable(false).map_err(not_started)?;
    let peers = sys::peer_devices::peer_devices().map_err(not_started)?;
    reach("init:isolated");
    await_order(channel, Order::Probe)?;
    probe().map_err(not_started)?;
    send(channel, &Report::Probed(notes)).map_err(not_started)?;
    reach("init:probed");
    await_order(channel, Order::Start)?;
    reach("init:command");
    let mut command = std::process::Command::new(&wanted.program);
    command.args(&wanted.arguments);
    for Change { name, value } in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    sys::process::before_exec(&mut command, {
        let (user, place) = (user.clone(), pending.clone());
        move || {
            inherited.restore()?;
            drop_all(user.as_ref(), capabilities, peers)?;
            let entered = place.as_ref().map_or(Ok(()), Place::enter);
            entered.map_err(|errno| io::Error::from_raw_os_error(errno as i32 | NOT_ENTERED))
        }
    });
    let child = spawn(command, user.as_ref(), pending.as_ref())?;
    send(channel, &Report::Started).map_err(not_started)?;
    supervise(child, &signals, channel)
}

/// How the command's variables differ from the caller's, and what is to be told.
fn not_handed_on(sockets: &Sockets) -> io::Result<(Vec<Change>, Vec<Note>)> {
    let closed = sys::handed::closed()?;
    let numbers = closed.iter().map(|one| one.number).collect();
    let mut changes = environment::of_descriptors(|name| std::env::var_os(name), &numbers);
    let names: Vec<_> =
        changes.iter().map(|change| Printable::of_bytes(change.name.as_encoded_bytes())).collect();
    let variables = (!names.is_empty()).then_some(Note::Variables(names));
    let notes = Note::of_files(&closed).chain(variables).chain(sockets.note()).collect();
    if sockets.has_left_tmux() {
        changes.extend(environment::of_tmux());
    }
    Ok((changes, notes))
}

/// An end of file means that the parent is gone.
fn await_order(channel: &mut UnixStream, wanted: Order) -> Result<(), Failure> {
    let order: Order = receive(channel).map_err(not_started)?;
    if order == wanted {
        return Ok(());
    }
    Err(not_started(io::Error::other(format!("expected the order {wanted:?}, not {order:?}"))))
}

/// Goes to where the caller stands; the place where only the command's user may go is given back.
fn enter(place: &Place, user: Option<&User>) -> Result<Option<Place>, Failure> {
    match place.enter() {
        Ok(()) => Ok(None),
        Err(errno) if Place::is_barred(errno) && user.is_some() => Ok(Some(place.clone())),
        Err(errno) => Err(not_started(place.error(errno))),
    }
}

/// Told by the child in place of an errno, from which this bit keeps it apart.
const NOT_ENTERED: i32 = 1 << 30;

fn spawn(
    mut command: std::process::Command,
    user: Option<&User>,
    pending: Option<&Place>,
) -> Result<Pid, Failure> {
    if let Some(user) = user {
        user.name_in(&mut command);
    }
    let not_entered = |error: &io::Error| {
        let code = error.raw_os_error().filter(|code| code & NOT_ENTERED != 0)?;
        Some(pending?.error(Errno::from_raw(code & !NOT_ENTERED)))
    };
    let child = command.spawn().map_err(|error| match not_entered(&error) {
        Some(error) => not_started(error),
        None => not_executed(&command.get_program().to_string_lossy(), error),
    })?;
    i32::try_from(child.id()).map(Pid::from_raw).map_err(not_started)
}

fn not_executed(name: &str, error: io::Error) -> Failure {
    let not_executable = |text| Failure { code: exit::NOT_EXECUTABLE, text };
    match error.kind() {
        io::ErrorKind::NotFound => Failure {
            code: exit::NOT_FOUND,
            text: format!(
                "{name}: command not found, or the interpreter in its first line; give its path, or \
                 look at PATH"
            ),
        },
        // capabilities(7): the kernel refuses a file whose capabilities it could not give.
        _ if error.raw_os_error() == Some(libc::EPERM) => {
            not_executable(format!("{name}: needs capabilities, which no program in a sandbox has"))
        }
        io::ErrorKind::PermissionDenied => {
            not_executable(format!("{name}: not executable by the user that runs it"))
        }
        _ if error.raw_os_error() == Some(libc::ENOEXEC) => {
            not_executable(format!("{name}: not a program that this machine can execute"))
        }
        _ => not_started(error),
    }
}

/// Reaps whatever becomes an orphan, until the command itself has ended or the parent is gone.
fn supervise(child: Pid, signals: &Signals, channel: &UnixStream) -> Result<i32, Failure> {
    // The parent need not listen: it is told once.
    let mut is_told = false;
    loop {
        sys::descriptors::wait_for_any([signals.as_fd(), channel.as_fd()]).map_err(not_started)?;
        if sys::descriptors::is_readable(channel.as_fd()) {
            match receive(&mut &*channel) {
                Ok(Order::Heard) => is_told = false,
                Ok(Order::Continue) => {
                    is_told = false;
                    go_on(child);
                }
                // Nothing more is said: this is the end.
                _ => return Ok(i32::from(exit::NOT_STARTED)),
            }
        }
        if !sys::descriptors::is_readable(signals.as_fd()) {
            continue;
        }
        match signals.wait().map_err(not_started)? {
            Arrived::Pass(signal) => {
                let _ = kill(child, signal);
            }
            Arrived::Terminal | Arrived::Continue => {}
            Arrived::Child => {
                let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
                while let Ok(status) = waitpid(None, Some(flags)) {
                    match status {
                        WaitStatus::Exited(pid, code) if pid == child => return Ok(code),
                        WaitStatus::Signaled(pid, signal, _) if pid == child => {
                            return Ok(128 + signal as i32);
                        }
                        WaitStatus::Stopped(pid, _) if pid == child && !is_told => {
                            is_told = send(&mut &*channel, &Report::Stopped(pid.as_raw())).is_ok();
                        }
                        WaitStatus::StillAlive => break,
                        _ => {}
                    }
                }
            }
        }
    }
}

/// The command's group, where it has one of its own: what it had started stood with it.
fn go_on(child: Pid) {
    let _ = match getpgid(Some(child)) {
        // 0 stands for a group of outside.
        Ok(group) if group.as_raw() > 0 => killpg(group, Signal::SIGCONT),
        _ => kill(child, Signal::SIGCONT),
    };
}
