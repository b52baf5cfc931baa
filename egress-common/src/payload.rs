//! Payloads of direct connections that the kernel side does not judge alone: copies of what is held go to user
//! space, which judges them by the proxy's parsers and approves exactly those bytes.

use crate::address::Address;

/// Bytes of payload in a record of the ring, where it is large. A power of two.
pub const PIECE_BYTES: usize = 2048;

/// The same of a small record: most of what is held grows by a few bytes at a time. A power of two.
pub const SMALL_PIECE_BYTES: usize = 128;

/// Most bytes of a connection that are copied before something of it is let out: the largest segment that TCP makes
/// without jumbograms (RFC 2675), and twice what a hello may take ([`crate::hello`]).
pub const HELD_BYTES: u32 = 1 << 16;

/// Bytes of a block of [`crate::abi::map::APPROVED`]. A power of two.
pub const BLOCK_BYTES: usize = 2048;

/// Bytes that are compared at once, at a multiple of this in the stream. A power of two.
pub const CHUNK_BYTES: usize = 64;

/// A record of the ring buffer [`crate::abi::map::PAYLOADS`], with [`SMALL_PIECE_BYTES`] or [`PIECE_BYTES`] bytes behind it:
/// some bytes of a payload that is held. Each byte of a connection is told once.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PieceHead {
    /// [`crate::sandbox::Sandbox::id`].
    pub sandbox: u64,
    /// The program's socket.
    pub cookie: u64,
    /// [`crate::flow::SocketState::connected_ns`]: a socket may be connected again.
    pub connected_ns: u64,
    /// Where it goes.
    pub original: Address,
    /// Its port, host byte order.
    pub original_port: u16,
    /// Bytes of payload in this record.
    pub length: u16,
    /// [`crate::hello::Finding`] as a number: why the kernel side does not judge it.
    pub finding: u8,
    /// Hellos of the connection that have left.
    pub hellos: u8,
    /// [`piece`].
    pub flags: u16,
    /// Thread group of the program that connected.
    pub tgid: u32,
    /// Sequence number of the first byte here.
    pub sequence: u32,
    /// Of the first byte of the connection that has not been let out.
    pub next: u32,
    /// Where the client's next record begins; only with [`piece::PROVISIONAL`].
    pub record: u32,
}

/// [`PieceHead::flags`].
pub mod piece {
    /// The client sends nothing behind this.
    pub const END: u16 = 1;
    /// A hello has left, and the server has not answered it.
    pub const PROVISIONAL: u16 = 2;
}

/// A small record of the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallPiece {
    /// Whose it is.
    pub head: PieceHead,
    /// The payload, as far as [`PieceHead::length`] says.
    pub bytes: [u8; SMALL_PIECE_BYTES],
}

/// A large record of the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose it is.
    pub head: PieceHead,
    /// The payload, as far as [`PieceHead::length`] says.
    pub bytes: [u8; PIECE_BYTES],
}

/// Value of the map [`crate::abi::map::APPROVALS`]: these bytes of a connection may leave, each as it stands in
/// [`crate::abi::map::APPROVED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Approval {
    /// As in [`PieceHead`].
    pub connected_ns: u64,
    /// [`crate::pin::NameValue::pin`] of the name that they name; 0 without one.
    pub pin: u64,
    /// Sequence number of the first.
    pub from: u32,
    /// How many; never 0.
    pub length: u32,
    /// With [`then::HELLO`]: where the client's next record begins.
    pub record: u32,
    /// With [`then::HELLO`]: hellos of the connection that have left then.
    pub hellos: u32,
    /// [`then`].
    pub then: u32,
    /// Zero.
    pub reserved: u32,
}

/// [`Approval::then`]: what the connection is once all of it has left.
pub mod then {
    /// As it was: what follows is asked for, too.
    pub const ASK: u32 = 0;
    /// Provisional: the bytes end in a hello, or in what may stand around one.
    pub const HELLO: u32 = 1;
    /// Verified: everything behind them passes.
    pub const PASS: u32 = 2;
}

/// Key of the map [`crate::abi::map::APPROVED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockKey {
    /// The program's socket.
    pub cookie: u64,
    /// Sequence number of the block's first byte, by [`BLOCK_BYTES`]: where a byte stands does not depend on where an
    /// approval begins.
    pub block: u64,
}

/// Value of the map [`crate::abi::map::APPROVED`]: bytes of a stream at their places. What an approval does not name
/// is whatever it is.
#[repr(C, align(8))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// One more chunk than a block has: a read of words may go beyond its end.
    pub bytes: [u8; BLOCK_BYTES + CHUNK_BYTES],
}

impl BlockKey {
    /// Of the byte with this sequence number.
    #[inline(always)]
    pub const fn of(cookie: u64, sequence: u32) -> Self {
        Self { cookie, block: (sequence as u64) / BLOCK_BYTES as u64 }
    }
}
