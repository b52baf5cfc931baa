//! The context of the device hook.

use core::ptr::read_volatile;

use aya_ebpf::{bindings::bpf_cgroup_dev_ctx, programs::DeviceContext};
use egress_common::device::DeviceKey;

/// The context of the device hook.
pub struct Device {
    ctx: *mut bpf_cgroup_dev_ctx,
}

impl Device {
    #[inline(always)]
    pub fn new(ctx: DeviceContext) -> Self {
        Self { ctx: ctx.device }
    }

    /// Which device, and what for: bits of [`egress_common::device::access`].
    #[inline(always)]
    pub fn wanted(&self) -> (DeviceKey, u32) {
        // SAFETY: the context is valid for the whole program; volatile, as the verifier wants whole
        // fields.
        let (access_type, major, minor) = unsafe {
            (
                read_volatile(&raw const (*self.ctx).access_type),
                read_volatile(&raw const (*self.ctx).major),
                read_volatile(&raw const (*self.ctx).minor),
            )
        };
        // linux/bpf.h: the access in the upper half, the kind in the lower.
        (DeviceKey { kind: access_type & 0xffff, major, minor }, access_type >> 16)
    }
}
