//! The maps of one loaded object, typed.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::BorrowedFd,
    sync::{Mutex, PoisonError},
};

use aya::{
    Ebpf,
    maps::{HashMap, LpmTrie, Map, MapData, MapError, PerCpuArray, RingBuf, lpm_trie::Key},
};
use egress_common::{
    Address,
    abi::map,
    event::Counter,
    flow::{FlowKey, FlowValue, kind},
    pin::{PinKey, PinValue, Ports, RuleKey, RuleValue},
    sandbox::Sandbox,
};

use super::{error::KernelError, events::Events};
use crate::{
    dns::PinSink,
    flow::{Flow, Flows, OriginalDestination, PeerAddress},
    policy::Policy,
    sys::{self, pod::Wire},
};

type Hash<K, V> = HashMap<MapData, Wire<K>, Wire<V>>;

/// A DNS asker's record is believed this long after the datagram that wrote it: a socket that has
/// closed since must not lend its port's record to a stranger.
const ASKER_LIFE_NS: u64 = 10_000_000_000;

/// Handles of the maps that user space reads and writes.
pub struct Maps {
    sandboxes: Mutex<HashMap<MapData, u64, Wire<Sandbox>>>,
    pins: Mutex<Hash<PinKey, PinValue>>,
    addresses: Mutex<LpmTrie<MapData, Wire<RuleKey>, Wire<RuleValue>>>,
    flows: Mutex<Hash<FlowKey, FlowValue>>,
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

impl Maps {
    /// Takes the maps out of a loaded object.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, KernelError> {
        Ok(Self {
            sandboxes: Mutex::new(taken(ebpf, map::SANDBOXES)?),
            pins: Mutex::new(taken(ebpf, map::PINS)?),
            addresses: Mutex::new(taken(ebpf, map::ADDRESSES)?),
            flows: Mutex::new(taken(ebpf, map::FLOWS)?),
            askers: taken(ebpf, map::ASKERS)?,
            counters: taken(ebpf, map::COUNTERS)?,
            events: Some(taken(ebpf, map::EVENTS)?),
        })
    }

    /// The event ring; only the first call gets it.
    pub fn take_events(&mut self) -> Option<Events> {
        self.events.take().map(Events::new)
    }

    /// Makes the kernel know a sandbox: from now on its cgroup is judged by `sandbox`.
    ///
    /// # Errors
    /// When the map is full.
    pub fn add_sandbox(&self, sandbox: Sandbox) -> Result<(), KernelError> {
        let mut map = self.sandboxes.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(sandbox.id, Wire(sandbox), 0)
            .map_err(|source| KernelError::Map { map: map::SANDBOXES, source: Box::new(source) })
    }

    /// Writes what the policy says of addresses.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn add_rules(&self, sandbox: u64, policy: &Policy) -> Result<(), KernelError> {
        let mut map = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in policy.kernel_rules() {
            let (address, bits) = match rule.block {
                ipnet::IpNet::V4(block) => {
                    (IpAddr::V4(block.network()), 96 + u32::from(block.prefix_len()))
                }
                ipnet::IpNet::V6(block) => {
                    (IpAddr::V6(block.network()), u32::from(block.prefix_len()))
                }
            };
            let data = RuleKey { sandbox, address: key_of(address) };
            let key = Key::new(RuleKey::SANDBOX_BITS + bits, Wire(data));
            let value = RuleValue { action: rule.action as u32, reserved: 0, ports: rule.ports };
            map.insert(&key, Wire(value), 0).map_err(|_| KernelError::PolicyTooLarge)?;
        }
        Ok(())
    }

    /// A counter, summed over the processors; 0 when it cannot be read.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(&(counter as u32), 0).map_or(0, |values| values.iter().sum())
    }

    /// The [`PinSink`] of one sandbox.
    pub fn pin_sink(self: &std::sync::Arc<Self>, sandbox: u64) -> KernelPins {
        KernelPins { maps: self.clone(), sandbox }
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

/// v6 addresses stay as they are; v4 in mapped form.
fn key_of(address: IpAddr) -> Address {
    Address::from(address)
}

/// Writes one sandbox's pins.
pub struct KernelPins {
    maps: std::sync::Arc<Maps>,
    sandbox: u64,
}

impl PinSink for KernelPins {
    fn pin(&self, address: IpAddr, expires_ns: u64, ports: Ports) -> io::Result<()> {
        let key = PinKey { sandbox: self.sandbox, address: key_of(address) };
        let value = PinValue { expires_ns, ports };
        let mut map = self.maps.pins.lock().unwrap_or_else(PoisonError::into_inner);
        map.insert(Wire(key), Wire(value), 0).map_err(io::Error::other)
    }

    fn unpin(&self, address: IpAddr) {
        let key = PinKey { sandbox: self.sandbox, address: key_of(address) };
        let mut map = self.maps.pins.lock().unwrap_or_else(PoisonError::into_inner);
        // Absent is as good as removed.
        let _ = map.remove(&Wire(key));
    }
}

/// Reads one sandbox's flows.
pub struct KernelFlows {
    maps: std::sync::Arc<Maps>,
    sandbox: u64,
    tcp_kind: u16,
    netns: u64,
}

impl KernelFlows {
    fn key(&self, peer: PeerAddress, protocol: libc::c_int) -> FlowKey {
        FlowKey {
            netns: self.netns,
            address: key_of(peer.0.ip()),
            port: peer.0.port(),
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
    fn take_tcp(&self, peer: PeerAddress) -> Option<Flow> {
        let key = Wire(self.key(peer, libc::IPPROTO_TCP));
        let mut map = self.maps.flows.lock().unwrap_or_else(PoisonError::into_inner);
        let value = map.get(&key, 0).ok()?;
        // Gone already when the client has closed meanwhile.
        let _ = map.remove(&key);
        drop(map);
        if value.0.kind != self.tcp_kind {
            return None;
        }
        self.flow(value.0)
    }

    fn udp(&self, peer: PeerAddress) -> Option<Flow> {
        let value = self.maps.askers.get(&Wire(self.key(peer, libc::IPPROTO_UDP)), 0).ok()?.0;
        let age = crate::dns::clock::boottime_ns().saturating_sub(value.seen_ns);
        if value.kind != kind::DNS_UDP || age > ASKER_LIFE_NS {
            return None;
        }
        self.flow(value)
    }
}
