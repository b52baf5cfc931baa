//! open(2) and mknod(2) of devices, wherever their nodes lie: a tun device sends any packet, and none
//! of them passes a hook of this sandbox's sockets.
//!
//! The sandbox is looked up for a refusal only: whatever is below the attach point is in one or refused
//! anyway, and which devices are networks is the machine's matter.

use egress_common::device::DeviceKey;

use crate::{
    context::{Device, PASS, REFUSE, lookup},
    decide, emit,
    maps::DEVICES,
};

#[inline(always)]
pub fn access(device: &Device) -> i32 {
    let (key, access) = device.wanted();
    let allowed = lookup(&DEVICES, &key)
        .or_else(|| lookup(&DEVICES, &DeviceKey { minor: DeviceKey::ANY, ..key }))
        .unwrap_or(0);
    if access & !allowed == 0 {
        return PASS;
    }
    emit::refuse_device(decide::owner(), &key, access);
    REFUSE
}
