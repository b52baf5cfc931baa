//! The maps of one loaded object, typed.

use std::{
    collections::HashSet,
    net::IpAddr,
    os::fd::AsFd as _,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, Map, MapData, MapError, RingBuf, lpm_trie::Key},
};
use egress_common::{
    Address,
    abi::{capacity, map},
    device::DeviceKey,
    event::{Counter, Unverified},
    flow::{FlowKey, FlowValue},
    held::Released,
    pin::{NameKey, NameValue, PinKey, PinValue, RuleAction, RuleKey, RuleValue},
    sandbox::Sandbox,
};

use ipnet::IpNet;

use super::{
    devices::Devices, error::KernelError, events::Events, payloads::ApprovalMaps, usage::UsageTable,
};
use crate::{
    pins::ports_of,
    policy::{AddressAction, AddressEntry, Policy},
    sys::{self, bpf::SizedMap, pod::Wire},
};

pub(super) type Rules = LpmTrie<MapData, Wire<RuleKey>, Wire<RuleValue>>;
pub(super) type Hash<K, V> = HashMap<MapData, Wire<K>, Wire<V>>;

/// Handles of the maps that user space reads and writes.
pub struct Maps {
    pub(super) sandboxes: Mutex<HashMap<MapData, u64, Wire<Sandbox>>>,
    pins: Mutex<Hash<PinKey, PinValue>>,
    pub(super) names: Mutex<Hash<NameKey, NameValue>>,
    pub(super) live: Mutex<HashMap<MapData, u64, u64>>,
    unverified: Mutex<HashMap<MapData, u64, Wire<Unverified>>>,
    /// The last number by which connections of a name are counted. Drawn by lot at the start: where maps
    /// of another process live on, its numbers are not to be met.
    pub(super) last_id: AtomicU64,
    /// Whether the packet hook can judge a first payload.
    pub(super) judges_hellos: bool,
    addresses: Mutex<Rules>,
    devices: Mutex<HashMap<MapData, Wire<DeviceKey>, u32>>,
    pub(super) flows: SizedMap<FlowKey, FlowValue>,
    pub(super) askers: Hash<FlowKey, FlowValue>,
    pub(super) usage: UsageTable,
    /// Sandboxes that have ended as the last, and of which the maps still have something.
    pub(super) leftovers: Mutex<Vec<u64>>,
    events: Option<RingBuf<MapData>>,
    pub(super) syns: Option<RingBuf<MapData>>,
    pub(super) payloads: Option<RingBuf<MapData>>,
    pub(super) approvals: Mutex<ApprovalMaps>,
    pub(super) released: Mutex<HashMap<MapData, u64, Wire<Released>>>,
}

fn taken<T>(ebpf: &mut Ebpf, name: &'static str) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let fail = |source| KernelError::Map { map: name, source: Box::new(source) };
    let map =
        ebpf.take_map(name).ok_or_else(|| fail(MapError::InvalidName { name: name.to_owned() }))?;
    T::try_from(map).map_err(fail)
}

fn sized<K, V>(ebpf: &mut Ebpf, name: &'static str) -> Result<SizedMap<K, V>, KernelError>
where
    K: egress_common::Pod,
    V: egress_common::Pod,
{
    let fail = |source| KernelError::Map { map: name, source: Box::new(source) };
    let Some(Map::HashMap(data)) = ebpf.take_map(name) else {
        return Err(fail(MapError::InvalidName { name: name.to_owned() }));
    };
    let info = data.info().map_err(fail)?;
    let opened = data.fd().as_fd().try_clone_to_owned();
    let sized = opened.and_then(|map| SizedMap::new(map, info.key_size(), info.value_size()));
    sized.map_err(|io_error| {
        fail(MapError::SyscallError(aya::sys::SyscallError {
            call: "fcntl(F_DUPFD_CLOEXEC)",
            io_error,
        }))
    })
}

fn usage(ebpf: &mut Ebpf, sandboxes: u32) -> Result<UsageTable, KernelError> {
    let fail = |source| KernelError::Map { map: map::USAGE, source: Box::new(source) };
    let Some(Map::Array(data)) = ebpf.take_map(map::USAGE) else {
        return Err(fail(MapError::InvalidName { name: map::USAGE.to_owned() }));
    };
    UsageTable::new(data.fd().as_fd(), sandboxes).map_err(|source| KernelError::System {
        what: "map what the kernel side counts into memory",
        source,
    })
}

impl Maps {
    /// Takes the maps out of a loaded object.
    pub(super) fn take(
        ebpf: &mut Ebpf,
        judges_hellos: bool,
        sandboxes: u32,
    ) -> Result<Self, KernelError> {
        Ok(Self {
            sandboxes: Mutex::new(taken(ebpf, map::SANDBOXES)?),
            pins: Mutex::new(taken(ebpf, map::PINS)?),
            names: Mutex::new(taken(ebpf, map::NAMES)?),
            live: Mutex::new(taken(ebpf, map::LIVE)?),
            unverified: Mutex::new(taken(ebpf, map::UNVERIFIED)?),
            last_id: AtomicU64::new(sys::process::random()),
            judges_hellos,
            addresses: Mutex::new(taken(ebpf, map::ADDRESSES)?),
            devices: Mutex::new(taken(ebpf, map::DEVICES)?),
            flows: sized(ebpf, map::FLOWS)?,
            askers: taken(ebpf, map::ASKERS)?,
            usage: usage(ebpf, sandboxes)?,
            leftovers: Mutex::default(),
            events: Some(taken(ebpf, map::EVENTS)?),
            syns: Some(taken(ebpf, map::SYNS)?),
            payloads: Some(taken(ebpf, map::PAYLOADS)?),
            approvals: Mutex::new(ApprovalMaps {
                approvals: taken(ebpf, map::APPROVALS)?,
                blocks: taken(ebpf, map::APPROVED)?,
            }),
            released: Mutex::new(taken(ebpf, map::RELEASED)?),
        })
    }

    /// The event ring; only the first call gets it.
    pub fn take_events(&mut self) -> Option<Events> {
        self.events.take().map(Events::new)
    }

    /// Makes the kernel know a sandbox: from now on its cgroup is judged by `sandbox`. For
    /// [`super::SandboxRecord`], the one writer, and for tests.
    ///
    /// # Errors
    /// When there are as many others as the object was loaded for.
    pub fn add_sandbox(&self, sandbox: Sandbox) -> Result<(), KernelError> {
        self.clear_leftovers();
        let slot = self.usage.slot(sandbox.id).ok_or(KernelError::TooManySandboxes)?;
        let mut map = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(sandbox.id, Wire(Sandbox { slot, ..sandbox }), 0)
            .map_err(|source| KernelError::Map { map: map::SANDBOXES, source: Box::new(source) })
    }

    /// Writes another record of a sandbox that the kernel knows.
    ///
    /// # Errors
    /// When it has ended: what comes too late makes nothing of it anew.
    pub(super) fn change_sandbox(&self, sandbox: Sandbox) -> Result<(), KernelError> {
        let mut map = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = self.usage.find(sandbox.id).ok_or(KernelError::SandboxEnded)?;
        map.insert(sandbox.id, Wire(Sandbox { slot, ..sandbox }), 0)
            .map_err(|source| KernelError::Map { map: map::SANDBOXES, source: Box::new(source) })
    }

    /// Opens devices; until then none can be.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn add_devices(&self, devices: &Devices) -> Result<(), KernelError> {
        let mut map = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        devices.allowed.iter().try_for_each(|(device, access)| {
            map.insert(Wire(*device), access, 0)
                .map_err(|source| KernelError::Map { map: map::DEVICES, source: Box::new(source) })
        })
    }

    /// Writes what the policy says of addresses.
    ///
    /// # Errors
    /// When there are more than one sandbox may have, or the sandbox has ended.
    pub fn add_rules(&self, sandbox: u64, policy: &Policy) -> Result<(), KernelError> {
        let rules = policy.address_entries();
        let mut map = self.addresses_for(sandbox, rules.len())?;
        for rule in &rules {
            write_rule(&mut map, sandbox, rule).map_err(|_| KernelError::PolicyTooLarge)?;
        }
        Ok(())
    }

    /// Writes the rules of another policy, and takes those away that are of the one before alone. A block
    /// that both name is never without one.
    ///
    /// # Errors
    /// As [`Maps::add_rules`]; those of before are there then.
    pub fn replace_rules(
        &self,
        sandbox: u64,
        before: &Policy,
        policy: &Policy,
    ) -> Result<(), KernelError> {
        let (old, new) = (before.address_entries(), policy.address_entries());
        let mut map = self.addresses_for(sandbox, new.len())?;
        for rule in &new {
            if write_rule(&mut map, sandbox, rule).is_err() {
                for written in &new {
                    let _ = map.remove(&rule_key(sandbox, written.block));
                }
                for rule in &old {
                    // There was room for them.
                    let _ = write_rule(&mut map, sandbox, rule);
                }
                return Err(KernelError::PolicyTooLarge);
            }
        }
        let kept: HashSet<IpNet> = new.iter().map(|rule| rule.block).collect();
        for rule in old.iter().filter(|rule| !kept.contains(&rule.block)) {
            let _ = map.remove(&rule_key(sandbox, rule.block));
        }
        Ok(())
    }

    /// The map, for a sandbox that lives and is to have so many rules in it.
    fn addresses_for(
        &self,
        sandbox: u64,
        rules: usize,
    ) -> Result<MutexGuard<'_, Rules>, KernelError> {
        // More would be in another's room.
        if rules > capacity::ADDRESSES as usize {
            return Err(KernelError::PolicyTooLarge);
        }
        let map = self.addresses();
        if self.lives(sandbox) { Ok(map) } else { Err(KernelError::SandboxEnded) }
    }

    /// Whether the sandbox has not ended. Under the lock of a map that [`Maps::remove_sandbox`] clears, it
    /// holds for as long as the lock does.
    pub(super) fn lives(&self, sandbox: u64) -> bool {
        self.usage.find(sandbox).is_some()
    }

    pub(super) fn addresses(&self) -> MutexGuard<'_, Rules> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every direct connection of a sandbox of which no payload has left, by its socket's cookie.
    pub fn all_unverified(&self, sandbox: u64) -> Vec<(u64, Unverified)> {
        let unverified = self.unverified_map();
        let all = unverified.iter().flatten().map(|(cookie, connection)| (cookie, connection.0));
        all.filter(|(_, connection)| connection.sandbox == sandbox).collect()
    }

    /// A counter of one sandbox; of what belongs to none with 0. [`Maps::remove_sandbox`] gives the last
    /// word of it.
    pub fn counter(&self, sandbox: u64, counter: Counter) -> u64 {
        self.usage.counts_of(sandbox).get(counter)
    }

    /// The direct connection with this socket cookie, if no server has answered it and it lives.
    pub fn unverified(&self, cookie: u64) -> Option<Unverified> {
        self.unverified_map().get(&cookie, 0).ok().map(|connection| connection.0)
    }

    pub(super) fn unverified_map(&self) -> MutexGuard<'_, HashMap<MapData, u64, Wire<Unverified>>> {
        self.unverified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pins(&self) -> MutexGuard<'_, Hash<PinKey, PinValue>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a rule stands in the map.
pub(super) fn rule_key(sandbox: u64, block: IpNet) -> Key<Wire<RuleKey>> {
    let (address, bits) = match block {
        IpNet::V4(block) => (IpAddr::V4(block.network()), 96 + u32::from(block.prefix_len())),
        IpNet::V6(block) => (IpAddr::V6(block.network()), u32::from(block.prefix_len())),
    };
    Key::new(RuleKey::SANDBOX_BITS + bits, Wire(RuleKey { sandbox, address: key_of(address) }))
}

pub(super) fn write_rule(
    map: &mut Rules,
    sandbox: u64,
    rule: &AddressEntry,
) -> Result<(), MapError> {
    let action = match rule.action {
        AddressAction::Allow => RuleAction::Allow,
        AddressAction::Deny => RuleAction::Deny,
        AddressAction::Local => RuleAction::Local,
    };
    let value = RuleValue { action: action as u32, reserved: 0, ports: ports_of(&rule.ports) };
    map.insert(&rule_key(sandbox, rule.block), Wire(value), 0)
}

/// v6 addresses stay as they are; v4 in mapped form.
pub(super) fn key_of(address: IpAddr) -> Address {
    Address::from(address)
}
