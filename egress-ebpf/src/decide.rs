//! The kernel's coarse decision: to the proxy, or an errno at once.

use aya_ebpf::maps::lpm_trie::Key;
use egress_common::{
    Address, Reason,
    abi::{HTTP_PORTS, MAX_CGROUP_LEVEL},
    pin::{PinKey, RuleAction, RuleKey},
    sandbox::{Sandbox, flags},
};

use crate::{
    context::{Owner, boot_ns, current_ancestor, current_cgroup, has_loop, lookup, pin_of},
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
    match lookup(&SANDBOXES, &nearest()) {
        Some(sandbox) => sandbox,
        None => Sandbox::NONE,
    }
}

/// The cgroup that is a sandbox; 0 of none.
///
/// A function of its own to the kernel, and looked up again behind it: where the record were copied at each place at
/// which it can be found, the verifier would go through all that comes behind for each of them.
#[inline(never)]
fn nearest() -> u64 {
    let current = current_cgroup();
    if SANDBOXES.get_ptr(&current).is_some() {
        return current;
    }
    let mut nearest = 0;
    let mut level = 1;
    while level <= MAX_CGROUP_LEVEL {
        let ancestor = current_ancestor(level);
        if ancestor == 0 {
            break;
        }
        if SANDBOXES.get_ptr(&ancestor).is_some() {
            nearest = ancestor;
        }
        level += 1;
    }
    nearest
}

/// Whose a refusal is, for hooks that before Linux 6.1 are not told of ancestors: nobody's in a cgroup that
/// the sandbox has made itself.
#[inline(always)]
pub fn owner() -> Owner {
    match lookup(&SANDBOXES, &current_cgroup()) {
        Some(sandbox) => Owner::of(&sandbox),
        None => Owner::NOBODY,
    }
}

/// Where a TCP connection goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the proxy, which judges the rest.
    Proxy,
    /// Straight out; the packet hook judges its first payload.
    Direct,
    /// The same, and what is not TLS passes.
    DirectUnread,
}

/// Whether a TCP connection to this address may begin, and how.
#[inline(always)]
pub fn gate(sandbox: &Sandbox, address: &Address, port: u16) -> Result<Way, Reason> {
    const ALLOW: u32 = RuleAction::Allow as u32;
    const DENY: u32 = RuleAction::Deny as u32;
    const LOCAL: u32 = RuleAction::Local as u32;
    let pin = pin_of(&PINS, &PinKey { sandbox: sandbox.id, address: *address }, port);
    let pinned = pin.expires_ns > boot_ns();
    // First, as most connections are these: user space has left out of `direct` what a rule for the
    // address, or `*`, opens, where names pass that no pin knows; and no denied address is pinned.
    if pinned && sandbox.flags & flags::DIRECT != 0 && pin.is_direct && !is_http(port) {
        if !pin.is_unread {
            return Ok(Way::Direct);
        }
        // What is not TLS is followed byte by byte, which an older kernel's verifier does not let pass.
        return Ok(if has_loop() { Way::DirectUnread } else { Way::Proxy });
    }
    let key = Key::new(RuleKey::FULL_BITS, RuleKey { sandbox: sandbox.id, address: *address });
    // Both by reference: the lists of ports are too large for the stack.
    let (action, is_open) = match ADDRESSES.get(&key) {
        Some(rule) => (rule.action, rule.action == ALLOW && rule.ports.contains(port)),
        None => (0, false),
    };
    if action == DENY {
        return Err(Reason::Denied);
    }
    // A pin that has ended, too: it waits there until it is known whether the name has the address still.
    if pin.is_open || is_open {
        return Ok(Way::Proxy);
    }
    // A public address under `*`: the proxy knows which ports that rule opens.
    if action == 0 && sandbox.flags & flags::PUBLIC != 0 {
        return Ok(Way::Proxy);
    }
    Err(if pinned || action == ALLOW {
        Reason::PortNotAllowed
    } else if action == LOCAL {
        Reason::NotAllowedLocal
    } else if pin.expires_ns != 0 {
        Reason::NotPinned
    } else {
        Reason::NotAllowed
    })
}

/// Whether a deny rule names the address.
#[inline(always)]
pub fn is_denied(sandbox: u64, address: &Address) -> bool {
    let key = Key::new(RuleKey::FULL_BITS, RuleKey { sandbox, address: *address });
    match ADDRESSES.get(&key) {
        Some(rule) => rule.action == RuleAction::Deny as u32,
        None => false,
    }
}

#[inline(always)]
const fn is_http(port: u16) -> bool {
    port == HTTP_PORTS[0] || port == HTTP_PORTS[1]
}
