//! What a worker asks of the broker, and what this tells it: records of one size over a SOCK_SEQPACKET socket that
//! nobody else has.
//!
//! A worker may be in the hands of whoever has found a fault in a parser. So a record has no place for a path, a
//! program, an address to listen on or a right: what can be asked for is what stands here. Whatever is no such
//! record, to its last byte, is refused, and ends the worker.

use self::fields::{cut, put_address, put_which, take_address, take_bool, take_which};
use crate::{
    held_sockets::{Patience, Which},
    kernel::Connected,
    launch::Note,
    wire::{Wire, put_bytes},
};

/// Bytes of every record. What is behind a record's end is zero.
pub const SIZE: usize = 4096;

/// Most bytes of a text in a record: of a longer one the end is left out.
const TEXT: usize = SIZE / 2 - 64;

/// What a socket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// [`crate::held_sockets::Held::unsent`].
    pub unsent: u32,
    /// [`crate::held_sockets::Held::is_patient`].
    pub is_patient: bool,
}

/// What a worker asks for, each of one sandbox by the id of its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of which sandbox: one of the worker's own, or the worker is ended.
    pub sandbox: u64,
    /// What.
    pub what: What,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// That the init prove the path, once: the worker serves.
    Probe,
    /// That the command start, once, behind the proof.
    Start,
    /// That the unanswered direct connection with this cookie end. No answer.
    End(u64),
    /// That this connection of the sandbox's end. No answer.
    EndConnection(Connected),
    /// To be told when everything that was to end has ended.
    Settle,
    /// What a socket of the sandbox holds that has not been sent ([`crate::held_sockets`]).
    Look {
        /// Which.
        which: Which,
        /// How many bytes of it are known.
        known: u32,
        /// How many bytes its queue may have; more than [`MOST_QUEUED`] are never read.
        most: u32,
        /// What becomes of its time-out.
        patience: Option<Patience>,
    },
    /// That TCP send what a socket of the sandbox holds, without the time-outs that were set. No answer.
    Push {
        /// Which.
        which: Which,
        /// The time-outs, in milliseconds.
        ours: [u32; 2],
    },
    /// The same; to be told how many bytes it has not sent.
    PushOn(Which),
    /// Nothing more of a socket: its cookie. No answer.
    Forget(u64),
    /// Whether the command could write one of the files that are sent along.
    MayWrite,
    /// Nothing: everything that the command wrote is delivered, or given up.
    Drained,
    /// Nothing: the worker has told all there is to tell, and ends.
    Finished {
        /// Whether anything was refused.
        has_refused: bool,
    },
    /// Nothing: the worker has told why it cannot serve, and ends.
    Failed,
}

/// What the broker tells a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tell {
    /// What was made for it. Descriptors are sent along, in the order of [`Given::descriptors`].
    Given(Given),
    /// Something to be told to the person at the start.
    Note(Note),
    /// The path works.
    Probed,
    /// The command runs.
    Started,
    /// Everything that was to end has ended, or takes too long.
    Settled(bool),
    /// The command could write one of these files.
    MayWrite(bool),
    /// What a socket holds; a file in memory with its queue is sent along, unless that is empty. None where it is not
    /// there any more, or cannot be looked into.
    Seen(Option<Seen>),
    /// How many bytes a socket has not sent.
    Unsent(Option<u32>),
    /// The command has ended: everything that it wrote is to be delivered.
    Drain {
        /// A signal came that it had no time to get: nothing is to be waited for.
        is_interrupted: bool,
    },
    /// What is still to be delivered is given up.
    GiveUp,
    /// Nothing of the command is left, unless processes do not die: it is to be summed up.
    Ended {
        /// Whether none does.
        is_empty: bool,
    },
    /// The broker has told a person why it ends.
    Gone,
}

/// Most bytes of a socket's queue that are read for a worker.
pub const MOST_QUEUED: u32 = 1 << 18;

/// What was made for a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// The sandbox, by the id of its cgroup.
    pub sandbox: u64,
    /// Its name among the runs of this boot.
    pub name: String,
    /// [`crate::kernel::MapSet::judges_hellos`].
    pub judges_hellos: bool,
    /// [`crate::kernel::Loaded::chooses_errno`].
    pub chooses_errno: bool,
    /// Whether the kernel can end connections here.
    pub can_end: bool,
    /// How many maps there are.
    pub maps: u8,
    /// How many transparent listeners of IPv4.
    pub tcp4: u8,
    /// How many of IPv6; 0 where there is no IPv6.
    pub tcp6: u8,
    /// How many raw sockets answer held connects: none, IPv4's, or both.
    pub raw: u8,
    /// Why `egress status` will not show it; empty where it will.
    pub status_error: String,
}

impl Given {
    /// How many descriptors are sent along: maps; of each family the transparent listeners, the DNS socket and the
    /// DNS listener; raw sockets; the status listener.
    pub fn descriptors(&self) -> usize {
        let family = |tcp: u8| if tcp == 0 { 0 } else { usize::from(tcp) + 2 };
        let status = usize::from(self.status_error.is_empty());
        usize::from(self.maps)
            + family(self.tcp4)
            + family(self.tcp6)
            + usize::from(self.raw)
            + status
    }
}

/// The record of a message.
pub fn encode(message: &impl Record) -> [u8; SIZE] {
    let mut bytes = Vec::with_capacity(SIZE);
    message.write(&mut bytes);
    let mut record = [0; SIZE];
    // No message is longer: texts are cut.
    for (to, from) in record.iter_mut().zip(bytes) {
        *to = from;
    }
    record
}

/// The message of a record; none where it is anything else.
pub fn decode<M: Record>(record: &[u8]) -> Option<M> {
    if record.len() != SIZE {
        return None;
    }
    let mut rest = record;
    let message = M::read(&mut rest)?;
    rest.iter().all(|byte| *byte == 0).then_some(message)
}

/// A message that has a record.
pub trait Record: Sized {
    /// Adds its bytes.
    #[doc(hidden)]
    fn write(&self, to: &mut Vec<u8>);
    /// Takes it from the beginning.
    #[doc(hidden)]
    fn read(from: &mut &[u8]) -> Option<Self>;
}

impl Record for Ask {
    fn write(&self, to: &mut Vec<u8>) {
        self.sandbox.put(to);
        match &self.what {
            What::Probe => to.push(1),
            What::Start => to.push(2),
            What::End(cookie) => {
                to.push(3);
                cookie.put(to);
            }
            What::EndConnection(Connected { source, destination, cookie }) => {
                to.push(4);
                put_address(*source, to);
                put_address(*destination, to);
                cookie.put(to);
            }
            What::Settle => to.push(5),
            What::MayWrite => to.push(6),
            What::Drained => to.push(7),
            What::Finished { has_refused } => to.extend([8, u8::from(*has_refused)]),
            What::Failed => to.push(9),
            What::Look { which, known, most, patience } => {
                to.push(10);
                put_which(*which, to);
                known.put(to);
                most.put(to);
                to.push(u8::from(patience.is_some()));
                if let Some(Patience { from, to: until }) = patience {
                    from.put(to);
                    until.put(to);
                }
            }
            What::Push { which, ours: [one, other] } => {
                to.push(11);
                put_which(*which, to);
                one.put(to);
                other.put(to);
            }
            What::PushOn(which) => {
                to.push(12);
                put_which(*which, to);
            }
            What::Forget(cookie) => {
                to.push(13);
                cookie.put(to);
            }
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        let sandbox = u64::take(from)?;
        let what = match u8::take(from)? {
            1 => What::Probe,
            2 => What::Start,
            3 => What::End(u64::take(from)?),
            4 => What::EndConnection(Connected {
                source: take_address(from)?,
                destination: take_address(from)?,
                cookie: u64::take(from)?,
            }),
            5 => What::Settle,
            6 => What::MayWrite,
            7 => What::Drained,
            8 => What::Finished { has_refused: take_bool(from)? },
            9 => What::Failed,
            10 => What::Look {
                which: take_which(from)?,
                known: u32::take(from)?,
                most: u32::take(from)?,
                patience: match take_bool(from)? {
                    true => Some(Patience { from: u32::take(from)?, to: u32::take(from)? }),
                    false => None,
                },
            },
            11 => {
                What::Push { which: take_which(from)?, ours: [u32::take(from)?, u32::take(from)?] }
            }
            12 => What::PushOn(take_which(from)?),
            13 => What::Forget(u64::take(from)?),
            _ => return None,
        };
        Some(Self { sandbox, what })
    }
}

impl Record for Tell {
    fn write(&self, to: &mut Vec<u8>) {
        match self {
            Self::Given(given) => {
                to.push(1);
                given.sandbox.put(to);
                let flags = [given.judges_hellos, given.chooses_errno, given.can_end];
                to.extend(flags.map(u8::from));
                to.extend([given.maps, given.tcp4, given.tcp6, given.raw]);
                put_bytes(cut(&given.name, TEXT), to);
                put_bytes(cut(&given.status_error, TEXT), to);
            }
            Self::Note(note) => {
                to.push(2);
                note.put(to);
            }
            Self::Probed => to.push(3),
            Self::Started => to.push(4),
            Self::Settled(all) => to.extend([5, u8::from(*all)]),
            Self::MayWrite(may) => to.extend([6, u8::from(*may)]),
            Self::Drain { is_interrupted } => to.extend([7, u8::from(*is_interrupted)]),
            Self::GiveUp => to.push(8),
            Self::Ended { is_empty } => to.extend([9, u8::from(*is_empty)]),
            Self::Gone => to.push(10),
            Self::Seen(seen) => {
                to.extend([11, u8::from(seen.is_some())]);
                if let Some(Seen { unsent, is_patient }) = seen {
                    unsent.put(to);
                    to.push(u8::from(*is_patient));
                }
            }
            Self::Unsent(unsent) => {
                to.push(12);
                unsent.put(to);
            }
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        Some(match u8::take(from)? {
            1 => Self::Given(Given {
                sandbox: u64::take(from)?,
                judges_hellos: take_bool(from)?,
                chooses_errno: take_bool(from)?,
                can_end: take_bool(from)?,
                maps: u8::take(from)?,
                tcp4: u8::take(from)?,
                tcp6: u8::take(from)?,
                raw: u8::take(from)?,
                name: String::from_utf8(Vec::take(from)?).ok()?,
                status_error: String::from_utf8(Vec::take(from)?).ok()?,
            }),
            2 => Self::Note(Note::take(from)?),
            3 => Self::Probed,
            4 => Self::Started,
            5 => Self::Settled(take_bool(from)?),
            6 => Self::MayWrite(take_bool(from)?),
            7 => Self::Drain { is_interrupted: take_bool(from)? },
            8 => Self::GiveUp,
            9 => Self::Ended { is_empty: take_bool(from)? },
            10 => Self::Gone,
            11 => Self::Seen(match take_bool(from)? {
                true => Some(Seen { unsent: u32::take(from)?, is_patient: take_bool(from)? }),
                false => None,
            }),
            12 => Self::Unsent(Wire::take(from)?),
            _ => return None,
        })
    }
}

mod fields;
#[cfg(test)]
mod tests;
