//! The maps of one loaded object, typed.

use std::{
    collections::HashSet,
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsFd as _, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, RingBuf, lpm_trie::Key},
};
use egress_common::{
    Address,
    abi::map,
    device::DeviceKey,
    event::{Counter, Held},
    flow::{FlowKey, FlowValue, kind},
    pin::{NameKey, NameValue, PinKey, PinValue, RuleAction, RuleKey, RuleValue},
    sandbox::Sandbox,
};

use ipnet::IpNet;

use super::{devices::Devices, error::KernelError, events::Events};
use crate::{
    flow::{FORGOTTEN_AFTER, Flow, Flows, OriginalDestination, PeerAddress},
    pins::ports_of,
    policy::{AddressAction, AddressEntry, Policy},
    sys::{self, bpf::SizedMap, pod::Wire},
};

pub(super) type Rules = LpmTrie<MapData, Wire<RuleKey>, Wire<RuleValue>>;
pub(super) type Hash<K, V> = HashMap<MapData, Wire<K>, Wire<V>>;

/// A DNS asker's record is believed this long after the datagram that wrote it: a socket that has
/// closed since must not lend its port's record to a stranger.
const ASKER_LIFE_NS: u64 = 10_000_000_000;

/// Handles of the maps that user space reads and writes.
pub struct Maps {
    sandboxes: Mutex<HashMap<MapData, u64, Wire<Sandbox>>>,
    pins: Mutex<Hash<PinKey, PinValue>>,
    pub(super) names: Mutex<Hash<NameKey, NameValue>>,
    pub(super) live: Mutex<HashMap<MapData, u64, u64>>,
    held: HashMap<MapData, u64, Wire<Held>>,
    /// The last number by which connections of a name are counted.
    pub(super) last_id: AtomicU64,
    /// Whether the packet hook can judge a first payload.
    pub(super) judges_hellos: bool,
    addresses: Mutex<Rules>,
    devices: Mutex<HashMap<MapData, Wire<DeviceKey>, u32>>,
    flows: SizedMap<FlowKey, FlowValue>,
    askers: Hash<FlowKey, FlowValue>,
    counters: PerCpuArray<MapData, u64>,
    events: Option<RingBuf<MapData>>,
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

impl Maps {
    /// Takes the maps out of a loaded object.
    pub(super) fn take(ebpf: &mut Ebpf, judges_hellos: bool) -> Result<Self, KernelError> {
        Ok(Self {
            sandboxes: Mutex::new(taken(ebpf, map::SANDBOXES)?),
            pins: Mutex::new(taken(ebpf, map::PINS)?),
            names: Mutex::new(taken(ebpf, map::NAMES)?),
            live: Mutex::new(taken(ebpf, map::LIVE)?),
            held: taken(ebpf, map::HELD)?,
            last_id: AtomicU64::new(0),
            judges_hellos,
            addresses: Mutex::new(taken(ebpf, map::ADDRESSES)?),
            devices: Mutex::new(taken(ebpf, map::DEVICES)?),
            flows: sized(ebpf, map::FLOWS)?,
            askers: taken(ebpf, map::ASKERS)?,
            counters: taken(ebpf, map::COUNTERS)?,
            events: Some(taken(ebpf, map::EVENTS)?),
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
    /// When the map is full.
    pub fn add_sandbox(&self, sandbox: Sandbox) -> Result<(), KernelError> {
        let mut map = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(sandbox.id, Wire(sandbox), 0)
            .map_err(|source| KernelError::Map { map: map::SANDBOXES, source: Box::new(source) })
    }

    /// Takes away what the kernel knows of a sandbox: its cgroup is judged by nothing but refusals then.
    pub fn remove_sandbox(&self, id: u64) {
        let mut map = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        // Absent is as good as removed.
        let _ = map.remove(&id);
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
    /// When they do not fit.
    pub fn add_rules(&self, sandbox: u64, policy: &Policy) -> Result<(), KernelError> {
        let mut map = self.addresses();
        for rule in policy.address_entries() {
            write_rule(&mut map, sandbox, &rule).map_err(|_| KernelError::PolicyTooLarge)?;
        }
        Ok(())
    }

    /// Writes the rules of another policy, and takes those away that are of the one before alone. A block
    /// that both name is never without one.
    ///
    /// # Errors
    /// When they do not fit; those of before are there again then.
    pub fn replace_rules(
        &self,
        sandbox: u64,
        before: &Policy,
        policy: &Policy,
    ) -> Result<(), KernelError> {
        let (old, new) = (before.address_entries(), policy.address_entries());
        let mut map = self.addresses();
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

    pub(super) fn addresses(&self) -> MutexGuard<'_, Rules> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every direct connection of a sandbox of which no payload has left, by its socket's cookie.
    pub fn all_held(&self, sandbox: u64) -> Vec<(u64, Held)> {
        let held = self.held.iter().flatten().map(|(cookie, held)| (cookie, held.0));
        held.filter(|(_, held)| held.sandbox == sandbox).collect()
    }

    /// A counter, summed over the processors; 0 when it cannot be read.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(&(counter as u32), 0).map_or(0, |values| values.iter().sum())
    }

    /// The direct connection with this socket cookie, if no server has answered it and it lives.
    pub fn held(&self, cookie: u64) -> Option<Held> {
        self.held.get(&cookie, 0).ok().map(|held| held.0)
    }

    pub(super) fn pins(&self) -> MutexGuard<'_, Hash<PinKey, PinValue>> {
        self.pins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The [`Flows`] of a listener in the network namespace of `socket`, for TCP connections of
    /// this [`kind`] alone: two sockets bound to one port, one connecting to port 53, must not get
    /// each other's records.
    ///
    /// # Errors
    /// When the kernel does not tell the namespace's cookie.
    pub fn flows(
        self: &std::sync::Arc<Self>,
        sandbox: u64,
        tcp_kind: u16,
        socket: BorrowedFd<'_>,
    ) -> io::Result<KernelFlows> {
        let netns = sys::sockets::netns_cookie(socket)?;
        Ok(KernelFlows { maps: self.clone(), sandbox, tcp_kind, netns })
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

/// Reads one sandbox's flows.
pub struct KernelFlows {
    maps: std::sync::Arc<Maps>,
    sandbox: u64,
    tcp_kind: u16,
    netns: u64,
}

impl KernelFlows {
    /// `at` for TCP.
    fn key(&self, peer: PeerAddress, at: Option<SocketAddr>) -> FlowKey {
        let protocol = if at.is_some() { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP };
        FlowKey {
            netns: self.netns,
            address: key_of(peer.0.ip()),
            listener: at.map_or(Address { words: [0; 4] }, |at| key_of(at.ip())),
            port: peer.0.port(),
            listener_port: at.map_or(0, |at| at.port()),
            protocol: u16::try_from(protocol).unwrap_or(0),
            reserved: 0,
        }
    }

    fn flow(&self, value: FlowValue) -> Option<Flow> {
        if value.sandbox != self.sandbox {
            return None;
        }
        Some(Flow {
            original: OriginalDestination(SocketAddr::new(
                value.original.into(),
                value.original_port,
            )),
            tgid: value.tgid,
            uid: value.uid,
        })
    }
}

impl Flows for KernelFlows {
    fn take_tcp(&self, peer: PeerAddress, at: SocketAddr) -> Option<Flow> {
        let value = self.maps.flows.take(&self.key(peer, Some(at)))?;
        if value.kind != self.tcp_kind {
            return None;
        }
        self.flow(value)
    }

    fn forget(&self) {
        let now_ns = crate::clock::boottime_ns();
        let before_ns = now_ns.saturating_sub(FORGOTTEN_AFTER.as_nanos() as u64);
        self.maps.flows.remove_where(|flow| {
            flow.sandbox == self.sandbox
                && flow.kind == self.tcp_kind
                && flow.ended != 0
                && flow.seen_ns < before_ns
        });
    }

    fn udp(&self, peer: PeerAddress) -> Option<Flow> {
        let value = self.maps.askers.get(&Wire(self.key(peer, None)), 0).ok()?.0;
        let age = crate::clock::boottime_ns().saturating_sub(value.seen_ns);
        if value.kind != kind::DNS_UDP || age > ASKER_LIFE_NS {
            return None;
        }
        self.flow(value)
    }
}
