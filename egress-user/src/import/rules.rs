//! A rule that is being written.
use super::page::one_line;
use crate::policy::{Action, MAX_PORT_RANGES, PortRange, PortSet, WEB_PORTS};

/// A line of `[network.domains]` or `[network.addresses]`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) action: Action,
    ports: PortSet,
    /// A rule of an address opens UDP as well unless it says otherwise; the sources' proxies are of
    /// TCP.
    is_address: bool,
    places: Vec<String>,
}

impl Rule {
    pub(super) fn new(action: Action, port: Option<u16>, is_address: bool, place: &str) -> Self {
        let ports = port.map_or(PortSet::All, |port| PortSet::only([port]));
        Self { action, ports, is_address, places: vec![place.to_owned()] }
    }

    /// An allow of these ports.
    pub(super) fn allow(ports: PortSet, is_address: bool, place: &str) -> Self {
        Self { ports, ..Self::new(Action::Allow, None, is_address, place) }
    }

    /// Where it comes from.
    pub(super) fn place(&self) -> String {
        self.places.join(", ")
    }

    /// Another allow of the same pattern.
    pub(super) fn add(&mut self, other: Self) {
        self.ports = other.ports.union(&self.ports);
        for place in other.places {
            if !self.places.contains(&place) {
                self.places.push(place);
            }
        }
    }

    /// Takes every port away but the web's.
    pub(super) fn keep_web_ports(&mut self, place: &str) {
        if self.action == Action::Allow {
            self.ports = self.ports.and(&PortSet::only(WEB_PORTS));
            self.places.push(place.to_owned());
        }
    }

    /// Takes one port away.
    pub(super) fn close_port(&mut self, port: u16, place: &str) {
        if self.action == Action::Allow {
            self.ports = self.ports.without(&PortSet::only([port]));
            self.places.push(place.to_owned());
        }
    }

    /// Leaves ports out where there are more ranges than a policy takes; whether there were.
    pub(super) fn cut_ports(&mut self) -> bool {
        let ranges = self.ports.ranges();
        let is_cut = ranges.len() > MAX_PORT_RANGES;
        if is_cut {
            self.ports = PortSet::of(ranges.iter().copied().take(MAX_PORT_RANGES));
        }
        is_cut
    }

    /// Whether it is not an allow without a port.
    pub(super) fn opens_something(&self) -> bool {
        self.action == Action::Deny || !self.ports.is_empty()
    }

    /// As the policy file has it, with a comment.
    pub(super) fn text(&self) -> String {
        let mut options = Vec::new();
        if self.action == Action::Allow {
            if self.ports != PortSet::All {
                let quote = |entry: PortRange| match entry.is_one() {
                    true => entry.to_string(),
                    false => format!("\"{entry}\""),
                };
                let ports: Vec<_> = self.ports.entries().map(quote).collect();
                options.push(format!("ports = [{}]", ports.join(", ")));
            }
            if self.is_address {
                options.push("transport = [\"tcp\"]".to_owned());
            }
        }
        let action = self.action.as_str();
        let value = match options.is_empty() {
            true => format!("\"{action}\""),
            false => format!("{{ action = \"{action}\", {} }}", options.join(", ")),
        };
        format!("{value} # {}", one_line(&self.place()))
    }
}
