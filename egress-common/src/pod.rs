//! Records that may be read from and written to the kernel's maps byte by byte.

use crate::{
    address::Address,
    device::DeviceKey,
    event::{Event, HelloEvent, Unverified},
    flow::{FlowKey, FlowValue, SocketOwner, SocketState},
    held::{HeldHead, HeldSyn, Released},
    payload::{Approval, Block, BlockKey, Piece, PieceHead, SmallPiece},
    pin::{NameKey, NameValue, PinKey, PinValue, RuleKey, RuleValue},
    sandbox::Sandbox,
    usage::Usage,
};

/// A plain record: `repr(C)`, `Copy`, no padding, every bit pattern valid.
///
/// # Safety
/// An implementor has no padding bytes (the kernel's verifier refuses to copy uninitialised
/// stack, and user space would read uninitialised memory) and no invalid bit patterns.
pub unsafe trait Pod: Copy + 'static {}

macro_rules! pod {
    ($($record:ty = $size:literal),+ $(,)?) => {$(
        const _: () = assert!(size_of::<$record>() == $size);
        // SAFETY: repr(C) over integers and arrays of integers; the asserted size is the sum of
        // the fields' sizes, so there is no padding.
        unsafe impl Pod for $record {}
    )+};
}

pod! {
    Address = 16,
    DeviceKey = 12,
    Sandbox = 120,
    PinKey = 24,
    PinValue = 656,
    NameKey = 288,
    NameValue = 272,
    RuleValue = 136,
    RuleKey = 24,
    FlowKey = 48,
    FlowValue = 56,
    SocketState = 136,
    SocketOwner = 16,
    Event = 88,
    HelloEvent = 352,
    Unverified = 56,
    Usage = 256,
    HeldHead = 48,
    HeldSyn = 176,
    Released = 24,
    PieceHead = 64,
    SmallPiece = 192,
    Piece = 2112,
    Approval = 40,
    BlockKey = 16,
    Block = 2112,
}
