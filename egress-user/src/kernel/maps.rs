//! The maps of one loaded object, typed.

use std::{
    collections::HashSet,
    net::IpAddr,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError, RingBuf, lpm_trie::Key};
use egress_common::{
    Address,
    abi::{capacity, map},
    event::{Counter, Unverified},
    flow::{FlowKey, FlowValue},
    held::Released,
    pin::{NameKey, NameValue, PinKey, PinValue, RuleAction, RuleKey, RuleValue},
    sandbox::Sandbox,
};

use ipnet::IpNet;

use super::{KernelError, MapSet, events::Events, payloads::ApprovalMaps, usage::UsageTable};
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
    pub(super) flows: SizedMap<FlowKey, FlowValue>,
    pub(super) askers: Hash<FlowKey, FlowValue>,
    pub(super) usage: UsageTable,
    /// Sandboxes that have ended as the last, and of which the maps still have something.
    pub(super) leftovers: Mutex<Vec<u64>>,
    events: Option<RingBuf<MapData>>,
    /// By worker.
    pub(super) syns: Vec<RingBuf<MapData>>,
    pub(super) payloads: Option<RingBuf<MapData>>,
    pub(super) approvals: Mutex<ApprovalMaps>,
    pub(super) released: Mutex<HashMap<MapData, u64, Wire<Released>>>,
}

fn taken<T>(
    maps: &MapSet,
    name: &'static str,
    kind: impl Fn(MapData) -> Map,
) -> Result<T, KernelError>
where
    T: TryFrom<Map, Error = MapError>,
{
    let fail = |source| KernelError::Map { map: name, source: Box::new(source) };
    let data = MapData::from_fd(maps.open(name)?).map_err(fail)?;
    T::try_from(kind(data)).map_err(fail)
}

fn ring(descriptor: &OwnedFd) -> Result<RingBuf<MapData>, KernelError> {
    let fail = |source| KernelError::Map { map: map::SYNS, source: Box::new(source) };
    let opened = descriptor
        .try_clone()
        .map_err(|source| KernelError::System { what: "open a ring of held SYNs", source })?;
    MapData::from_fd(opened).and_then(|data| RingBuf::try_from(Map::RingBuf(data))).map_err(fail)
}

fn sized<K, V>(maps: &MapSet, name: &'static str) -> Result<SizedMap<K, V>, KernelError>
where
    K: egress_common::Pod,
    V: egress_common::Pod,
{
    let fail = |source| KernelError::Map { map: name, source: Box::new(source) };
    let info = MapData::from_fd(maps.open(name)?).and_then(|data| data.info()).map_err(fail)?;
    let sized = SizedMap::new(maps.open(name)?, info.key_size(), info.value_size());
    sized.map_err(|source| KernelError::System { what: "use a map of records", source })
}

impl Maps {
    /// Uses the maps of a loaded object.
    ///
    /// # Errors
    /// When one is not as it should be.
    pub fn of(maps: &MapSet) -> Result<Self, KernelError> {
        let usage = UsageTable::new(maps.open(map::USAGE)?.as_fd(), maps.sandboxes);
        Ok(Self {
            sandboxes: Mutex::new(taken(maps, map::SANDBOXES, Map::HashMap)?),
            pins: Mutex::new(taken(maps, map::PINS, Map::HashMap)?),
            names: Mutex::new(taken(maps, map::NAMES, Map::HashMap)?),
            live: Mutex::new(taken(maps, map::LIVE, Map::HashMap)?),
            unverified: Mutex::new(taken(maps, map::UNVERIFIED, Map::HashMap)?),
            last_id: AtomicU64::new(sys::process::random()),
            judges_hellos: maps.judges_hellos,
            addresses: Mutex::new(taken(maps, map::ADDRESSES, Map::LpmTrie)?),
            flows: sized(maps, map::FLOWS)?,
            askers: taken(maps, map::ASKERS, Map::LruHashMap)?,
            usage: usage.map_err(|source| KernelError::System {
                what: "map what the kernel side counts into memory",
                source,
            })?,
            leftovers: Mutex::default(),
            events: Some(taken(maps, map::EVENTS, Map::RingBuf)?),
            syns: maps.rings().iter().map(ring).collect::<Result<_, _>>()?,
            payloads: Some(taken(maps, map::PAYLOADS, Map::RingBuf)?),
            approvals: Mutex::new(ApprovalMaps {
                approvals: taken(maps, map::APPROVALS, Map::HashMap)?,
                blocks: taken(maps, map::APPROVED, Map::HashMap)?,
            }),
            released: Mutex::new(taken(maps, map::RELEASED, Map::HashMap)?),
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
