//! The program's own socket, from outside: for what packets alone do not do. Every system call on a sandbox's sockets that
//! is made for what is held stands behind this.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::sys::held_socket::{HeldSocket, Place};

/// Deepest below a sandbox's cgroup that processes are looked for.
const DEPTH: usize = 8;

/// Most places that are remembered; when there are more, all are looked for anew.
const MAX_PLACES: usize = 1 << 16;

/// The sockets of one sandbox.
#[derive(Debug)]
pub struct Sockets {
    /// Where its processes are.
    cgroup: PathBuf,
    /// Where sockets were seen, by their cookies.
    places: HashMap<u64, Place>,
}

impl Sockets {
    /// Those of the processes in this cgroup and below.
    pub fn of(cgroup: PathBuf) -> Self {
        Self { cgroup, places: HashMap::new() }
    }

    /// Those of the same sandbox, none of which was seen yet.
    pub fn emptied(&self) -> Self {
        Self::of(self.cgroup.clone())
    }

    /// The socket with this cookie, in the process that connected it, or in another one of the sandbox.
    ///
    /// # Errors
    /// NotFound where no process has it any more, or none that may be looked into.
    pub fn find(&mut self, cookie: u64, tgid: u32) -> io::Result<HeldSocket> {
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

    /// Its place counts no more.
    pub fn forget(&mut self, cookie: u64) {
        self.places.remove(&cookie);
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

/// What the socket has not sent, from its first such byte on, beginning with what is known of it; none where it has no
/// more than that.
///
/// # Errors
/// As [`HeldSocket::queue`].
pub fn unsent(socket: &HeldSocket, known: &[u8], most: usize) -> io::Result<Option<Vec<u8>>> {
    // Without touching the socket's mode: nearly always there is no more.
    let unsent = socket.unsent()?;
    if unsent <= known.len() {
        return Ok(None);
    }
    let mut queue = socket.queue(most)?;
    // Behind what was sent and is not acknowledged. The end of the stream counts as one, and is no byte.
    for tail in [unsent, unsent - 1] {
        let Some(at) = queue.len().checked_sub(tail) else { continue };
        if queue.get(at..).is_some_and(|rest| rest.len() > known.len() && rest.starts_with(known)) {
            queue.drain(..at);
            return Ok(Some(queue));
        }
    }
    Ok(None)
}
