//! The end of a sandbox's programs. What they hold back must not leave when they go: a connection
//! whose program has ended lives on in the kernel as long as it has something to send, and would send
//! it as soon as nothing judges it (seen on 6.18: 200 bytes of a refused hello at the far side).

use std::{fs, path::Path};

use aya::maps::{HashMap, Map, MapData};
use egress_common::event::Held;

use super::{abi::HeldPin, destroy::Destroyer};
use crate::sys::{self, pod::Wire};

/// Removes a dead sandbox's directory of pins, whose programs are detached once nobody holds their
/// links. Nothing is left in its cgroup.
///
/// Of the connections only that sandbox's are ended, which the pin names: others may live by the same maps.
///
/// False when connections live that hold something back and that cannot be ended from here (they
/// are in another network namespace, or the kernel ends no orphans): the pins stay, and the programs
/// with them, for the next run to try again. Such connections end by themselves within minutes.
pub fn detach_pinned(pins: &Path) -> bool {
    if !pins.is_dir() {
        return true;
    }
    if !end_held(pins) {
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
fn end_held(pins: &Path) -> bool {
    // Without one it died before anything was attached.
    let Some(pin) = HeldPin::find(pins) else { return true };
    if !pin.is_readable() {
        return is_done(&pin);
    }
    let Ok(held) = MapData::from_pin(&pin.path) else { return false };
    let Ok(held) = HashMap::<_, u64, Wire<Held>>::try_from(Map::HashMap(held)) else {
        return false;
    };
    let left = of_sandbox(&held, pin.sandbox);
    if left.is_empty() {
        return true;
    }
    let Ok(destroyer) = Destroyer::open() else { return false };
    let Ok(netns) = destroyer.netns() else { return false };
    for (cookie, connection) in left.iter().filter(|(_, held)| held.netns == netns) {
        // Its programs take it out of the map as it closes.
        let _ = destroyer.end(*cookie, connection);
    }
    of_sandbox(&held, pin.sandbox).is_empty()
}

/// The map may be one that other sandboxes live by.
fn of_sandbox(held: &HashMap<MapData, u64, Wire<Held>>, sandbox: u64) -> Vec<(u64, Held)> {
    let held = held.iter().flatten().map(|(cookie, held)| (cookie, held.0));
    held.filter(|(_, held)| held.sandbox == sandbox).collect()
}

/// Whether the programs of another version, whose records say nothing here, hold nothing back at all.
/// What they hold ends by itself within minutes.
fn is_done(pin: &HeldPin) -> bool {
    let is_empty = sys::bpf::is_pinned_map_empty(&pin.path).unwrap_or(false);
    if !is_empty {
        let (path, version) = (pin.path.display(), pin.version);
        tracing::warn!(%path, version, "left by another version of egress; its programs stay until \
             no connection waits in them");
    }
    is_empty
}
