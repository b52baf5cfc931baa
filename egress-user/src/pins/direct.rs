//! Connections that need no proxy: which addresses and ports, under which names.
//!
//! A connection goes straight out only where *every* name of its address that opens the port needs no
//! proxy: which of them it is for is known only when its first bytes are there.

use std::net::IpAddr;

use egress_common::pin::{PortList, Ports};

use super::{
    Naming, Opening, Pins, list_of, ports_of, set_of,
    table::{Pin, PinTable},
};
use crate::policy::{PortSet, Transport, WEB_PORTS};

impl PinTable {
    /// What the store holds for the address; none when no live pin is left.
    pub(super) fn standing(&self, address: IpAddr, now_ns: u64) -> Option<Opening> {
        let mut live = self.live_of(address, now_ns).peekable();
        live.peek()?;
        Some(self.opening(address, live))
    }

    pub(super) fn live_of(&self, address: IpAddr, now_ns: u64) -> impl Iterator<Item = &Pin> {
        self.pins_of(address).iter().filter(move |pin| self.is_live(address, pin, now_ns))
    }

    /// What these pins open together.
    pub(super) fn opening<'a>(
        &self,
        address: IpAddr,
        pins: impl Iterator<Item = &'a Pin>,
    ) -> Opening {
        let pins: Vec<&Pin> = pins.collect();
        let mut opening = Opening::proxied(0, Ports::NONE);
        let (mut open, mut candidates) = (PortSet::only([]), PortSet::only([]));
        let mut sets: Vec<PortSet> = Vec::new();
        for pin in &pins {
            opening.expires_ns = opening.expires_ns.max(pin.ends_ns());
            let (ports, direct) = (pin.grant.tcp_ports(), set_of(&pin.direct));
            open = open.union(&ports);
            candidates = candidates.union(&direct);
            // Each once: hundreds of names can share an address, and most of them a rule.
            for set in [ports, direct] {
                if !sets.contains(&set) {
                    sets.push(set);
                }
            }
        }
        opening.ports = ports_of(&open);
        if self.proxied.contains(&address.to_canonical()) {
            return opening;
        }
        let (mut direct, mut unread) = (Vec::new(), Vec::new());
        sets.push(PortSet::only(WEB_PORTS));
        for part in candidates.parts(&sets) {
            // All ports of a part are alike to every pin.
            let port = part.first();
            let agrees =
                |pin: &&Pin| pin.direct.contains(port) || !pin.grant.opens(port, Transport::Tcp);
            if !pins.iter().all(agrees) {
                continue;
            }
            // As the proxy: anything passes there, but for requests of hosts that are not judged.
            let is_web = WEB_PORTS.contains(&port);
            match !is_web || pins.iter().any(|pin| pin.grant.any_protocol(port)) {
                true => unread.push(part),
                false => direct.push(part),
            }
        }
        let (unread, unread_list) = list_of(unread);
        opening.unread = unread_list;
        opening.direct = list_of(unread.ranges().iter().copied().chain(direct)).1;
        // What did not fit among the direct ones is not asked for among the unread.
        opening
    }
}

impl Pins {
    /// Writes the pin's name to the store; where it cannot be judged there, the pin needs the proxy. To be
    /// called by the writer.
    pub(super) fn write_name(&self, address: IpAddr, pin: &mut Pin) {
        if pin.direct == PortList::NONE {
            return;
        }
        match self.store.name(address, &pin.name, &pin.naming()) {
            Some(id) => pin.id = id,
            None => pin.direct = PortList::NONE,
        }
    }

    /// The next connections to the address take the proxy: what one of them said could not be read
    /// without it. Until the last pin of the address ends.
    pub fn send_to_proxy(&self, address: IpAddr, now_ns: u64) {
        let address = address.to_canonical();
        let _writing = self.writing();
        let standing = {
            let mut table = self.table();
            if !table.by_address.contains_key(&address) {
                return;
            }
            table.proxied.insert(address);
            table.standing(address, now_ns)
        };
        if let Some(standing) = standing {
            // Where this fails, the next connection is ended as this one was.
            let _ = self.store.pin(address, &standing);
        }
    }
}

impl Pin {
    /// What the store has of its name.
    pub(super) fn naming(&self) -> Naming {
        Naming { expires_ns: self.ends_ns(), ports: self.direct, id: self.id }
    }
}

#[cfg(test)]
mod tests;
