//! The maps of a loaded object, by their names: what is handed to whoever reads and writes them.

use std::os::fd::{AsFd, OwnedFd};

use aya::{
    Ebpf,
    maps::{ArrayOfMaps, Map, MapData},
};
use egress_common::{
    abi::{capacity, map},
    sandbox::WORKERS,
};

use super::error::KernelError;
use crate::sys;

/// Maps that user space reads and writes while a sandbox lives, in the order in which they are handed on. Behind them
/// come the rings of held SYNs, one a worker.
const NAMES: [&str; 15] = [
    map::SANDBOXES,
    map::PINS,
    map::NAMES,
    map::LIVE,
    map::UNVERIFIED,
    map::ADDRESSES,
    map::DEVICES,
    map::FLOWS,
    map::ASKERS,
    map::USAGE,
    map::EVENTS,
    map::RELEASED,
    map::PAYLOADS,
    map::APPROVALS,
    map::APPROVED,
];

/// Their descriptors. Whoever has one may read and write the map without any right (Linux 5.19; before, bpf(2)
/// asks for CAP_BPF where `kernel.unprivileged_bpf_disabled` is set).
#[derive(Debug)]
pub struct MapSet {
    maps: Vec<OwnedFd>,
    /// Whether the packet hook can judge a first payload.
    pub judges_hellos: bool,
    /// For how many sandboxes at once the maps have room.
    pub sandboxes: u32,
}

impl MapSet {
    /// Those of a loaded object.
    ///
    /// # Errors
    /// When one is missing: object and binary do not belong together.
    pub(super) fn of(
        ebpf: &mut Ebpf,
        judges_hellos: bool,
        sandboxes: u32,
    ) -> Result<Self, KernelError> {
        let maps = NAMES.into_iter().map(|name| {
            let map =
                ebpf.map(name).and_then(data).ok_or(KernelError::Missing { program: name })?;
            let duplicate = map.fd().as_fd().try_clone_to_owned();
            duplicate.map_err(|source| KernelError::System { what: "keep a map", source })
        });
        let mut maps = maps.collect::<Result<Vec<_>, _>>()?;
        maps.extend(rings(ebpf)?);
        Ok(Self { maps, judges_hellos, sandboxes })
    }

    /// Those that were handed on, in the order of [`MapSet::all`]; none where there are more or fewer.
    pub fn adopt(maps: Vec<OwnedFd>, judges_hellos: bool, sandboxes: u32) -> Option<Self> {
        let rings = maps.len().checked_sub(NAMES.len())?;
        (1..=WORKERS).contains(&rings).then_some(Self { maps, judges_hellos, sandboxes })
    }

    /// The rings of held SYNs: there are as many workers.
    pub fn rings(&self) -> &[OwnedFd] {
        self.maps.get(NAMES.len()..).unwrap_or_default()
    }

    /// A descriptor of its own of the map with this name.
    ///
    /// # Errors
    /// When there is no such map, or no room for a descriptor.
    pub fn open(&self, name: &'static str) -> Result<OwnedFd, KernelError> {
        let found = NAMES.iter().position(|known| *known == name).and_then(|at| self.maps.get(at));
        let map = found.ok_or(KernelError::Missing { program: name })?;
        map.try_clone().map_err(|source| KernelError::System { what: "open a map", source })
    }

    /// All of them, in an order that is always the same.
    pub fn all(&self) -> &[OwnedFd] {
        &self.maps
    }
}

/// Makes the rings of held SYNs, one a processor, and puts them where the packet hook looks for them.
fn rings(ebpf: &mut Ebpf) -> Result<Vec<OwnedFd>, KernelError> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(WORKERS);
    let each = capacity::SYN_BYTES / workers.next_power_of_two() as u32;
    let fail = |source| KernelError::Map { map: map::SYNS, source: Box::new(source) };
    let array = ebpf.map_mut(map::SYNS).ok_or(KernelError::Missing { program: map::SYNS })?;
    let mut array = ArrayOfMaps::<_, MapData>::try_from(array).map_err(fail)?;
    let ring = |worker: u32| {
        let system = |source| KernelError::System { what: "make a ring of held SYNs", source };
        let ring = sys::bpf::ring_create(each).map_err(system)?;
        let opened = ring.try_clone().map_err(system)?;
        array.set(worker, &MapData::from_fd(opened).map_err(fail)?, 0).map_err(fail)?;
        Ok(ring)
    };
    (0..workers as u32).map(ring).collect()
}

fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::LpmTrie(data)
        | Map::RingBuf(data)
        | Map::Array(data) => Some(data),
        _ => None,
    }
}
