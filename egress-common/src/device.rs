//! Which devices a sandbox may open: what user space writes and the device hook reads.

/// Kinds of device, as `BPF_DEVCG_DEV_*` of `linux/bpf.h` numbers them.
pub mod kind {
    /// A block device.
    pub const BLOCK: u32 = 1;
    /// A character device.
    pub const CHARACTER: u32 = 2;
}

/// Kinds of access, bits as in `BPF_DEVCG_ACC_*` of `linux/bpf.h`.
pub mod access {
    /// mknod(2).
    pub const MKNOD: u32 = 1;
    /// Opening for reading.
    pub const READ: u32 = 2;
    /// Opening for writing.
    pub const WRITE: u32 = 4;
    /// All of them.
    pub const ALL: u32 = MKNOD | READ | WRITE;
}

/// Key of the map [`crate::abi::map::DEVICES`]. Its value is a `u32` of [`access`] bits; a device
/// without an entry of its own has its major's, and without either it is refused.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceKey {
    /// [`kind`].
    pub kind: u32,
    /// Major number, below 4096 (12 bits).
    pub major: u32,
    /// Minor number, below 2^20, or [`Self::ANY`].
    pub minor: u32,
}

impl DeviceKey {
    /// As a minor number: every one that has no entry of its own.
    pub const ANY: u32 = u32::MAX;
}
