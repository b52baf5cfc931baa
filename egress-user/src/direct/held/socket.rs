//! The program's own socket, from outside: for what packets alone do not do. Every system call on a sandbox's sockets that
//! is made for what is held stands behind this.

use std::{fs, io, path::Path};

use super::connection::Connection;
use crate::sys::held_socket::HeldSocket;

/// Deepest below a sandbox's cgroup that processes are looked for.
const DEPTH: usize = 8;

/// The socket of a connection, in the process that connected, or in another one of the sandbox, whose cgroup this is.
pub(super) fn find(connection: &mut Connection, cgroup: &Path) -> io::Result<HeldSocket> {
    let cookie = connection.head.cookie;
    if let Some(place) = connection.place
        && let Ok(socket) = HeldSocket::at(place, cookie)
    {
        return Ok(socket);
    }
    let own = i32::try_from(connection.head.tgid).unwrap_or(0);
    let mut found = HeldSocket::find(own, cookie);
    if found.is_err() {
        let mut processes = Vec::new();
        // By our own names of them, whatever namespace the kernel side sees.
        processes_of(cgroup, DEPTH, &mut processes);
        let all = processes.into_iter().filter(|process| *process != own);
        found = all
            .filter_map(|process| HeldSocket::find(process, cookie).ok())
            .next()
            .ok_or_else(|| io::ErrorKind::NotFound.into());
    }
    connection.place = found.as_ref().ok().map(HeldSocket::place);
    found
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
pub(super) fn unsent(
    socket: &HeldSocket,
    known: &[u8],
    most: usize,
) -> io::Result<Option<Vec<u8>>> {
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
