//! The kernel side's reading of what a TLS client sends around its hellos, by the headers of records.

use core::hint::black_box;

use crate::hello::{Bytes, Finding, word};

/// Every offset of a record is below this: the largest packet is of half a MiB, and the record behind
/// it begins 64 KiB later at most.
const OFFSETS: u32 = 1 << 20;
/// Most records of a segment that are read around a hello.
pub const MAX_RECORDS: u32 = 32;

/// A walk over the records of a segment that are no handshake: what a client may send around its
/// hellos before the server has answered.
#[derive(Clone, Copy, Debug)]
pub struct Records {
    /// Where the next record begins; behind the segment's end where the last one goes on there.
    next: u32,
    /// Where the segment ends.
    end: u32,
    /// Where a handshake record begins; 0: none.
    hello: u32,
    /// The [`Finding`] of a broken record, 0 without one.
    broken: u32,
}

impl Records {
    /// From an offset at which a record begins to the segment's end.
    #[inline(always)]
    pub fn new(next: u32, end: u32) -> Self {
        Self { next, end, hello: 0, broken: 0 }
    }

    /// Passes one record; false when there are no more, or this one is a handshake, or none at all.
    #[inline(always)]
    pub fn step(&mut self, bytes: &impl Bytes) -> bool {
        if self.next >= self.end {
            return false;
        }
        if self.next + 5 > self.end {
            self.broken = Finding::Incomplete as u32;
            return false;
        }
        let Some([kind, major, _, l1, l2]) = bytes.load::<5>(self.next) else {
            self.broken = Finding::Malformed as u32;
            return false;
        };
        match kind {
            22 => {
                self.hello = self.next;
                return false;
            }
            // A change of cipher spec, an alert, early data: no server reads a name in them.
            20 | 21 | 23 if major == 3 => {}
            _ => {
                self.broken = Finding::Malformed as u32;
                return false;
            }
        }
        self.next = black_box(self.next + 5 + word([l1, l2])) & (OFFSETS - 1);
        true
    }

    /// After the last step: where a handshake record begins, or none and where the next record will.
    ///
    /// # Errors
    /// What is wrong with them.
    #[inline(always)]
    pub fn finish(&self) -> Result<(Option<u32>, u32), Finding> {
        if self.broken == Finding::Incomplete as u32 {
            return Err(Finding::Incomplete);
        }
        if self.broken != 0 {
            return Err(Finding::Malformed);
        }
        if self.hello != 0 {
            return Ok((Some(self.hello), self.hello));
        }
        if self.next < self.end {
            return Err(Finding::Unreadable);
        }
        Ok((None, self.next))
    }
}
