//! Lends aya our plain records.

/// A record of the contract, as aya wants it (a foreign trait cannot be put on a foreign type).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wire<T: egress_common::Pod>(pub T);

// SAFETY: `egress_common::Pod` promises the same (no padding, every bit pattern valid), and the
// wrapper is transparent.
unsafe impl<T: egress_common::Pod> aya::Pod for Wire<T> {}

/// Reads a record from the bytes of a ring buffer entry; none when there are too few.
pub fn read<T: egress_common::Pod>(bytes: &[u8]) -> Option<T> {
    if bytes.len() < size_of::<T>() {
        return None;
    }
    // SAFETY: long enough, unaligned reads are allowed here, and every bit pattern is a `T`.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}
