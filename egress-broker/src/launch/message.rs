//! What the parent and the sandbox's init say to each other, over a socket that nobody else has.

use std::{
    ffi::{CString, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use nix::unistd::{Gid, Uid};

use super::{capabilities::Capabilities, command::Command, note::Note, user::User};
pub(super) use crate::wire::{receive, send};
use crate::{
    sys::{handed::NotData, inherited::Inherited},
    text::Printable,
    wire::{Wire, put_all, put_bytes, take_all},
};

/// The first message: what to prepare, and what to execute at last. The environment and the working directory
/// are the process's own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spec {
    /// The directory of the sandbox's cgroup.
    pub(super) cgroup: OsString,
    pub(super) command: Command,
    /// For the command, not for the init.
    pub(super) inherited: Inherited,
}

/// What the parent says next, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Prove that the path works.
    Probe,
    /// Start the command.
    Start,
    /// It was heard that the command stands.
    Heard,
    /// The same, and the command may go on.
    Continue,
}

/// What the init answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Report {
    /// The path works. What there is to be told before the command starts.
    Probed(Vec<Note>),
    /// The command runs.
    Started,
    /// The command stands, by its id there; told once until it is heard.
    Stopped(i32),
    /// Nothing runs, and the init has ended.
    Failed {
        /// Exit code of the run.
        code: u8,
        /// What failed and why.
        text: String,
    },
}

impl Wire for OsString {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self::from_vec(Vec::take(from)?))
    }
}

impl Wire for Inherited {
    fn put(&self, to: &mut Vec<u8>) {
        self.numbers().iter().for_each(|number| number.put(to));
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let mut numbers = [0; 5];
        for number in &mut numbers {
            *number = u64::take(from)?;
        }
        Some(Self::of_numbers(numbers))
    }
}

impl Wire for User {
    fn put(&self, to: &mut Vec<u8>) {
        self.uid.as_raw().put(to);
        self.gid.as_raw().put(to);
        let groups: Vec<u32> = self.groups.iter().map(|group| group.as_raw()).collect();
        put_all(&groups, to);
        put_bytes(self.name.to_bytes(), to);
        put_bytes(self.home.as_os_str().as_bytes(), to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            uid: Uid::from_raw(u32::take(from)?),
            gid: Gid::from_raw(u32::take(from)?),
            groups: take_all::<u32>(from)?.into_iter().map(Gid::from_raw).collect(),
            name: CString::new(Vec::take(from)?).ok()?,
            home: OsString::take(from)?.into(),
        })
    }
}

impl Wire for Command {
    fn put(&self, to: &mut Vec<u8>) {
        self.program.put(to);
        put_all(&self.arguments, to);
        self.user.put(to);
        u8::from(self.capabilities == Capabilities::Container).put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            program: OsString::take(from)?,
            arguments: take_all(from)?,
            user: Wire::take(from)?,
            capabilities: match u8::take(from)? {
                0 => Capabilities::None,
                1 => Capabilities::Container,
                _ => return None,
            },
        })
    }
}

impl Wire for Spec {
    fn put(&self, to: &mut Vec<u8>) {
        self.cgroup.put(to);
        self.command.put(to);
        self.inherited.put(to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let cgroup = OsString::take(from)?;
        Some(Self { cgroup, command: Command::take(from)?, inherited: Inherited::take(from)? })
    }
}

impl Wire for Order {
    fn put(&self, to: &mut Vec<u8>) {
        to.push(match self {
            Self::Probe => 1,
            Self::Start => 2,
            Self::Heard => 3,
            Self::Continue => 4,
        });
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(from)? {
            1 => Self::Probe,
            2 => Self::Start,
            3 => Self::Heard,
            4 => Self::Continue,
            _ => return None,
        })
    }
}

impl Wire for Report {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::Probed(notes) => {
                to.push(1);
                put_all(notes, to);
            }
            Self::Started => to.push(2),
            Self::Stopped(id) => {
                to.push(3);
                id.put(to);
            }
            Self::Failed { code, text } => {
                to.extend([4, *code]);
                put_bytes(text.as_bytes(), to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(from)? {
            1 => Self::Probed(take_all(from)?),
            2 => Self::Started,
            3 => Self::Stopped(i32::take(from)?),
            4 => Self::Failed {
                code: u8::take(from)?,
                text: String::from_utf8(Vec::take(from)?).ok()?,
            },
            _ => return None,
        })
    }
}

/// What is read is made printable again.
impl Wire for Printable {
    fn put(&self, to: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), to);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        String::from_utf8(Vec::take(from)?).ok().map(Self::from)
    }
}

impl Wire for Note {
    fn put(&self, to: &mut Vec<u8>) {
        match self {
            Self::File { number, why: NotData::FileSystem(kind) } => {
                to.push(1);
                number.put(to);
                kind.put(to);
            }
            Self::File { number, why: NotData::SharedMemory } => {
                to.push(2);
                number.put(to);
            }
            Self::Variables(names) => {
                to.push(3);
                put_all(names, to);
            }
            Self::Hidden(names) => {
                to.push(4);
                put_all(names, to);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(from)? {
            1 => {
                Self::File { number: i32::take(from)?, why: NotData::FileSystem(u64::take(from)?) }
            }
            2 => Self::File { number: i32::take(from)?, why: NotData::SharedMemory },
            3 => Self::Variables(take_all(from)?),
            4 => Self::Hidden(take_all(from)?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;
