//! Copies of held payloads, and the comparison of what leaves with what is approved.

use core::{ffi::c_void, hint::black_box};

use aya_ebpf::helpers::generated::{bpf_loop, bpf_skb_load_bytes};
use egress_common::{
    payload::{
        BLOCK_BYTES, BlockKey, CHUNK_BYTES, HELD_BYTES, PIECE_BYTES, Piece, PieceHead,
        SMALL_PIECE_BYTES, SmallPiece, piece,
    },
    usage::ring_bytes,
};

use super::{Packet, SocketRecord, packet::has_loop};
use crate::maps::{APPROVED, PAYLOADS};

/// Words of a chunk.
const WORDS: usize = CHUNK_BYTES / 8;
/// One more than fit: a first one may be short.
const MAX_CHUNKS: u32 = HELD_BYTES / CHUNK_BYTES as u32 + 1;
/// A piece each, and one without bytes.
const MAX_PIECES: u32 = HELD_BYTES / PIECE_BYTES as u32 + 1;

/// Bytes of a segment that are compared with the blocks of [`APPROVED`].
struct Compared {
    packet: Packet,
    cookie: u64,
    /// Where the next one stands in the stream, and in the packet.
    sequence: u32,
    offset: u32,
    /// How many are to come.
    left: u32,
}

/// Bytes of a segment that are copied to the ring.
struct Copied {
    packet: Packet,
    socket: SocketRecord,
    sequence: u32,
    offset: u32,
    left: u32,
    /// [`piece::END`] or 0: of the last one.
    end: u16,
    finding: u8,
    /// The last one is told.
    done: u8,
}

impl Packet {
    /// Whether the kernel has `bpf_loop`: without it user space is asked for nothing.
    #[inline(always)]
    pub fn can_ask() -> bool {
        has_loop()
    }

    /// Whether `length` bytes at this offset of the packet, from this sequence number on, are those that are approved.
    #[inline(always)]
    pub fn is_approved(&self, sequence: u32, offset: u32, length: u32) -> bool {
        let mut compared =
            Compared { packet: *self, cookie: self.cookie(), sequence, offset, left: length };
        // SAFETY: the verifier checks `compare` with `compared` as its argument.
        unsafe { bpf_loop(MAX_CHUNKS, compare as *mut c_void, (&raw mut compared).cast(), 0) };
        compared.left == 0
    }

    /// Copies `length` bytes at this offset of the packet, from this sequence number on, to the ring; an `end` of the
    /// stream behind them is told, too. Gives the sequence number behind the last byte that is told.
    #[inline(always)]
    pub fn tell(
        &self,
        socket: SocketRecord,
        sequence: u32,
        offset: u32,
        length: u32,
        end: bool,
        finding: u8,
    ) -> u32 {
        let end = if end { piece::END } else { 0 };
        let mut copied =
            Copied { packet: *self, socket, sequence, offset, left: length, end, finding, done: 0 };
        // SAFETY: the verifier checks `copy` with `copied` as its argument.
        unsafe { bpf_loop(MAX_PIECES, copy as *mut c_void, (&raw mut copied).cast(), 0) };
        copied.sequence.wrapping_add(u32::from(copied.done != 0 && end != 0))
    }
}

/// One turn of `bpf_loop`; 1 ends it.
#[inline(never)]
extern "C" fn compare(_index: u32, compared: *mut c_void) -> i64 {
    // SAFETY: `Packet::is_approved` gives a `Compared` of its own stack, which outlives the loop.
    let compared = unsafe { &mut *compared.cast::<Compared>() };
    let sequence = compared.sequence;
    let fits = CHUNK_BYTES as u32 - sequence % CHUNK_BYTES as u32;
    let length = if compared.left < fits { compared.left } else { fits };
    let key = BlockKey::of(compared.cookie, sequence);
    let Some(block) = APPROVED.get_ptr(&key) else { return 1 };
    let mut words = [0_u64; WORDS];
    // 1 to 64 to the verifier.
    let length = (black_box(length - 1) & (CHUNK_BYTES as u32 - 1)) + 1;
    let at = (black_box(sequence) & (BLOCK_BYTES as u32 - 1)) as usize;
    // SAFETY: the helper writes at most the bytes that `words` has, or fails.
    let loaded = unsafe {
        bpf_skb_load_bytes(
            compared.packet.skb.cast(),
            compared.offset,
            words.as_mut_ptr().cast(),
            length,
        )
    };
    if loaded != 0 {
        return 1;
    }
    let (mut index, mut differs) = (0, 0);
    while index < WORDS {
        // SAFETY: a block has one chunk more than `at` can be.
        let approved = unsafe {
            let word = (&raw const (*block).bytes).cast::<u8>().add(at + index * 8);
            word.cast::<u64>().read_unaligned()
        };
        let valid = length.saturating_sub(index as u32 * 8);
        // The first bytes of a word are its low ones.
        let mask = if valid >= 8 { u64::MAX } else { (1 << (valid * 8)) - 1 };
        differs |= (words[index] ^ approved) & mask;
        index += 1;
    }
    if differs != 0 {
        return 1;
    }
    compared.sequence = sequence.wrapping_add(length);
    compared.offset += length;
    compared.left -= length;
    i64::from(compared.left == 0)
}

/// One turn of `bpf_loop`; 1 ends it.
#[inline(never)]
extern "C" fn copy(_index: u32, copied: *mut c_void) -> i64 {
    // SAFETY: `Packet::tell` gives a `Copied` of its own stack, which outlives the loop.
    let copied = unsafe { &mut *copied.cast::<Copied>() };
    let socket = copied.socket;
    let small = copied.left <= SMALL_PIECE_BYTES as u32;
    let room = if small { ring_bytes::<SmallPiece>() } else { ring_bytes::<Piece>() };
    if !socket.owner().may_tell(room) {
        return 1;
    }
    let told = if small {
        let Some(mut entry) = PAYLOADS.reserve::<SmallPiece>(0) else { return 1 };
        let piece: *mut SmallPiece = entry.as_mut_ptr();
        // SAFETY: the ring has given room for the whole record; the helper writes no more than its bytes.
        let (head, bytes) = unsafe { (&raw mut (*piece).head, (&raw mut (*piece).bytes).cast()) };
        let told = fill::<{ SMALL_PIECE_BYTES as u32 }>(copied, socket, head, bytes);
        if told < 0 {
            entry.discard(0)
        } else {
            entry.submit(0)
        }
        told
    } else {
        let Some(mut entry) = PAYLOADS.reserve::<Piece>(0) else { return 1 };
        let piece: *mut Piece = entry.as_mut_ptr();
        // SAFETY: as above.
        let (head, bytes) = unsafe { (&raw mut (*piece).head, (&raw mut (*piece).bytes).cast()) };
        let told = fill::<{ PIECE_BYTES as u32 }>(copied, socket, head, bytes);
        if told < 0 {
            entry.discard(0)
        } else {
            entry.submit(0)
        }
        told
    };
    if told < 0 {
        return 1;
    }
    let told = told as u32;
    copied.sequence = copied.sequence.wrapping_add(told);
    copied.offset += told;
    copied.left = copied.left.wrapping_sub(told);
    if copied.left == 0 {
        copied.done = 1;
        return 1;
    }
    0
}

/// Fills a reserved record with the next bytes, at most `MOST`, a power of two. Gives how many; -1 where they cannot be
/// read.
#[inline(always)]
fn fill<const MOST: u32>(
    copied: &Copied,
    socket: SocketRecord,
    head: *mut PieceHead,
    bytes: *mut c_void,
) -> i32 {
    let left = copied.left;
    let length = if left < MOST { left } else { MOST };
    let (sandbox, tgid, _) = socket.who();
    let (original, port) = socket.original();
    let is_last = length == left;
    let mut flags = if is_last { copied.end } else { 0 };
    if socket.is_provisional() {
        flags |= piece::PROVISIONAL;
    }
    // SAFETY: the ring has given room for the whole record, which nobody reads before it is submitted; every field of
    // the head is written, and so many bytes as it says.
    unsafe {
        (&raw mut (*head).sandbox).write(sandbox);
        (&raw mut (*head).cookie).write(copied.packet.cookie());
        (&raw mut (*head).connected_ns).write(socket.connected_ns());
        (&raw mut (*head).original).write(original);
        (&raw mut (*head).original_port).write(port);
        (&raw mut (*head).length).write(length as u16);
        (&raw mut (*head).finding).write(copied.finding);
        (&raw mut (*head).hellos).write(socket.hellos() as u8);
        (&raw mut (*head).flags).write(flags);
        (&raw mut (*head).tgid).write(tgid);
        (&raw mut (*head).sequence).write(copied.sequence);
        (&raw mut (*head).next).write(socket.next());
        (&raw mut (*head).record).write(socket.record());
        if length == 0 {
            return 0;
        }
        // 1 to `MOST` to the verifier.
        let length = (black_box(length - 1) & (MOST - 1)) + 1;
        if bpf_skb_load_bytes(copied.packet.skb.cast(), copied.offset, bytes, length) != 0 {
            return -1;
        }
        length as i32
    }
}
