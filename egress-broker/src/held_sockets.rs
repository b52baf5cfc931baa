//! The programs' own sockets, from outside: for what packets alone do not do. Every system call that is made on them for
//! what is held stands here, in a thread of its own for each sandbox: the one that judges has no right to it.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        mpsc::{self, Sender},
    },
    thread,
};

use crate::{
    confine::SOCKETS,
    sys::held_socket::{HeldSocket, Place},
};

/// Deepest below a sandbox's cgroup that processes are looked for.
const DEPTH: usize = 8;

/// Most places that are remembered; when there are more, all are looked for anew.
const MAX_PLACES: usize = 1 << 16;

/// A program's socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Which {
    /// Its cookie.
    pub cookie: u64,
    /// Thread group of the program that connected it.
    pub tgid: u32,
}

/// TCP_USER_TIMEOUT of a socket that waits, in milliseconds: where it is `from`, it becomes `to`. What a program has
/// chosen itself stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// What the kernel side has set.
    pub from: u32,
    /// What it is to be.
    pub to: u32,
}

/// What a socket holds, unread.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// How many bytes TCP has not sent; the end of the stream counts as one.
    pub unsent: usize,
    /// Its queue, from the first byte on that is not acknowledged; empty where no more is unsent than was known.
    pub queue: Vec<u8>,
    /// [`Seen::is_patient`].
    pub is_patient: bool,
}

/// Whoever has the right to the sockets of the one sandbox that this process serves.
pub trait Remote: Send + Sync {
    /// [`HeldSockets::look`], of which so many bytes are known.
    ///
    /// # Errors
    /// As there.
    fn look(
        &self,
        which: Which,
        known: usize,
        most: usize,
        patience: Option<Patience>,
    ) -> io::Result<Held>;
    /// [`HeldSockets::push`].
    fn push(&self, which: Which, ours: [u32; 2]);
    /// [`HeldSockets::push_on`].
    ///
    /// # Errors
    /// As there.
    fn push_on(&self, which: Which) -> io::Result<usize>;
    /// [`HeldSockets::forget`].
    fn forget(&self, cookie: u64);
}

static REMOTE: OnceLock<Box<dyn Remote>> = OnceLock::new();

/// From now on this process, which has no right to them, asks `remote` for the sockets of its sandbox. The first call
/// counts.
pub fn ask_instead(remote: Box<dyn Remote>) {
    REMOTE.get_or_init(|| remote);
}

/// What a socket has that waits for a verdict.
#[derive(Debug, Default)]
pub struct Seen {
    /// What it has not sent, from its first such byte on; none where that is no more than was known.
    pub unsent: Option<Vec<u8>>,
    /// The time-out is as it was to be, or the program's own.
    pub is_patient: bool,
}

type Job = Box<dyn FnOnce(&mut Sockets) + Send>;

/// The sockets of one sandbox, for whoever has no right to them.
#[derive(Debug)]
pub struct HeldSockets {
    cgroup: PathBuf,
    jobs: Option<Sender<Job>>,
}

impl HeldSockets {
    /// Those of the processes in this cgroup and below. There is no thread before one is asked for.
    pub fn of(cgroup: PathBuf) -> Self {
        Self { cgroup, jobs: None }
    }

    /// Others of the same sandbox.
    pub fn again(&self) -> Self {
        Self::of(self.cgroup.clone())
    }

    /// Looks at what a socket has not sent, of which `known` is known: at most `most` bytes of its queue. Where
    /// `patience` is given, its time-out is set, too.
    ///
    /// # Errors
    /// NotFound where no process has it any more, or none that may be looked into.
    pub fn look(
        &mut self,
        which: Which,
        known: Vec<u8>,
        most: usize,
        patience: Option<Patience>,
    ) -> io::Result<Seen> {
        let count = known.len();
        let held = match REMOTE.get() {
            Some(remote) => remote.look(which, count, most, patience)?,
            None => self.ask(move |sockets| sockets.look(which, count, most, patience))?,
        };
        let is_patient = held.is_patient;
        Ok(Seen { unsent: unsent(held, &known), is_patient })
    }

    /// The same for another process: `then` is called with what there is, in the thread of these sockets.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn look_then(
        &mut self,
        which: Which,
        known: usize,
        most: usize,
        patience: Option<Patience>,
        then: impl FnOnce(io::Result<Held>) + Send + 'static,
    ) -> io::Result<()> {
        self.send(Box::new(move |sockets| then(sockets.look(which, known, most, patience))))
    }

    /// [`HeldSockets::push_on`], likewise.
    ///
    /// # Errors
    /// As [`HeldSockets::look_then`].
    pub fn push_on_then(
        &mut self,
        which: Which,
        then: impl FnOnce(io::Result<usize>) + Send + 'static,
    ) -> io::Result<()> {
        self.send(Box::new(move |sockets| then(sockets.push_on(which))))
    }

    /// Has TCP send what a socket holds, and takes the time-outs away that the kernel side and [`HeldSockets::look`] have
    /// set. Does not wait for it; where it cannot be done, TCP's own timer does it.
    pub fn push(&mut self, which: Which, ours: [u32; 2]) {
        if let Some(remote) = REMOTE.get() {
            return remote.push(which, ours);
        }
        let job = move |sockets: &mut Sockets| {
            let pushed = sockets.find(which).and_then(|socket| {
                for from in ours {
                    wait(&socket, Patience { from, to: 0 })?;
                }
                socket.push()
            });
            if let Err(error) = pushed {
                tracing::debug!(%error, "what may leave waits for TCP's timer");
            }
        };
        if let Err(error) = self.send(Box::new(job)) {
            tracing::debug!(%error, "what may leave waits for TCP's timer");
        }
    }

    /// Has TCP send what a socket holds. Gives how many bytes it has not sent then.
    ///
    /// # Errors
    /// As [`HeldSockets::look`].
    pub fn push_on(&mut self, which: Which) -> io::Result<usize> {
        match REMOTE.get() {
            Some(remote) => remote.push_on(which),
            None => self.ask(move |sockets| sockets.push_on(which)),
        }
    }

    /// It is asked for no more.
    pub fn forget(&mut self, cookie: u64) {
        if let Some(remote) = REMOTE.get() {
            return remote.forget(cookie);
        }
        if self.jobs.is_some() {
            let job = move |sockets: &mut Sockets| {
                sockets.places.remove(&cookie);
            };
            // Without a thread nothing is remembered.
            let _ = self.send(Box::new(job));
        }
    }

    fn ask<T: Send + 'static>(
        &mut self,
        what: impl FnOnce(&mut Sockets) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (tell, told) = mpsc::sync_channel(1);
        self.send(Box::new(move |sockets| {
            // Nobody waits any more.
            let _ = tell.send(what(sockets));
        }))?;
        told.recv().map_err(io::Error::other)?
    }

    fn send(&mut self, job: Job) -> io::Result<()> {
        if self.jobs.is_none() {
            let (jobs, waiting) = mpsc::channel::<Job>();
            let mut sockets = Sockets::of(self.cgroup.clone());
            // By the thread that has the right, which the new one inherits.
            SOCKETS.run(move || {
                let work = move || waiting.iter().for_each(|job| job(&mut sockets));
                thread::Builder::new().name("egress-socket".to_owned()).spawn(work).map(drop)
            })??;
            self.jobs = Some(jobs);
        }
        let jobs = self.jobs.as_ref().ok_or(io::ErrorKind::NotFound)?;
        jobs.send(job).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

fn wait(socket: &HeldSocket, Patience { from, to }: Patience) -> io::Result<()> {
    if socket.user_timeout()? == from { socket.set_user_timeout(to) } else { Ok(()) }
}

/// The sockets of one sandbox.
#[derive(Debug)]
struct Sockets {
    /// Where its processes are.
    cgroup: PathBuf,
    /// Where sockets were seen, by their cookies.
    places: HashMap<u64, Place>,
}

impl Sockets {
    fn of(cgroup: PathBuf) -> Self {
        Self { cgroup, places: HashMap::new() }
    }

    fn look(
        &mut self,
        which: Which,
        known: usize,
        most: usize,
        patience: Option<Patience>,
    ) -> io::Result<Held> {
        let socket = self.find(which)?;
        // Without touching the socket's mode: nearly always there is no more.
        let unsent = socket.unsent()?;
        let queue = if unsent <= known { Vec::new() } else { socket.queue(most)? };
        // Where it has grown meanwhile, it cannot be told which of its bytes were sent: next time.
        let (unsent, queue) = match queue.is_empty() || socket.unsent()? == unsent {
            true => (unsent, queue),
            false => (known, Vec::new()),
        };
        let is_patient = match patience {
            Some(patience) => wait(&socket, patience).is_ok(),
            None => false,
        };
        Ok(Held { unsent, queue, is_patient })
    }

    fn push_on(&mut self, which: Which) -> io::Result<usize> {
        let socket = self.find(which)?;
        socket.push()?;
        socket.unsent()
    }

    /// The socket with this cookie, in the process that connected it, or in another one of the sandbox.
    ///
    /// # Errors
    /// NotFound where no process has it any more, or none that may be looked into.
    fn find(&mut self, Which { cookie, tgid }: Which) -> io::Result<HeldSocket> {
        if let Some(place) = self.places.get(&cookie)
            && let Ok(socket) = HeldSocket::at(*place, cookie)
        {
            return Ok(socket);
        }
        if self.places.len() >= MAX_PLACES {
            self.places.clear();
        }
        let own = i32::try_from(tgid).unwrap_or(0);
        let mut processes = vec![own];
        if let Ok(socket) = self.find_in(own, cookie) {
            return Ok(socket);
        }
        // By our own names of them, whatever namespace the kernel side sees.
        processes_of(&self.cgroup, DEPTH, &mut processes);
        let others = processes.into_iter().filter(|process| *process != own);
        for process in others {
            if let Ok(socket) = self.find_in(process, cookie) {
                return Ok(socket);
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    fn find_in(&mut self, process: i32, cookie: u64) -> io::Result<HeldSocket> {
        let places = &mut self.places;
        let socket = HeldSocket::find(process, cookie, |met, place| {
            places.insert(met, place);
        })?;
        places.insert(cookie, socket.place());
        Ok(socket)
    }
}

fn processes_of(cgroup: &Path, depth: usize, processes: &mut Vec<i32>) {
    let listed = fs::read_to_string(cgroup.join("cgroup.procs")).unwrap_or_default();
    processes.extend(listed.lines().filter_map(|line| line.parse::<i32>().ok()));
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(cgroup).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            processes_of(&entry.path(), depth - 1, processes);
        }
    }
}

/// What a socket has not sent, from its first such byte on, beginning with what is known of it; none where it has no
/// more than that.
fn unsent(held: Held, known: &[u8]) -> Option<Vec<u8>> {
    let Held { unsent, mut queue, .. } = held;
    if unsent <= known.len() {
        return None;
    }
    // Behind what was sent and is not acknowledged. The end of the stream counts as one, and is no byte.
    for tail in [unsent, unsent - 1] {
        let Some(at) = queue.len().checked_sub(tail) else { continue };
        if queue.get(at..).is_some_and(|rest| rest.len() > known.len() && rest.starts_with(known)) {
            queue.drain(..at);
            return Some(queue);
        }
    }
    None
}
