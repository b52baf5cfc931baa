//! The end of a sandbox's programs. What they hold back must not leave when they go: a connection
//! whose program has ended lives on in the kernel as long as it has something to send, and would send
//! it as soon as nothing judges it (seen on 6.18: 200 bytes of a refused hello at the far side).

use std::{fs, path::Path};

use aya::maps::{HashMap, Map, MapData};
use egress_common::{abi::map, event::Held};

use super::destroy::Destroyer;
use crate::sys::pod::Wire;

/// Removes a dead sandbox's directory of pins, whose programs are detached once nobody holds their
/// links. Nothing is left in its cgroup.
///
/// `of` is the sandbox, where others that share its maps may live; none for what a dead process left.
///
/// False when connections live that hold something back and that cannot be ended from here (they
/// are in another network namespace, or the kernel ends no orphans): the pins stay, and the programs
/// with them, for the next run to try again. Such connections end by themselves within minutes.
pub fn detach_pinned(pins: &Path, of: Option<u64>) -> bool {
    if !pins.is_dir() {
        return true;
    }
    if !end_held(pins, of) {
        return false;
    }
    if let Ok(entries) = fs::read_dir(pins) {
        for entry in entries.flatten() {
            let _ = fs::remove_file(entry.path());
        }
        let _ = fs::remove_dir(pins);
    }
    true
}

/// False when some are left.
fn end_held(pins: &Path, of: Option<u64>) -> bool {
    let path = pins.join(map::HELD);
    if !path.exists() {
        // It died before anything was attached.
        return true;
    }
    let Ok(held) = MapData::from_pin(&path) else { return false };
    let Ok(held) = HashMap::<_, u64, Wire<Held>>::try_from(Map::HashMap(held)) else {
        return false;
    };
    let is_its = |held: &Held| of.is_none_or(|id| held.sandbox == id);
    let left = || -> Vec<(u64, Held)> {
        let entries = held.iter().flatten().map(|(cookie, held)| (cookie, held.0));
        entries.filter(|(_, held)| is_its(held)).collect()
    };
    let ending = left();
    if ending.is_empty() {
        return true;
    }
    let Ok(destroyer) = Destroyer::open() else { return false };
    let Ok(netns) = destroyer.netns() else { return false };
    for (cookie, connection) in ending.iter().filter(|(_, held)| held.netns == netns) {
        // Its programs take it out of the map as it closes.
        let _ = destroyer.end(*cookie, connection);
    }
    left().is_empty()
}
