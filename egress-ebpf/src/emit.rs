//! Events: what was refused. Where the ring, or the sandbox's share of it, is full, the event is lost and
//! counted; the refusal stands.

use egress_common::{
    Address, Reason,
    device::DeviceKey,
    event::{Counter, Event, HelloEvent, Hook},
    pin::NameKey,
    sandbox::Sandbox,
    usage::ring_bytes,
};

use crate::{
    context::{self, Owner, Packet, Process, REFUSE, SockAddr, SocketRecord, boot_ns},
    maps::EVENTS,
};

/// Refuses a connect or send, with the errno that the sandbox has for it.
#[inline(always)]
pub fn refuse_address(call: &SockAddr, sandbox: &Sandbox, hook: Hook, reason: Reason) -> i32 {
    let owner = Owner::of(sandbox);
    let process = Process::current();
    send(
        owner,
        &Event {
            time_ns: boot_ns(),
            sandbox: owner.sandbox,
            cookie: call.cookie(),
            address: call.address(),
            port: call.port(),
            hook: hook as u8,
            reason: reason as u8,
            protocol: call.protocol() as u16,
            family: call.socket_family() as u8,
            socket_type: call.socket_type() as u8,
            tgid: process.tgid,
            uid: process.uid,
            comm: process.comm,
            minor: 0,
            reserved: 0,
        },
    );
    context::answer(sandbox.refusal_errno as i32);
    REFUSE
}

/// Tells of a refused socket (family, type, protocol) or option (level, 0, name). Who did it is
/// not told: the helpers for it are missing from these hooks on older kernels.
#[inline(always)]
pub fn refuse_socket(owner: Owner, hook: Hook, reason: Reason, what: [u32; 3]) {
    let [family, socket_type, protocol] = what;
    send(
        owner,
        &Event {
            time_ns: boot_ns(),
            sandbox: owner.sandbox,
            cookie: 0,
            address: Address { words: [0; 4] },
            port: 0,
            hook: hook as u8,
            reason: reason as u8,
            protocol: protocol as u16,
            family: family as u8,
            socket_type: socket_type as u8,
            tgid: 0,
            uid: 0,
            comm: [0; 16],
            minor: 0,
            reserved: 0,
        },
    );
}

/// Tells of a refused device. What for is in the socket type's place.
#[inline(always)]
pub fn refuse_device(owner: Owner, device: &DeviceKey, access: u32) {
    send(
        owner,
        &Event {
            time_ns: boot_ns(),
            sandbox: owner.sandbox,
            cookie: 0,
            address: Address { words: [0; 4] },
            port: 0,
            hook: Hook::Device as u8,
            reason: Reason::DeviceNotAllowed as u8,
            protocol: device.major as u16,
            family: device.kind as u8,
            socket_type: access as u8,
            tgid: 0,
            uid: 0,
            comm: [0; 16],
            minor: device.minor as u64,
            reserved: 0,
        },
    );
}

#[inline(always)]
pub fn refuse_packet(
    packet: &Packet,
    owner: Owner,
    hook: Hook,
    process: &Process,
    address: &Address,
    port: u16,
    protocol: u32,
) {
    send(
        owner,
        &Event {
            time_ns: boot_ns(),
            sandbox: owner.sandbox,
            cookie: packet.cookie(),
            address: *address,
            port,
            hook: hook as u8,
            reason: Reason::ProtocolNotAllowed as u8,
            protocol: protocol as u16,
            family: 0,
            socket_type: 0,
            tgid: process.tgid,
            uid: process.uid,
            comm: process.comm,
            minor: 0,
            reserved: 0,
        },
    );
}

/// Tells what a payload of a direct connection is (the number of a `Finding`), so that user space can end it; false when
/// the ring is full, which is not counted as lost: the connection is still there, and tries again.
#[inline(always)]
#[must_use]
pub fn hello(packet: Packet, socket: SocketRecord, finding: u32, key: &NameKey) -> bool {
    if !may_report(socket) {
        return false;
    }
    let Some(mut entry) = EVENTS.reserve::<HelloEvent>(0) else { return false };
    context::write_hello(entry.as_mut_ptr(), packet, socket, finding as u8, key);
    entry.submit(0);
    true
}

/// A function of its own to the kernel: it is asked at several places.
#[inline(never)]
fn may_report(socket: SocketRecord) -> bool {
    socket.owner().may_report(ring_bytes::<HelloEvent>())
}

#[inline(always)]
fn send(owner: Owner, event: &Event) {
    if owner.may_report(ring_bytes::<Event>())
        && let Some(mut entry) = EVENTS.reserve::<Event>(0)
    {
        entry.write(*event);
        entry.submit(0);
        return;
    }
    owner.count(Counter::EventsLost);
}
