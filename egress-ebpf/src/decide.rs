//! The kernel's coarse decision: to the proxy, or an errno at once.

use aya_ebpf::maps::lpm_trie::Key;
use egress_common::{
    Address, Reason,
    abi::MAX_CGROUP_LEVEL,
    pin::{PinKey, RuleAction, RuleKey},
    sandbox::{Sandbox, flags},
};

use crate::{
    context::{boot_ns, current_ancestor, current_cgroup, lookup},
    maps::{ADDRESSES, PINS, SANDBOXES},
};

/// The sandbox of the running process: the nearest of its cgroup's ancestors that is one, else
/// `Sandbox::NONE`.
///
/// By the current cgroup, not the socket's: a passed or inherited socket is judged by who uses it.
/// Not an `Option`: its payload would be copied unset where it is `None`, which the verifier
/// refuses (6.18: "R9 !read_ok").
#[inline(always)]
pub fn sandbox() -> Sandbox {
    if let Some(sandbox) = lookup(&SANDBOXES, &current_cgroup()) {
        return sandbox;
    }
    let mut nearest = Sandbox::NONE;
    let mut level = 1;
    while level <= MAX_CGROUP_LEVEL {
        let ancestor = current_ancestor(level);
        if ancestor == 0 {
            break;
        }
        if let Some(sandbox) = lookup(&SANDBOXES, &ancestor) {
            nearest = sandbox;
        }
        level += 1;
    }
    nearest
}

/// Whether a TCP connection to this address may reach the proxy, which judges the rest.
#[inline(always)]
pub fn gate(sandbox: &Sandbox, address: &Address) -> Result<(), Reason> {
    let key = Key::new(RuleKey::FULL_BITS, RuleKey { sandbox: sandbox.id, address: *address });
    let rule = ADDRESSES.get(&key).copied().unwrap_or(0);
    if rule == RuleAction::Deny as u32 {
        return Err(Reason::Denied);
    }
    let pin = lookup(&PINS, &PinKey { sandbox: sandbox.id, address: *address });
    if pin.is_some_and(|pin| pin.expires_ns > boot_ns()) || rule == RuleAction::Allow as u32 {
        return Ok(());
    }
    if rule == RuleAction::Local as u32 {
        return Err(Reason::NotAllowedLocal);
    }
    if sandbox.flags & flags::PUBLIC != 0 {
        return Ok(());
    }
    Err(if pin.is_some() { Reason::NotPinned } else { Reason::NotAllowed })
}
