//! `toPorts`.
use super::{
    super::{
        list::port_number,
        tree::{Entry, Node, get},
    },
    File,
};
use crate::{
    config::ConfigError,
    policy::{PortRange, PortSet},
};

impl File<'_, '_> {
    /// The ports of a rule: `None` where it opens none that can be said, else those of TCP.
    pub(super) fn ports(&mut self, rule: &[Entry]) -> Result<Option<PortSet>, ConfigError> {
        let Some(entry) = get(rule, "toPorts") else { return Ok(Some(PortSet::All)) };
        let mut open = Vec::new();
        let mut is_every_port = false;
        for part in self.list(&entry.node, "toPorts")? {
            let entries = self.table(part, "an entry of toPorts")?;
            if let Some(other) = entries.iter().find(|entry| entry.key != "ports") {
                let what = match other.key.as_str() {
                    "rules" if other.node.get("dns").is_some() => {
                        "rules of lookups: egress looks up what is allowed, and nothing else"
                    }
                    "rules" => {
                        "rules of requests: what they refuse cannot be told apart in TLS; methods \
                         and paths of plain HTTP are options of a rule here"
                    }
                    _ => "narrows what its ports open, in a way that has no form here",
                };
                let why = format!("{}: {what}; these ports are left out", other.key);
                self.page.leave_out(&self.place(other.line), why);
                continue;
            }
            let ports = get(entries, "ports").map(|entry| &entry.node);
            let ports = ports.map_or(Ok([].as_slice()), |node| self.list(node, "ports"))?;
            // An entry without ports is about every port.
            is_every_port |= ports.is_empty();
            for port in ports {
                if !self.port(port, &mut open)? {
                    is_every_port = true;
                }
            }
        }
        Ok(match (is_every_port, open.is_empty()) {
            (true, _) => Some(PortSet::All),
            (false, true) => {
                let why = "no port of TCP is left, so that the rule opens nothing here";
                self.page.leave_out(&self.place(entry.line), why);
                None
            }
            (false, false) => Some(PortSet::of(open)),
        })
    }

    /// Adds a port or a range; false for port 0, which is every port.
    fn port(&mut self, node: &Node, open: &mut Vec<PortRange>) -> Result<bool, ConfigError> {
        let place = self.place(node.line);
        let entries = self.table(node, "a port")?;
        let text = |key: &str| get(entries, key).and_then(|entry| entry.node.text());
        let protocol = text("protocol").unwrap_or("ANY").to_ascii_uppercase();
        if !matches!(protocol.as_str(), "ANY" | "TCP" | "") {
            let why = format!("the protocol {protocol:?}: names open TCP alone here");
            self.page.leave_out(&place, why);
            return Ok(true);
        }
        let end = text("endPort").unwrap_or("0");
        if text("port") == Some("0") && end == "0" {
            return Ok(false);
        }
        let Some(first) = text("port").and_then(port_number) else {
            let why = format!(
                "the port {:?}: write its number, which only the cluster knows",
                text("port").unwrap_or_default()
            );
            self.page.leave_out(&place, why);
            return Ok(true);
        };
        let last = if end == "0" { Some(first) } else { port_number(end) };
        match last.and_then(|last| PortRange::new(first, last)) {
            Some(range) => open.push(range),
            None => {
                let why = format!("the ports {first} to {end}: this is no range");
                self.page.leave_out(&place, why);
            }
        }
        Ok(true)
    }
}
