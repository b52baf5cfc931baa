//! A session from the proof of its path to the account of it.

use std::{
    fs::File,
    io::{self, Seek, Write},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

use nix::sys::{
    memfd::{MFdFlags, memfd_create},
    signal::Signal,
};

use super::{Session, SessionError, Stage, error::failed};
use crate::{
    ender::NotOurs,
    held_sockets::{Held, Patience, Which},
    kernel::Devices,
    launch::{Arrived, Note, check_stdio_devices, exit},
    message::{MOST_QUEUED, Seen, Tell, What},
    points::reach,
    sys::{
        access::writable_by,
        descriptors::{is_readable, is_readable_within, leave_output, wait_for_any},
    },
};

/// How long whoever takes a right back waits for connections to end.
const ENDED_WITHIN: Duration = Duration::from_secs(1);

/// How long resets are waited for, when a signal ends the wait for deliveries.
const RESET_WITHIN: Duration = Duration::from_secs(2);

/// Most names of a note in one record; a caller rarely has more.
const NAMES_OF_A_NOTE: usize = 4;

impl Session {
    /// Until the end of everything; gives the exit code of the run.
    pub(super) fn live(&mut self) -> Result<u8, SessionError> {
        self.wait_for(Stage::Proving)?;
        self.prove()?;
        self.wait_for(Stage::Starting)?;
        reach("broker:start");
        self.made.init.start()?;
        self.link.give(&Tell::Started, &[])?;
        reach("broker:started");
        let (code, is_interrupted) = self.pass_until_ended()?;
        reach("broker:ended");
        // Stragglers die with the init's PID namespace; the programs hold until the cgroup is empty, and what the
        // command wrote is delivered.
        if self.made.place.cgroup.kill() {
            self.made.terminal.take();
            // Whoever reads the command's output is not to wait for this.
            leave_output();
            self.link.give(&Tell::Drain { is_interrupted }, &[])?;
            self.deliver(is_interrupted)?;
        }
        reach("broker:delivered");
        // Only now: what still sends is judged until here.
        let is_empty = self.made.place.remove();
        self.link.give(&Tell::Ended { is_empty }, &[])?;
        let has_refused = self.wait_for_the_account()?;
        reach("broker:accounted");
        Ok(match u8::try_from(code) {
            Ok(0) if self.order.fail_on_refusal && has_refused => exit::REFUSED,
            code => code.unwrap_or(exit::NOT_STARTED),
        })
    }

    /// The worker serves: the path is proved, and devices are opened.
    fn prove(&mut self) -> Result<(), SessionError> {
        reach("broker:probe");
        let notes = self.made.init.probe()?;
        let of_init = self.made.init.proc();
        // By the init's /proc where ours shows processes alone.
        let proc = if self.made.devices.is_some() { Path::new("/proc") } else { &of_init };
        let devices =
            Devices::known(proc).map_err(failed("read which devices the kernel knows"))?;
        devices.open(&self.made.maps)?;
        check_stdio_devices(&devices)?;
        for note in notes.into_iter().flat_map(parts) {
            self.link.give(&Tell::Note(note), &[])?;
        }
        self.link.give(&Tell::Probed, &[])?;
        reach("broker:probed");
        Ok(())
    }

    /// Waits until the worker asks for the step of this stage, and takes it up.
    fn wait_for(&mut self, stage: Stage) -> Result<What, SessionError> {
        loop {
            if let Some(what) = self.ask(stage)? {
                return Ok(what);
            }
        }
    }

    /// Passes signals on until the command has ended. Gives its exit code, and whether a signal came that it had no
    /// time to get.
    fn pass_until_ended(&mut self) -> Result<(i32, bool), SessionError> {
        let mut hears = true;
        loop {
            let channel = if hears { self.made.init.channel() } else { self.made.init.handle() };
            let all =
                [self.made.signals.as_fd(), self.link.as_fd(), self.made.init.handle(), channel];
            wait_for_any(all).map_err(failed("wait for the command"))?;
            if is_readable(self.made.signals.as_fd()) {
                let arrived = self.made.signals.wait().map_err(failed("read a signal"))?;
                match (arrived, self.made.init.ended()) {
                    (Arrived::Pass(_), Some(code)) => return Ok((code, true)),
                    (Arrived::Pass(signal), None) => self.made.init.signal(signal),
                    (Arrived::Terminal | Arrived::Child | Arrived::Continue, _) => {}
                }
                continue;
            }
            if let Some(code) = self.made.init.ended() {
                return Ok((code, false));
            }
            if is_readable(self.link.as_fd()) {
                self.ask(Stage::Running)?;
            }
            if hears && is_readable(self.made.init.channel()) {
                hears = self.hear_of_a_stop();
            }
        }
    }

    /// The command stands: this process stops with it, where it has a terminal. False when nothing more is heard.
    fn hear_of_a_stop(&mut self) -> bool {
        let Some(id) = self.made.init.read_stopped() else { return false };
        // Where the terminal stopped this process too, the command has gone on with it.
        let stands = self.made.terminal.as_ref().filter(|_| self.made.init.is_stopped(id));
        self.made
            .init
            .heard(stands.is_some_and(|terminal| terminal.stand_still(&self.made.signals)));
        true
    }

    /// Waits until what the command wrote is delivered, at the latest until a signal comes.
    fn deliver(&mut self, is_interrupted: bool) -> Result<(), SessionError> {
        let mut until = is_interrupted.then(|| Instant::now() + RESET_WITHIN);
        loop {
            let patience = until.map_or(Duration::from_secs(1), |until| {
                until.saturating_duration_since(Instant::now())
            });
            if until.is_some() && patience.is_zero() {
                return Ok(());
            }
            match until {
                None => wait_for_any([self.made.signals.as_fd(), self.link.as_fd()])
                    .map_err(failed("wait for deliveries"))?,
                Some(_) => {
                    is_readable_within(self.link.as_fd(), patience);
                }
            }
            if until.is_none() && is_readable(self.made.signals.as_fd()) {
                // One that had been stopped goes on.
                let arrived = self.made.signals.wait();
                if !matches!(arrived, Ok(Arrived::Continue)) {
                    self.link.give(&Tell::GiveUp, &[])?;
                    until = Some(Instant::now() + RESET_WITHIN);
                }
            }
            if is_readable(self.link.as_fd()) && self.ask(Stage::Delivering)?.is_some() {
                return Ok(());
            }
        }
    }

    /// Waits until the worker has told what there is to tell; whoever is in a hurry need not.
    fn wait_for_the_account(&mut self) -> Result<bool, SessionError> {
        loop {
            wait_for_any([self.made.signals.as_fd(), self.link.as_fd()])
                .map_err(failed("wait for the account"))?;
            if is_readable(self.link.as_fd()) {
                // What was asked for before it heard of the end comes too late.
                match self.ask(Stage::Ending)? {
                    Some(What::Finished { has_refused }) => {
                        self.worker.wait();
                        return Ok(has_refused);
                    }
                    _ => continue,
                }
            }
            if matches!(
                self.made.signals.wait(),
                Ok(Arrived::Pass(Signal::SIGTERM | Signal::SIGINT))
            ) {
                return Ok(false);
            }
        }
    }

    /// Does what the worker asks; gives back what is a step of the stage.
    fn ask(&mut self, stage: Stage) -> Result<Option<What>, SessionError> {
        let (ask, descriptors) = self.link.asked()?;
        if ask.sandbox != self.made.sandbox {
            return Err(SessionError::Misbehaved("asked for something of another sandbox"));
        }
        if !descriptors.is_empty() && ask.what != What::MayWrite {
            return Err(SessionError::Misbehaved("sent descriptors that nobody asked for"));
        }
        // Given up meanwhile, as a signal came.
        if ask.what == What::Drained && stage == Stage::Ending {
            return Ok(None);
        }
        if !stage.takes(&ask.what) {
            return Err(SessionError::Misbehaved("asked for something out of turn"));
        }
        match ask.what {
            What::End(cookie) => self.made.ender.end(cookie).map_err(foreign)?,
            What::EndConnection(connection) => {
                self.made.ender.end_connection(connection).map_err(foreign)?;
            }
            What::Settle => {
                let all = self.made.ender.settle(ENDED_WITHIN);
                self.link.give(&Tell::Settled(all), &[])?;
            }
            What::MayWrite => {
                let may = self.may_write(&descriptors);
                self.link.give(&Tell::MayWrite(may), &[])?;
            }
            What::Look { which, known, most, patience } => {
                self.look(which, known, most, patience)?;
            }
            What::Push { which, ours } => {
                if self.made.ender.has(which.cookie).map_err(foreign)? {
                    self.made.sockets.push(which, ours);
                }
            }
            What::PushOn(which) => self.push_on(which)?,
            What::Forget(cookie) => self.made.sockets.forget(cookie),
            What::Failed => return Err(SessionError::Told),
            step => return Ok(Some(step)),
        }
        Ok(None)
    }

    /// Tells what a socket holds, from the thread of the sockets: a program can keep whoever asks waiting.
    fn look(
        &mut self,
        which: Which,
        known: u32,
        most: u32,
        patience: Option<Patience>,
    ) -> Result<(), SessionError> {
        let teller = self.link.teller();
        if !self.made.ender.has(which.cookie).map_err(foreign)? {
            teller.tell(&Tell::Seen(None), &[]);
            return Ok(());
        }
        let most = most.min(MOST_QUEUED) as usize;
        let then = move |held: io::Result<Held>| {
            let seen = held.and_then(|Held { unsent, queue, is_patient }| {
                let unsent = u32::try_from(unsent).unwrap_or(u32::MAX);
                Ok((Seen { unsent, is_patient }, in_memory(&queue)?))
            });
            match seen {
                Ok((seen, Some(file))) => teller.tell(&Tell::Seen(Some(seen)), &[file.as_fd()]),
                Ok((seen, None)) => teller.tell(&Tell::Seen(Some(seen)), &[]),
                Err(_) => teller.tell(&Tell::Seen(None), &[]),
            }
        };
        let asked = self.made.sockets.look_then(which, known as usize, most, patience, then);
        asked.map_err(failed("look into the sandbox's sockets"))
    }

    fn push_on(&mut self, which: Which) -> Result<(), SessionError> {
        let teller = self.link.teller();
        if !self.made.ender.has(which.cookie).map_err(foreign)? {
            teller.tell(&Tell::Unsent(None), &[]);
            return Ok(());
        }
        let then = move |unsent: io::Result<usize>| {
            let unsent = unsent.ok().map(|unsent| u32::try_from(unsent).unwrap_or(u32::MAX));
            teller.tell(&Tell::Unsent(unsent), &[]);
        };
        let asked = self.made.sockets.push_on_then(which, then);
        asked.map_err(failed("look into the sandbox's sockets"))
    }

    /// Whether the command could write one of these files. What cannot be found out it could.
    fn may_write(&self, files: &[OwnedFd]) -> bool {
        let Some(user) = &self.order.command.user else { return true };
        let files: Vec<_> = files.iter().map(AsFd::as_fd).collect();
        user.uid.is_root()
            || files.is_empty()
            || writable_by(&files, user.uid, user.gid, &user.groups)
                .map_or(true, |writable| writable.contains(&true))
    }
}

fn foreign(_: NotOurs) -> SessionError {
    SessionError::Misbehaved("asked for a socket of others")
}

/// A file in memory with these bytes, to be read from its beginning; none for none.
fn in_memory(bytes: &[u8]) -> io::Result<Option<File>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut file = File::from(memfd_create(c"egress-queue", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(Some(file))
}

/// A note in records of its own, where it names many variables.
fn parts(note: Note) -> Vec<Note> {
    match note {
        Note::Variables(names) => {
            names.chunks(NAMES_OF_A_NOTE).map(|some| Note::Variables(some.to_vec())).collect()
        }
        Note::Hidden(names) => {
            names.chunks(NAMES_OF_A_NOTE).map(|some| Note::Hidden(some.to_vec())).collect()
        }
        note => vec![note],
    }
}
