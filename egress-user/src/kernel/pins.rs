//! One sandbox's pins in the kernel's maps.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use egress_common::{
    abi::HTTP_PORTS,
    hello,
    pin::{NameKey, NameValue, PinKey, PinValue, PortList, Ports},
};

use super::maps::{Hash, Maps, key_of};
use crate::{
    pins::{Naming, Opening, PinStore, list_without},
    policy::{self, NAME_LIMIT_BYTES, Name, Policy},
    sandbox::PolicyWatch,
    sys::pod::Wire,
};

/// An end that is over whenever it is asked for, and not that of no pin.
const OVER_NS: u64 = 1;

/// Of linux/bpf.h.
const BPF_NOEXIST: u64 = 1;

// A name of a policy is one of the kernel's, with a zero behind it.
const _: () = assert!(NAME_LIMIT_BYTES < hello::NAME_BYTES);
// What the policy leaves to the proxy, the connect hook does.
const _: () = assert!(
    HTTP_PORTS[0] == policy::HTTP_PORTS[0]
        && HTTP_PORTS[1] == policy::HTTP_PORTS[1]
        && HTTP_PORTS.len() == policy::HTTP_PORTS.len()
);

/// Writes one sandbox's pins.
pub struct KernelPins {
    maps: Arc<Maps>,
    sandbox: u64,
    policy: Arc<PolicyWatch>,
}

impl Maps {
    /// The [`PinStore`] of one sandbox with this policy.
    pub fn pin_sink(self: &Arc<Self>, sandbox: u64, policy: Arc<PolicyWatch>) -> KernelPins {
        KernelPins { maps: self.clone(), sandbox, policy }
    }
}

impl KernelPins {
    fn address_key(&self, address: IpAddr) -> Wire<PinKey> {
        Wire(PinKey { sandbox: self.sandbox, address: key_of(address) })
    }

    /// Ports that the address's own rule, or `*`, does not open: where one does, names pass that no
    /// pin knows, which the proxy has to judge. The connect hook asks the pin alone.
    fn without_open(policy: &Policy, address: IpAddr, direct: PortList) -> PortList {
        match policy.address(address) {
            Ok(open) => list_without(&direct, &open.tcp_ports()),
            Err(_) => direct,
        }
    }

    /// Connections under it are counted from here on; 0 where there is no room for it, or it is another's. To be
    /// called under the lock of the pins.
    fn new_counter(&self) -> u64 {
        let id = next_id(&self.maps.last_id);
        let mut live = self.maps.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.insert(id, 0, BPF_NOEXIST).map_or(0, |()| id)
    }

    fn remove_counter(&self, id: u64) {
        if id != 0 {
            let mut live = self.maps.live.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = live.remove(&id);
        }
    }

    fn name_key(&self, address: IpAddr, name: &Name) -> Option<Wire<NameKey>> {
        let text = name.as_str().as_bytes();
        Some(Wire(NameKey {
            sandbox: self.sandbox,
            address: key_of(address),
            length: u32::try_from(text.len()).ok().filter(|&n| n < hello::NAME_BYTES as u32)?,
            reserved: 0,
            name: hello::words(text),
        }))
    }
}

/// By which connections to the address are counted; 0 is none.
fn counter_of(pins: &Hash<PinKey, PinValue>, key: &Wire<PinKey>) -> u64 {
    pins.get(key, 0).map_or(0, |pin| pin.0.live)
}

/// 0 is none.
fn next_id(last: &AtomicU64) -> u64 {
    loop {
        let id = last.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        if id != 0 {
            return id;
        }
    }
}

impl PinStore for KernelPins {
    fn pin(&self, address: IpAddr, opening: &Opening) -> io::Result<()> {
        let policy = self.policy.policy();
        // Judged when it was somebody else's.
        if policy.closes_own(address) {
            return Err(io::Error::other("the address has become this machine's own"));
        }
        let &Opening { expires_ns, ports, unread, .. } = opening;
        // The machine itself is reached by way of the proxy: the packet hook lets nothing go there.
        let direct = match policy.is_this_machine(address) {
            true => PortList::NONE,
            false => Self::without_open(&policy, address, opening.direct),
        };
        let key = self.address_key(address);
        let mut map = self.maps.pins();
        if !self.maps.lives(self.sandbox) {
            return Err(io::Error::other("the sandbox has ended"));
        }
        let before = counter_of(&map, &key);
        let live = match before {
            // Connections that were counted before go on.
            0 if unread != PortList::NONE => self.new_counter(),
            before => before,
        };
        let value = PinValue { expires_ns, live, ports, direct, unread };
        map.insert(key, Wire(value), 0).map_err(|error| {
            if live != before {
                self.remove_counter(live);
            }
            io::Error::other(error)
        })
    }

    fn unpin(&self, address: IpAddr) {
        let key = self.address_key(address);
        let mut map = self.maps.pins();
        self.remove_counter(counter_of(&map, &key));
        // Absent is as good as removed.
        let _ = map.remove(&key);
    }

    fn expire(&self, address: IpAddr, ports: Ports) {
        let none = PortList::NONE;
        let value = PinValue { expires_ns: OVER_NS, live: 0, ports, direct: none, unread: none };
        let key = self.address_key(address);
        let mut map = self.maps.pins();
        let counter = counter_of(&map, &key);
        let is_kept = self.maps.lives(self.sandbox) && map.insert(key, Wire(value), 0).is_ok();
        if is_kept {
            self.remove_counter(counter);
        }
        drop(map);
        if !is_kept {
            self.unpin(address);
        }
    }

    fn name(&self, address: IpAddr, name: &Name, naming: &Naming) -> Option<u64> {
        if !self.maps.judges_hellos {
            return None;
        }
        let key = self.name_key(address, name)?;
        let mut live = self.maps.live.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.maps.lives(self.sandbox) {
            return None;
        }
        let id = match naming.id {
            0 => {
                let id = next_id(&self.maps.last_id);
                // Where it is another's already the proxy has to judge.
                live.insert(id, 0, BPF_NOEXIST).ok()?;
                id
            }
            id => id,
        };
        let value = NameValue { expires_ns: naming.expires_ns, pin: id, ports: naming.ports };
        let mut names = self.maps.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.insert(key, Wire(value), 0).is_err() {
            if naming.id == 0 {
                let _ = live.remove(&id);
            }
            return None;
        }
        let policy = self.policy.policy();
        let may = policy.short_forms(name);
        for short in policy.search_domains().short_forms(name) {
            let Some(key) = self.name_key(address, &short) else { continue };
            // What does not fit is refused, and takes the proxy next time.
            let _ = match may.contains(&short) {
                true => names.insert(key, Wire(value), 0),
                false => names.remove(&key),
            };
        }
        Some(id)
    }

    fn unname(&self, address: IpAddr, name: &Name, id: u64) {
        if id == 0 {
            return;
        }
        // Whatever the policy of now says of them.
        let short = self.policy.policy().search_domains().short_forms(name);
        let mut names = self.maps.names.lock().unwrap_or_else(PoisonError::into_inner);
        for key in short.iter().chain([name]).filter_map(|name| self.name_key(address, name)) {
            let _ = names.remove(&key);
        }
        drop(names);
        let mut live = self.maps.live.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = live.remove(&id);
    }

    fn lives(&self, id: u64) -> bool {
        let live = self.maps.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.get(&id, 0).is_ok_and(|count| count.cast_signed() > 0)
    }

    fn lives_at(&self, address: IpAddr) -> bool {
        let map = self.maps.pins();
        let counter = counter_of(&map, &self.address_key(address));
        counter != 0 && self.lives(counter)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::next_id;

    #[test]
    fn ids_are_never_none() {
        let last = AtomicU64::new(u64::MAX - 1);
        assert_eq!([next_id(&last), next_id(&last)], [u64::MAX, 1]);
    }
}
