//! One connection of which the kernel side holds something: its bytes, put together from the pieces that are told.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use egress_common::payload::{HELD_BYTES, PieceHead, piece};

use crate::{
    judge::{Followed, HeldBytes},
    kernel::HeldPiece,
};

/// As long as the proxy waits for a verdict, from the first byte that is held.
pub(super) const VERDICT_WITHIN: Duration = Duration::from_secs(30);

/// As the proxy: where a client that stops speaks another protocol than TLS and HTTP.
const OPAQUE_AFTER: Duration = Duration::from_secs(2);

/// A piece that does not fit to what there is: of TCP it cannot come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misfit;

/// Bytes that may leave and, as far as is known, have not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// Sequence number of the first.
    pub(super) from: u32,
    pub(super) length: usize,
    /// One of [`egress_common::payload::then`].
    pub(super) then: u32,
    /// Hellos that have left once these have.
    pub(super) hellos: u32,
    /// Until when all of them have been looked after, so many times.
    pub(super) looks: u32,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) head: PieceHead,
    /// Sequence number of the first byte that has not left.
    from: u32,
    bytes: Vec<u8>,
    /// How many of these came by packets; the rest was seen in the socket.
    told: usize,
    /// What was seen in the socket was something else: what may leave has to be written anew.
    pub(super) is_revised: bool,
    ended: bool,
    pub(super) followed: Followed,
    /// When the first of these bytes came, and the last.
    since: Instant,
    last: Instant,
    /// When it is looked after next.
    pub(super) look_at: Option<Instant>,
    /// How often more was looked for since the last byte came.
    pub(super) searches: u32,
    pub(super) standing: Option<Standing>,
    /// It is being ended: what still comes of it is nobody's concern.
    pub(super) is_refused: bool,
    /// Its time-out is long enough for a verdict, since it was set or is the program's own.
    pub(super) is_extended: bool,
    /// It could not be set: the kernel gives the connection up soon.
    pub(super) is_short: bool,
}

impl Connection {
    /// Of its first piece, which is yet to be added.
    pub(super) fn new(head: PieceHead, now: Instant) -> Self {
        Self {
            head,
            from: head.next,
            bytes: Vec::new(),
            told: 0,
            is_revised: false,
            ended: false,
            followed: Followed::default(),
            since: now,
            last: now,
            look_at: None,
            searches: 0,
            standing: None,
            is_refused: false,
            is_extended: false,
            is_short: false,
        }
    }

    /// Where it goes.
    pub(super) fn to(&self) -> SocketAddr {
        SocketAddr::new(self.head.original.into(), self.head.original_port)
    }

    /// Adds a piece of the same connection.
    ///
    /// # Errors
    /// When it is not what has to come.
    pub(super) fn add(&mut self, piece: &HeldPiece, now: Instant) -> Result<(), Misfit> {
        self.head = piece.head;
        let left = piece.head.next.wrapping_sub(self.from);
        if left < 1 << 31 {
            self.leave(left as usize, now);
        }
        let at = piece.head.sequence.wrapping_sub(self.from) as usize;
        // Packets say what will leave. Of what was seen in the socket the beginning may have been taken for another.
        if at >= self.told && !agree(self.bytes.get(at..).unwrap_or_default(), &piece.bytes) {
            self.bytes.truncate(at);
            self.is_revised = true;
        }
        self.put(at, &piece.bytes, now)?;
        self.told = self.told.max((at + piece.bytes.len()).min(self.bytes.len()));
        self.ended |= piece.head.flags & piece::END != 0;
        Ok(())
    }

    /// Adds what the socket has, from the first byte on that has not left.
    ///
    /// # Errors
    /// When it is not what is there.
    pub(super) fn extend(&mut self, bytes: &[u8], now: Instant) -> Result<(), Misfit> {
        self.put(0, bytes, now)
    }

    fn put(&mut self, at: usize, bytes: &[u8], now: Instant) -> Result<(), Misfit> {
        let known = self.bytes.get(at..).ok_or(Misfit)?;
        if !agree(known, bytes) {
            return Err(Misfit);
        }
        let fresh = bytes.get(known.len()..).unwrap_or_default();
        let room = (HELD_BYTES as usize).saturating_sub(self.bytes.len());
        let fresh = fresh.get(..room).unwrap_or(fresh);
        if !fresh.is_empty() {
            if self.bytes.is_empty() {
                self.since = now;
            }
            self.last = now;
            self.searches = 0;
            self.bytes.extend_from_slice(fresh);
        }
        Ok(())
    }

    /// It is being ended: nothing of it is kept but that.
    pub(super) fn refuse(&mut self) {
        self.is_refused = true;
        self.bytes = Vec::new();
        self.told = 0;
        self.followed = Followed::default();
    }

    /// So many bytes have left.
    pub(super) fn leave(&mut self, bytes: usize, now: Instant) {
        self.bytes.drain(..bytes.min(self.bytes.len()));
        self.told = self.told.saturating_sub(bytes);
        self.followed.leave(bytes);
        self.from = self.from.wrapping_add(bytes as u32);
        if bytes > 0 {
            self.since = now;
        }
    }

    /// Sequence number of the first byte that has not left.
    pub(super) fn from(&self) -> u32 {
        self.from
    }

    /// The bytes that have not left.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether as much is held as may be.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= HELD_BYTES as usize
    }

    /// How long the first byte has waited.
    pub(super) fn waited(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// When a verdict is due that does not depend on more bytes.
    pub(super) fn deadline(&self, now: Instant) -> Instant {
        let pause = self.last + OPAQUE_AFTER;
        let late = self.since + VERDICT_WITHIN;
        if pause > now { pause.min(late) } else { late }
    }

    /// What is to be judged.
    pub(super) fn held(&self, now: Instant) -> HeldBytes<'_> {
        let is_provisional = self.head.flags & piece::PROVISIONAL != 0;
        let record = self.head.record.wrapping_sub(self.from);
        HeldBytes {
            bytes: &self.bytes,
            ended: self.ended,
            hellos: self.head.hellos.into(),
            record: if is_provisional && record < 1 << 31 { record as usize } else { 0 },
            paused: now.saturating_duration_since(self.last) >= OPAQUE_AFTER,
            // What does not fit will not come.
            late: self.waited(now) >= VERDICT_WITHIN || self.is_full(),
        }
    }
}

/// Whether two are alike as far as both go.
fn agree(one: &[u8], other: &[u8]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

#[cfg(test)]
mod tests;
