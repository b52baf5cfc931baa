//! Which devices a sandbox may open: those that this machine's kernel knows at the start, but for the
//! ones that are networks or lead to one (docs/devices.md has the list with the reasons).
//!
//! An allowlist: a driver that is loaded later may have any major, so what is not known is refused.

use std::{collections::BTreeMap, fs, io, path::Path};

use aya::maps::{HashMap, Map, MapData};
use egress_common::{
    abi::map,
    device::{DeviceKey, access, kind},
};

use super::{KernelError, MapSet};
use crate::sys::pod::Wire;

/// Drivers of devices that are refused, by their names in /proc/devices and /proc/misc; one that ends
/// in `*` is the beginning of several. docs/devices.md says why, a test that it names all of them.
pub(super) const REFUSED: &[&str] = &[
    // Networks.
    "tun",
    "*tap",
    "tap*",
    "ppp*",
    "isdn*",
    "capi*",
    "kni",
    "netmap",
    "onload*",
    "sfc_*",
    "vmnet",
    "vboxnet*",
    "vboxdrv*",
    "qrtr*",
    "dlm*",
    "aoechr",
    // Virtual machines' ways to a network, or to the machine above.
    "vhost*",
    "vduse*",
    "vmci",
    "vboxguest",
    "vboxuser",
    "vmbus*",
    "xen*",
    "virtio-ports*",
    "goldfish_*",
    "qemu_pipe",
    "vmcp",
    // Remote memory, and storage over a network.
    "infiniband*",
    "rdma*",
    "ucma*",
    "uverbs*",
    "umad*",
    "issm*",
    "hfi1*",
    "ipath*",
    "cxi*",
    "nvme-fabrics",
    "nbd",
    "drbd",
    "rbd*",
    "rnbd*",
    "aoe",
    // Raw hardware, a network card among it.
    "vfio*",
    "iommu",
    "uio*",
    "usb",
    "usb_device",
    "firewire",
    "fwctl",
    "switchtec*",
    // Modems and radios, and other computers in this machine.
    "wwan*",
    "cdc-wdm",
    "mhi*",
    "rpmsg*",
    "rfcomm",
    "vhci",
    "ipmi*",
    "hpilo",
    "mei*",
    // What is written there is typed into the machine's own consoles and desktops.
    "uinput",
    "uhid",
    "userio",
];

/// Character majors with fixed numbers whose devices may be opened whether the driver is there at the
/// start or comes with the first open (linux/Documentation/admin-guide/devices.txt): memory and
/// terminals, sound, video, graphics.
const ALWAYS: &[u32] = &[1, 2, 3, 4, 5, 7, 14, 81, 116, 166, 188, 195, 204, 226];
/// The same for the second ends of pseudo-terminals.
const PTS: std::ops::RangeInclusive<u32> = 136..=143;
/// The major that drivers with one device share.
const MISC: u32 = 10;
/// The same for its minors: /dev/fuse, /dev/kvm.
const ALWAYS_MISC: &[u32] = &[229, 232];
/// /dev/input: what is written there is typed too.
const INPUT: u32 = 13;

/// The access that is allowed to each device or major.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    pub(super) allowed: BTreeMap<DeviceKey, u32>,
    /// Names of drivers that are here and refused, in alphabetical order.
    pub refused: Vec<String>,
}

impl Devices {
    /// What the kernel knows now, by the files `devices` and `misc` of a mount of proc.
    ///
    /// # Errors
    /// When they cannot be read, as where proc shows processes alone (`subset=pid`).
    pub fn known(proc: &Path) -> io::Result<Self> {
        let read = |name| fs::read(proc.join(name));
        let (devices, misc) = (read("devices")?, read("misc")?);
        Ok(Self::parse(&String::from_utf8_lossy(&devices), &String::from_utf8_lossy(&misc)))
    }

    fn parse(devices: &str, misc: &str) -> Self {
        let mut known = Self::default();
        let always = ALWAYS.iter().copied().chain(PTS);
        always.for_each(|major| known.allow(kind::CHARACTER, major, DeviceKey::ANY));
        ALWAYS_MISC.iter().for_each(|minor| known.allow(kind::CHARACTER, MISC, *minor));
        let mut of = kind::CHARACTER;
        let mut refused = Vec::new();
        for line in devices.lines() {
            match line.trim() {
                "Character devices:" => of = kind::CHARACTER,
                "Block devices:" => of = kind::BLOCK,
                line => {
                    let Some((major, name)) = numbered(line) else { continue };
                    // Each device of the shared major has a line of its own in the other file.
                    let shared = of == kind::CHARACTER && major == MISC;
                    if is_refused(name) {
                        refused.push((DeviceKey { kind: of, major, minor: DeviceKey::ANY }, name));
                    } else if !shared {
                        known.allow(of, major, DeviceKey::ANY);
                    }
                }
            }
        }
        for (minor, name) in misc.lines().filter_map(numbered) {
            if is_refused(name) {
                let key = DeviceKey { kind: kind::CHARACTER, major: MISC, minor };
                refused.push((key, name));
            } else {
                known.allow(kind::CHARACTER, MISC, minor);
            }
        }
        // Several drivers may share a major: one that is refused closes it.
        for (key, name) in refused {
            known.allowed.remove(&key);
            known.refused.push(name.to_owned());
        }
        known.refused.sort_unstable();
        known.refused.dedup();
        known
    }

    fn allow(&mut self, kind: u32, major: u32, minor: u32) {
        let input = kind == kind::CHARACTER && major == INPUT;
        let what = if input { access::ALL & !access::WRITE } else { access::ALL };
        self.allowed.insert(DeviceKey { kind, major, minor }, what);
    }

    /// Whether a sandbox may open a device, for reading and writing if `access` has both bits.
    pub fn allows(&self, device: DeviceKey, access: u32) -> bool {
        let any = DeviceKey { minor: DeviceKey::ANY, ..device };
        let allowed = self.allowed.get(&device).or_else(|| self.allowed.get(&any));
        access & !allowed.copied().unwrap_or(0) == 0
    }

    /// Opens them for the sandboxes of these maps; until then none can be.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn open(&self, maps: &MapSet) -> Result<(), KernelError> {
        let fail = |source| KernelError::Map { map: map::DEVICES, source: Box::new(source) };
        let data = MapData::from_fd(maps.open(map::DEVICES)?).map_err(fail)?;
        let opened = HashMap::<_, Wire<DeviceKey>, u32>::try_from(Map::HashMap(data));
        let mut opened = opened.map_err(fail)?;
        let mut all = self.allowed.iter();
        all.try_for_each(|(device, access)| opened.insert(Wire(*device), access, 0).map_err(fail))
    }

    /// How many devices and majors may be opened.
    pub fn count(&self) -> usize {
        self.allowed.len()
    }
}

/// The device's node below /dev, where the kernel tells it.
pub fn node(device: DeviceKey) -> Option<String> {
    let DeviceKey { kind, major, minor } = device;
    let of = if kind == kind::BLOCK { "block" } else { "char" };
    let about = fs::read_to_string(format!("/sys/dev/{of}/{major}:{minor}/uevent")).ok()?;
    let plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_graphic());
    let name = about.lines().find_map(|line| line.strip_prefix("DEVNAME=")).filter(plain);
    name.map(str::to_owned)
}

/// A number and a name, as both files have them.
fn numbered(line: &str) -> Option<(u32, &str)> {
    let (number, name) = line.trim().split_once(' ')?;
    Some((number.parse().ok()?, name.trim()))
}

fn is_refused(name: &str) -> bool {
    REFUSED.iter().any(|refused| match (refused.strip_suffix('*'), refused.strip_prefix('*')) {
        (Some(start), _) => name.starts_with(start),
        (_, Some(end)) => name.ends_with(end),
        _ => name == *refused,
    })
}

#[cfg(test)]
mod tests;
