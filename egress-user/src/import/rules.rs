//! A rule that is being written.
use std::collections::BTreeSet;

use super::page::one_line;
use crate::policy::{Action, WEB_PORTS};

/// A line of `[network.domains]` or `[network.addresses]`.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) action: Action,
    /// None is every port.
    ports: Option<BTreeSet<u16>>,
    /// A rule of an address opens UDP as well unless it says otherwise; the sources' proxies are of
    /// TCP.
    is_address: bool,
    places: Vec<String>,
}

impl Rule {
    pub(super) fn new(action: Action, port: Option<u16>, is_address: bool, place: &str) -> Self {
        let ports = port.map(|port| BTreeSet::from([port]));
        Self { action, ports, is_address, places: vec![place.to_owned()] }
    }

    /// An allow of these ports; none is every port.
    pub(super) fn allow(ports: Option<BTreeSet<u16>>, is_address: bool, place: &str) -> Self {
        Self { ports, ..Self::new(Action::Allow, None, is_address, place) }
    }

    /// Where it comes from.
    pub(super) fn place(&self) -> String {
        self.places.join(", ")
    }

    /// Another allow of the same pattern.
    pub(super) fn add(&mut self, other: Self) {
        self.ports = match (self.ports.take(), other.ports) {
            (Some(mut own), Some(more)) => {
                own.extend(more);
                Some(own)
            }
            _ => None,
        };
        for place in other.places {
            if !self.places.contains(&place) {
                self.places.push(place);
            }
        }
    }

    /// Takes every port away but the web's.
    pub(super) fn keep_web_ports(&mut self, place: &str) {
        if self.action == Action::Allow {
            let is_open = |port: &u16| self.ports.as_ref().is_none_or(|ports| ports.contains(port));
            self.ports = Some(WEB_PORTS.into_iter().filter(is_open).collect());
            self.places.push(place.to_owned());
        }
    }

    /// Takes one port away. A rule of every port keeps the web's: a list of all others would be
    /// longer than the kernel's.
    pub(super) fn close_port(&mut self, port: u16, place: &str) {
        if self.action == Action::Allow {
            let ports = self.ports.get_or_insert_with(|| BTreeSet::from(WEB_PORTS));
            ports.remove(&port);
            self.places.push(place.to_owned());
        }
    }

    /// Whether it is not an allow without a port.
    pub(super) fn opens_something(&self) -> bool {
        self.action == Action::Deny || self.ports.as_ref().is_none_or(|ports| !ports.is_empty())
    }

    /// As the policy file has it, with a comment.
    pub(super) fn text(&self) -> String {
        let mut options = Vec::new();
        if self.action == Action::Allow {
            if let Some(ports) = &self.ports {
                let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
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
