//! What the command does not get of what its caller gave it, where a person would look for it in vain.

use std::{
    ffi::OsStr,
    fmt,
    os::unix::{ffi::OsStrExt, fs::FileTypeExt},
    path::{Path, PathBuf},
};

use super::environment::tmux_socket;
use crate::{
    sys::handed::{Closed, NotData},
    text::Printable,
};

/// One thing to be told before the command starts. Its text is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A file is not handed on.
    File {
        /// Its descriptor.
        number: i32,
        /// Why not.
        why: NotData,
    },
    /// A variable was changed, as descriptors that it names are closed.
    Variables(Vec<Printable>),
    /// Variables name sockets that are hidden.
    Hidden(Vec<Printable>),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { number, why: NotData::FileSystem(kind) } => write!(
                f,
                "the file at descriptor {number} is closed to the command: files of its file system (type \
                 {kind:#x}) may be more than data; name it by its path, or pass a pipe"
            ),
            Self::File { number, why: NotData::SharedMemory } => write!(
                f,
                "the memory at descriptor {number} (memfd) is closed to the command, as others may share it; \
                 pass a file or a pipe"
            ),
            Self::Variables(names) => write!(
                f,
                "changed for the command: {}, as the sockets or files that {} not handed on",
                listed(names),
                if names.len() == 1 { "it names are" } else { "they name are" }
            ),
            Self::Hidden(names) => write!(
                f,
                "hidden from the command: what {} to, as the program behind it acts outside of the policy; \
                 `network.unix_sockets`, which would open it, is not built yet",
                match &names[..] {
                    [name] => format!("{name} leads"),
                    names => format!("{} lead", listed(names)),
                }
            ),
        }
    }
}

fn listed(names: &[Printable]) -> String {
    names.iter().map(Printable::as_str).collect::<Vec<_>>().join(", ")
}

impl Note {
    /// Of the files among what is closed. Sockets and directories are not told: programs that start others
    /// leave many of them open without meaning anything by it.
    pub(super) fn of_files(closed: &[Closed]) -> impl Iterator<Item = Self> + '_ {
        closed.iter().filter_map(|Closed { number, file }| {
            Some(Self::File { number: *number, why: (*file)? })
        })
    }
}

/// Sockets of the caller's that its variables name.
#[derive(Debug)]
pub(super) struct Sockets {
    told: Vec<(&'static str, PathBuf)>,
    tmux: Option<PathBuf>,
}

/// Variables that name a socket, and what stands before its path there.
const NAMING: [(&str, &str); 3] =
    [("SSH_AUTH_SOCK", ""), ("DOCKER_HOST", "unix://"), ("CONTAINER_HOST", "unix://")];

impl Sockets {
    /// Those that are there now, before anything is hidden.
    pub(super) fn of_environment() -> Self {
        let find = |(name, start): (&'static str, &str)| {
            let value = std::env::var_os(name)?;
            let path = value.as_bytes().strip_prefix(start.as_bytes())?;
            Some((name, PathBuf::from(OsStr::from_bytes(path))))
        };
        let mut told: Vec<_> = NAMING.into_iter().filter_map(find).collect();
        told.retain(|(_, path)| is_socket(path));
        let tmux = std::env::var_os("TMUX").map(|value| PathBuf::from(tmux_socket(&value)));
        Self { told, tmux: tmux.filter(|path| is_socket(path)) }
    }

    /// Behind that: those that are no longer there, where it is told.
    pub(super) fn note(&self) -> Option<Note> {
        let hidden = self.told.iter().filter(|(_, path)| !is_socket(path));
        let names: Vec<_> = hidden.map(|(name, _)| Printable::from(*name)).collect();
        (!names.is_empty()).then_some(Note::Hidden(names))
    }

    /// Behind that: whether the caller stands in a tmux whose server is no longer there.
    pub(super) fn has_left_tmux(&self) -> bool {
        self.tmux.as_deref().is_some_and(|path| !is_socket(path))
    }
}

fn is_socket(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|data| data.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_one_line_that_names_what_it_is_about() {
        let names = |names: &[&str]| names.iter().map(|name| Printable::from(*name)).collect();
        let notes = [
            (Note::File { number: 3, why: NotData::FileSystem(0x6573_5546) }, "0x65735546"),
            (Note::File { number: 4, why: NotData::SharedMemory }, "descriptor 4"),
            (Note::Variables(names(&["A"])), "changed for the command: A, as"),
            (Note::Variables(names(&["A", "B\n"])), "A, B\\n, as"),
            (Note::Hidden(names(&["SSH_AUTH_SOCK"])), "what SSH_AUTH_SOCK leads to"),
            (Note::Hidden(names(&["A", "B"])), "what A, B lead to"),
        ];
        for (note, part) in notes {
            let text = note.to_string();
            assert!(text.contains(part) && !text.contains('\n'), "{text}");
        }
    }
}
