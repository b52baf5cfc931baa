//! The table of the proxy's settings, in every form.
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{File, Said};
use crate::{
    config::ConfigError,
    import::{
        page::quoted,
        patterns::{self, Dialect},
        sockets,
        tree::{Entry, HOW_TO_CLOSE, Node, Value, may_close},
    },
    policy::Action,
};

/// Where the table stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `features.network_proxy`.
    Feature,
    /// A table of an older version.
    Old,
    /// Requirements.
    Bounds,
    /// The `network` of a profile.
    Profile,
}

impl File<'_, '_> {
    /// Reads the table into a section.
    pub(super) fn network(
        &mut self,
        profile: &str,
        node: &Node,
        form: Form,
    ) -> Result<(), ConfigError> {
        let Some(table) = node.table() else {
            let message = "the settings of the network are no table";
            return Err(self.failed(node.line, message, "write its keys below"));
        };
        for entry in table {
            self.key(profile, entry, form)?;
        }
        Ok(())
    }

    fn key(&mut self, profile: &str, entry: &Entry, form: Form) -> Result<(), ConfigError> {
        let Entry { key, line, node } = entry;
        let (key, place) = (key.as_str(), self.place(*line));
        match key {
            "enabled" => {
                let value = self.boolean(entry)?;
                let slot = match form {
                    Form::Feature => &mut self.codex.feature,
                    Form::Old => &mut self.codex.old,
                    Form::Bounds => &mut self.codex.bounds,
                    Form::Profile => {
                        let slot = &mut self.codex.profile(profile).enabled;
                        super::narrow(slot, Said { value, place }, |&on| u8::from(on));
                        return Ok(());
                    }
                };
                let said = slot.get_or_insert(Said { value: None, place: place.clone() });
                if said.value.is_none() || !value {
                    *said = Said { value: Some(value), place };
                }
            }
            "allow_upstream_proxy"
            | "enable_socks5"
            | "enable_socks5_udp"
            | "dangerously_allow_all_unix_sockets"
            | "allow_local_binding" => {
                let value = self.boolean(entry)?;
                self.page.set(profile, "", key, value.to_string(), &place);
            }
            "managed_allowed_domains_only" => {
                let value = self.boolean(entry)?;
                match self.is_requirements {
                    true => self.page.set(profile, "", key, value.to_string(), &place),
                    false => self.page.leave_out(&place, format!("{key} is of requirements alone")),
                }
            }
            "mode" => match node.text() {
                Some(mode @ ("full" | "limited")) => {
                    self.codex.has_mode |= profile.is_empty();
                    self.page.set(profile, "", "mode", quoted(mode), &place);
                }
                _ => {
                    let message = "this is no mode";
                    return Err(self.failed(*line, message, "write \"full\" or \"limited\""));
                }
            },
            "policy" => self.network(profile, node, form)?,
            "domains" => self.domains(profile, entry)?,
            "allowed_domains" | "denied_domains" => {
                for (text, line) in self.lined_texts(entry)? {
                    let place = self.place(line);
                    match key {
                        "allowed_domains" => self.host(profile, text, Action::Allow, &place),
                        _ => self.host(profile, text, Action::Deny, &place),
                    }
                }
            }
            "review_domains" => {
                for (text, line) in self.lined_texts(entry)? {
                    let place = self.place(line);
                    let why =
                        format!("{text:?} is asked about there; nobody is asked here: denied");
                    self.page.change(&place, why);
                    self.host(profile, text, Action::Deny, &place);
                }
            }
            "unix_sockets" => {
                for entry in self.table(entry)? {
                    let action = match entry.node.text() {
                        Some("allow") => Action::Allow,
                        // `none` of older versions takes a parent's allow back, as `deny` does.
                        Some("deny" | "none") => Action::Deny,
                        _ => return Err(self.no_action(entry)),
                    };
                    self.socket(profile, &entry.key, action, entry.line)?;
                }
            }
            "allow_unix_sockets" => {
                for (text, line) in self.lined_texts(entry)? {
                    self.socket(profile, text, Action::Allow, line)?;
                }
            }
            "proxy" | "no_proxy" => self.upstream(profile, entry)?,
            "proxy_url" | "socks_url" => {
                let text = self.text(entry)?;
                let (value, is_other) = listener(key, text);
                if is_other {
                    self.page.change(&place, format!("{key}: written here as {value}"));
                }
                self.page.set(profile, "", key, value, &place);
            }
            "dangerously_allow_non_loopback_proxy" => {
                if self.boolean(entry)? {
                    self.page.set(profile, "", key, "true".to_owned(), &place);
                }
            }
            "mitm" | "mitm_hooks" => self.interception(profile, entry)?,
            _ => self.other(key, *line, node)?,
        }
        Ok(())
    }

    /// Keys that have no line here.
    fn other(&mut self, key: &str, line: usize, node: &Node) -> Result<(), ConfigError> {
        let why = match key {
            "http_port" | "socks_port" => {
                "explicit listeners are not built yet, and programs need none here"
            }
            "admin_url" | "dangerously_allow_non_loopback_admin" => "there is no admin port",
            "danger_full_access_denylist_only" => {
                "\"*\" = \"allow\" in [network.domains] opens every public host that is not denied"
            }
            "credential_broker" | "credentials" | "header_injections" => {
                "no credentials are put in here: what programs send goes out as it is"
            }
            "transparent_tcp" => "every connection is judged here, without settings",
            _ if may_close(key, node) => {
                let message = format!("{key} is no key that is known, and may close something");
                return Err(self.failed(line, message, HOW_TO_CLOSE));
            }
            _ => "this key is not known",
        };
        let place = self.place(line);
        self.page.leave_out(&place, format!("{key}: {why}"));
        Ok(())
    }

    fn domains(&mut self, profile: &str, entry: &Entry) -> Result<(), ConfigError> {
        for entry in self.table(entry)? {
            let place = self.place(entry.line);
            match entry.node.text() {
                Some("allow") => self.host(profile, &entry.key, Action::Allow, &place),
                Some("deny") => self.host(profile, &entry.key, Action::Deny, &place),
                // In a child it takes the parent's allow back; elsewhere it says nothing.
                Some("none") if !profile.is_empty() => {
                    let why =
                        format!("{:?} = \"none\": denied, as a parent may allow it", entry.key);
                    self.page.change(&place, why);
                    self.host(profile, &entry.key, Action::Deny, &place);
                }
                Some("none") => {}
                _ => return Err(self.no_action(entry)),
            }
        }
        Ok(())
    }

    fn no_action(&self, entry: &Entry) -> ConfigError {
        let message = format!("{:?} has neither \"allow\" nor \"deny\"", entry.key);
        self.failed(entry.line, message, "write one of them, in small letters")
    }

    fn host(&mut self, profile: &str, text: &str, action: Action, place: &str) {
        match action {
            Action::Allow => patterns::allow(self.page, profile, text, Dialect::Codex, place),
            Action::Deny => patterns::deny(self.page, profile, text, Dialect::Codex, place),
        }
    }

    fn socket(
        &mut self,
        profile: &str,
        text: &str,
        action: Action,
        line: usize,
    ) -> Result<(), ConfigError> {
        let place = self.place(line);
        sockets::socket(self.page, profile, text, action, &place).map_err(|why| {
            self.failed(line, why, "write the absolute path of the one socket that is meant")
        })
    }

    /// The proxy to leave by.
    fn upstream(&mut self, profile: &str, entry: &Entry) -> Result<(), ConfigError> {
        let place = self.place(entry.line);
        if entry.key == "proxy" {
            let url = quoted(self.text(entry)?);
            self.page.set(profile, "upstream", "url", url, &place);
            return Ok(());
        }
        let hosts: Vec<String> = match entry.node.text() {
            Some(list) => list.split(',').map(|host| quoted(host.trim())).collect(),
            None => self.texts(entry)?.iter().map(|host| quoted(host)).collect(),
        };
        let hosts = format!("[{}]", hosts.join(", "));
        self.page.set(profile, "upstream", "no_proxy", hosts, &place);
        Ok(())
    }

    /// Hooks let only those requests of a host pass that one of them matches: without interception
    /// the host is closed.
    fn interception(&mut self, profile: &str, entry: &Entry) -> Result<(), ConfigError> {
        let place = self.place(entry.line);
        let hooks = match entry.key.as_str() {
            "mitm_hooks" => Some(&entry.node),
            _ => entry.node.get("hooks"),
        };
        let is_empty = |node: &Node| match &node.value {
            Value::List(list) => list.is_empty(),
            Value::Table(table) => table.is_empty(),
            _ => false,
        };
        let Some(hooks) = hooks.filter(|hooks| !is_empty(hooks)) else {
            self.page.leave_out(&place, format!("{}: nothing is decrypted here", entry.key));
            return Ok(());
        };
        let place = self.place(hooks.line);
        self.page.lose(
            &place,
            "hooks: methods, paths and headers inside of TLS cannot be judged here; their hosts are \
             denied",
        );
        let mut hosts = Vec::new();
        let whole = hosts_of(hooks, &mut hosts);
        for host in &hosts {
            self.host(profile, host, Action::Deny, &place);
        }
        if !whole {
            self.page.deny_all(profile, &place);
        }
        Ok(())
    }
}

/// The hosts of hooks, a list or a table of tables. False where one has none that can be read.
fn hosts_of(hooks: &Node, hosts: &mut Vec<String>) -> bool {
    let nodes: Vec<&Node> = match &hooks.value {
        Value::List(list) => list.iter().collect(),
        Value::Table(table) => table.iter().map(|entry| &entry.node).collect(),
        _ => return false,
    };
    let mut whole = true;
    for hook in nodes {
        let host = hook.get("host").or_else(|| hook.get("hosts"));
        match host.map(|node| &node.value) {
            Some(Value::Text(host)) => hosts.push(host.clone()),
            Some(Value::List(list)) if list.iter().all(|node| node.text().is_some()) => {
                hosts.extend(list.iter().filter_map(Node::text).map(str::to_owned));
            }
            _ => whole = false,
        }
    }
    whole
}

/// A listener's address as ours is written, and whether that is another text. There any scheme
/// does, and a host that is no address is loopback.
fn listener(key: &str, text: &str) -> (String, bool) {
    let (scheme, port) = match key {
        "proxy_url" => ("http", 3128),
        _ => ("socks5h", 8081),
    };
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    // The whole first: `::1` has no port.
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, text)) if !authority.ends_with(']') && authority.parse::<IpAddr>().is_err() => {
            (host, text.parse().unwrap_or(port))
        }
        _ => (authority, port),
    };
    let host = host.trim_matches(['[', ']']).parse();
    let address = SocketAddr::new(host.unwrap_or(Ipv4Addr::LOCALHOST.into()), port);
    let value = format!("{scheme}://{address}");
    (quoted(&value), value != text.trim_end_matches('/'))
}
