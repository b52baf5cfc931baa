//! How fast a direction goes: when it is spliced, and when it lets others have their turn.

/// A task gives way after moving so much without having to wait, so that one busy connection
/// can't starve its thread's others. About 100 µs of copying.
const TURN_BYTES: usize = 1024 * 1024;

/// The same for many small reads.
const TURN_READS: usize = 32;

/// A read that says that a direction is busy.
const BUSY_BYTES: usize = 64 * 1024;

/// So many of them in a row, and the direction is spliced.
const BUSY_READS: u32 = 3;

/// A spliced read below this is a sign of rest.
pub(super) const IDLE_BYTES: usize = 16 * 1024;

/// So many of them in a row, and the direction is copied again.
const IDLE_READS: u32 = 16;

/// What a task has done since it last waited or gave way.
#[derive(Default)]
pub(super) struct Turns {
    bytes: usize,
    reads: usize,
}

impl Turns {
    /// One read of so many bytes, all of them written.
    pub(super) fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.reads += 1;
    }

    /// Whether others are to have their turn.
    pub(super) fn is_over(&self) -> bool {
        self.bytes >= TURN_BYTES || self.reads >= TURN_READS
    }
}

/// Whether a direction is busy, by its last reads.
#[derive(Debug, Default)]
pub(super) struct Pace {
    busy: bool,
    /// Reads in a row that speak against the present state.
    against: u32,
}

impl Pace {
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }

    pub(super) fn read(&mut self, bytes: usize) {
        let (other, limit) = match self.busy {
            false => (bytes >= BUSY_BYTES, BUSY_READS),
            true => (bytes < IDLE_BYTES, IDLE_READS),
        };
        self.against = if other { self.against + 1 } else { 0 };
        if self.against >= limit {
            *self = Self { busy: !self.busy, against: 0 };
        }
    }
}
