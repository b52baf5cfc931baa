//! The end of a sandbox's programs. What they hold back must not leave when they go: a connection
//! whose program has ended lives on in the kernel as long as it has something to send, and would send
//! it as soon as nothing judges it (seen on 6.18: 200 bytes of a refused hello at the far side).

use std::{fs, path::Path};

use aya::maps::{HashMap, Map, MapData};
use egress_common::event::Unverified;

use super::{abi::UnverifiedPin, destroy::Destroyer};
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
    if !end_unverified(pins) {
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
fn end_unverified(pins: &Path) -> bool {
    // Without one it died before anything was attached.
    let Some(pin) = UnverifiedPin::find(pins) else { return true };
    if !pin.is_readable() {
        return is_done(&pin);
    }
    let Ok(unverified) = MapData::from_pin(&pin.path) else { return false };
    let Ok(unverified) = HashMap::<_, u64, Wire<Unverified>>::try_from(Map::HashMap(unverified))
    else {
        return false;
    };
    let left = of_sandbox(&unverified, pin.sandbox);
    if left.is_empty() {
        return true;
    }
    let Ok(destroyer) = Destroyer::open() else { return false };
    let Ok(netns) = destroyer.netns() else { return false };
    for (cookie, connection) in left.iter().filter(|(_, connection)| connection.netns == netns) {
        // Its programs take it out of the map as it closes.
        let _ = destroyer.end(*cookie, connection);
    }
    of_sandbox(&unverified, pin.sandbox).is_empty()
}

/// The map may be one that other sandboxes live by.
fn of_sandbox(
    unverified: &HashMap<MapData, u64, Wire<Unverified>>,
    sandbox: u64,
) -> Vec<(u64, Unverified)> {
    let all = unverified.iter().flatten().map(|(cookie, connection)| (cookie, connection.0));
    all.filter(|(_, connection)| connection.sandbox == sandbox).collect()
}

/// Whether the programs of another version, whose records say nothing here, hold nothing back at all.
/// What they hold ends by itself within minutes.
fn is_done(pin: &UnverifiedPin) -> bool {
    let is_empty = sys::bpf::is_pinned_map_empty(&pin.path).unwrap_or(false);
    if !is_empty {
        let (path, version) = (pin.path.display(), pin.version);
        tracing::warn!(%path, version, "left by another version of egress; its programs stay until \
             no connection waits in them");
    }
    is_empty
}
