//! `http_access`: the order of lines, as rules of which a deny wins.
use std::collections::{BTreeSet, HashMap};

use super::{Word, acl::Acl};
use crate::{
    config::ConfigError,
    import::{
        Source, failed,
        page::Page,
        patterns::{self, Dialect},
        rules::Rule,
        tree::HOW_TO_CLOSE,
    },
    policy::{Action, Pattern, PortSet},
};

/// A line of `http_access`: its number, and its words.
type Line<'a> = (usize, &'a [Word]);

pub(super) struct Access<'a, 'p> {
    source: Source<'a>,
    acls: &'a HashMap<&'a str, Acl>,
    page: &'a mut Page<'p>,
    /// Lists of clients that whoever runs under the policy is in; of all others it is in none.
    clients: BTreeSet<String>,
    /// Ports that no line so far closes.
    ports: PortSet,
    /// Names outside of each of these are closed.
    limits: Vec<Vec<(String, String)>>,
    allowed: Vec<Pattern>,
}

/// What has to hold for a line, for a tunnel.
#[derive(Default)]
struct Conditions {
    /// One of them never holds for a tunnel.
    is_never: bool,
    domains: Vec<Vec<(String, String)>>,
    other_domains: Vec<Vec<(String, String)>>,
    addresses: Vec<(ipnet::IpNet, String)>,
    has_addresses: bool,
    other_addresses: Vec<(ipnet::IpNet, String)>,
    ports: Option<PortSet>,
    /// Each with whether it is to be in it.
    clients: Vec<(String, bool)>,
    /// Types that are not known.
    others: Vec<String>,
}

impl Conditions {
    /// Whether the line is about who asks, and nothing else.
    fn is_of_clients(&self) -> bool {
        !self.clients.is_empty() && self.has_no_target() && self.others.is_empty()
    }

    fn has_no_target(&self) -> bool {
        self.domains.is_empty()
            && self.other_domains.is_empty()
            && !self.has_addresses
            && self.other_addresses.is_empty()
            && self.ports.is_none()
    }
}

impl<'a, 'p> Access<'a, 'p> {
    pub(super) fn new(
        source: Source<'a>,
        acls: &'a HashMap<&'a str, Acl>,
        page: &'a mut Page<'p>,
    ) -> Self {
        Self {
            source,
            acls,
            page,
            clients: BTreeSet::new(),
            ports: PortSet::All,
            limits: Vec::new(),
            allowed: Vec::new(),
        }
    }

    pub(super) fn read(mut self, lines: &[Line<'_>]) -> Result<(), ConfigError> {
        let mut read = Vec::new();
        for &(line, words) in lines {
            let is_allow = match words.first().map(|word| word.text.as_str()) {
                Some("allow") => true,
                Some("deny") => false,
                _ => return Err(self.failed(line, "neither allow nor deny", "write one of them")),
            };
            read.push((line, is_allow, self.conditions(line, words.get(1..).unwrap_or_default())?));
        }
        self.choose_clients(&read);
        let last = read.last().map(|(line, is_allow, _)| (*line, *is_allow));
        for (line, is_allow, conditions) in read {
            let is_last = match is_allow {
                true => self.allow(line, &conditions),
                false => self.deny(line, &conditions)?,
            };
            if is_last {
                return Ok(());
            }
        }
        if let Some((line, false)) = last {
            let why = "after a last line that denies, squid lets pass what no line is about; here it \
                       is refused. Write \"*\" = \"allow\" if it is to pass";
            self.page.change(&self.place(line), why);
        }
        Ok(())
    }

    fn conditions(&self, line: usize, words: &[Word]) -> Result<Conditions, ConfigError> {
        let mut conditions = Conditions::default();
        for word in words {
            let (is_in, name) = match word.text.strip_prefix('!') {
                Some(name) => (false, name),
                None => (true, word.text.as_str()),
            };
            let of_squid = || Acl::of_squid(name);
            let Some(acl) = self.acls.get(name).cloned().or_else(of_squid) else {
                let message = format!("there is no acl {name:?}");
                return Err(self.failed(line, message, "write its acl line, before this one"));
            };
            match (acl, is_in) {
                (Acl::All, true) => {}
                (Acl::All, false) => conditions.is_never = true,
                (Acl::Method(connects), is_in) => conditions.is_never |= connects != is_in,
                (Acl::Domains(texts), true) => conditions.domains.push(texts),
                (Acl::Domains(texts), false) => conditions.other_domains.push(texts),
                (Acl::Addresses(blocks), true) if !conditions.has_addresses => {
                    conditions.addresses = blocks;
                    conditions.has_addresses = true;
                }
                (Acl::Addresses(_), true) => conditions.others.push(name.to_owned()),
                (Acl::Addresses(blocks), false) => conditions.other_addresses.extend(blocks),
                (Acl::Ports(ports), is_in) => {
                    let ports = if is_in { ports } else { ports.others() };
                    let standing = conditions.ports.take().unwrap_or(PortSet::All);
                    conditions.ports = Some(standing.and(&ports));
                }
                (Acl::Client, is_in) => conditions.clients.push((name.to_owned(), is_in)),
                (Acl::Other(kind), _) => conditions.others.push(kind),
            }
        }
        Ok(conditions)
    }

    /// Who runs under the policy is one whom the lines let in: in the lists of the first allow that
    /// is of some clients, and in those without which all are refused.
    fn choose_clients(&mut self, lines: &[(usize, bool, Conditions)]) {
        let allows = lines.iter().filter(|(_, is_allow, what)| {
            *is_allow && what.clients.iter().any(|(name, is_in)| *is_in && name != "localhost")
        });
        let required = lines.iter().filter(|(_, is_allow, what)| !is_allow && what.is_of_clients());
        let of_allow = allows.take(1).flat_map(|(_, _, what)| &what.clients);
        let in_list = of_allow.filter(|(_, is_in)| *is_in);
        let out_of_list =
            required.flat_map(|(_, _, what)| &what.clients).filter(|(_, is_in)| !is_in);
        self.clients = in_list.chain(out_of_list).map(|(name, _)| name.clone()).collect();
        let names: Vec<_> = self.clients.iter().map(|name| format!("{name:?}")).collect();
        if !names.is_empty() {
            self.page.note(format!(
                "Who runs under the policy is taken as a client of {}, and of no other list.",
                names.join(" and ")
            ));
        }
    }

    /// Whether our client is as the line says.
    fn is_ours(&self, conditions: &Conditions) -> bool {
        conditions.clients.iter().all(|(name, is_in)| self.clients.contains(name) == *is_in)
    }

    /// An allow; whether no later line counts.
    fn allow(&mut self, line: usize, what: &Conditions) -> bool {
        let place = self.place(line);
        let why = match what {
            Conditions { is_never: true, .. } => Some(
                "of requests that squid reads, and no tunnel; what passes here may carry anything"
                    .to_owned(),
            ),
            Conditions { others, .. } if !others.is_empty() => Some(format!(
                "{} has no form here; name the hosts that are meant",
                others.join(", ")
            )),
            what if !self.is_ours(what) => Some("of other clients".to_owned()),
            what if what.has_addresses && !(what.domains.is_empty() && self.limits.is_empty()) => {
                Some("names and addresses in one line; write either".to_owned())
            }
            _ => None,
        };
        if let Some(why) = why {
            self.page.leave_out(&place, format!("http_access allow: {why}"));
            return false;
        }
        let ports = match &what.ports {
            Some(ports) => self.ports.and(ports),
            None => self.ports.clone(),
        };
        if ports.is_empty() {
            self.page.leave_out(&place, "http_access allow: no port is left");
            return false;
        }
        for (text, place) in what.other_domains.iter().flatten() {
            self.close(text, place, "excepted there from an allow");
        }
        for (block, place) in &what.other_addresses {
            self.close_block(*block, place);
        }
        if what.has_addresses {
            for (block, place) in &what.addresses {
                let pattern = Pattern::block(*block).to_string();
                let rule = Rule::allow(ports.clone(), true, place);
                self.page.rule("", "addresses", &pattern, rule);
            }
            return false;
        }
        let lists: Vec<_> = what.domains.iter().chain(&self.limits).cloned().collect();
        let Some((first, others)) = lists.split_first() else {
            let rule = Rule::allow(ports, false, &place);
            self.page.rule("", "domains", &Pattern::Any.to_string(), rule);
            self.allowed.push(Pattern::Any);
            return what.clients.is_empty() && what.has_no_target();
        };
        // These match nothing there, and say so wherever they meet another list.
        let (stars, names): (Vec<_>, Vec<_>) =
            first.iter().cloned().partition(|(text, _)| text.contains('*'));
        for (text, place) in stars.into_iter().chain(within(&names, others)) {
            let pattern = patterns::allow_at(self.page, "", &text, Dialect::Squid, &ports, &place);
            self.allowed.extend(pattern);
        }
        false
    }

    /// A deny; whether no later line counts.
    fn deny(&mut self, line: usize, what: &Conditions) -> Result<bool, ConfigError> {
        let place = self.place(line);
        if what.is_never {
            let why =
                "http_access deny: of requests that squid reads; in a tunnel it sees none either";
            self.page.leave_out(&place, why);
            return Ok(false);
        }
        let is_more = !what.clients.is_empty() || !what.others.is_empty() || what.ports.is_some();
        if let Some(list) = what.domains.first() {
            if is_more
                || what.domains.len() > 1
                || what.has_addresses
                || !what.other_domains.is_empty()
            {
                let why =
                    "http_access deny: there only together with its other conditions; here always";
                self.page.change(&place, why);
            }
            for (text, place) in list {
                self.close(text, place, "denied in a line behind that there");
            }
            return Ok(false);
        }
        if what.has_addresses {
            if is_more || !what.other_domains.is_empty() {
                let why =
                    "http_access deny: there only together with its other conditions; here always";
                self.page.change(&place, why);
            }
            for (block, place) in &what.addresses {
                self.close_block(*block, place);
            }
            return Ok(false);
        }
        if !self.is_ours(what) {
            let why = "http_access deny: of clients who are none of those that are let in";
            self.page.leave_out(&place, why);
            return Ok(false);
        }
        if !what.others.is_empty() || (!what.other_addresses.is_empty() && what.ports.is_none()) {
            let message =
                format!("{} closes something, and has no form here", what.others.join(", "));
            return Err(self.failed(line, message, HOW_TO_CLOSE));
        }
        match (&what.ports, what.other_domains.first()) {
            // Nothing else has to hold: no later line counts.
            (None, None) => return Ok(true),
            (Some(ports), other) => {
                self.ports = self.ports.without(ports);
                if other.is_some() {
                    self.page
                        .change(&place, "http_access deny: these ports are closed at every name");
                }
                if !self.ports.contains(80) && ports.contains(80) {
                    let why = "http_access deny: tunnels have these ports alone; plain HTTP, which squid \
                               lets pass on others, is closed there: add 80 to \"ports\" where it is \
                               needed";
                    self.page.change(&place, why);
                }
            }
            (None, Some(list)) => self.limits.push(list.clone()),
        }
        Ok(false)
    }

    fn close(&mut self, text: &str, place: &str, how: &str) {
        let denied = patterns::denied(text);
        let meets =
            |allow: &&Pattern| denied.as_ref().is_some_and(|deny| patterns::meet(deny, allow));
        if let Some(allow) = self.allowed.iter().find(meets) {
            let why = format!(
                "the deny of {text:?}: {how}, where \"{allow}\" is allowed; here a deny wins"
            );
            self.page.change(place, why);
        }
        patterns::deny(self.page, "", text, Dialect::Squid, place);
    }

    fn close_block(&mut self, block: ipnet::IpNet, place: &str) {
        let rule = Rule::new(Action::Deny, None, true, place);
        self.page.rule("", "addresses", &Pattern::block(block).to_string(), rule);
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }

    fn failed(&self, line: usize, message: impl Into<String>, suggestion: &str) -> ConfigError {
        failed(self.source.name, line, message, suggestion)
    }
}

/// What is in a list and in every other: of two names that meet, the narrower.
fn within(first: &[(String, String)], others: &[Vec<(String, String)>]) -> Vec<(String, String)> {
    let mut left = first.to_vec();
    for other in others {
        let names = other.iter().filter(|(text, _)| !text.contains('*'));
        let pairs = left.iter().flat_map(|one| names.clone().map(move |two| (one, two)));
        let narrower = pairs.filter_map(|(one, two)| {
            let (a, b) = (patterns::denied(&one.0)?, patterns::denied(&two.0)?);
            if b.covers(&a) {
                return Some(one.clone());
            }
            a.covers(&b).then(|| two.clone())
        });
        let narrower: Vec<_> = narrower.collect();
        left = narrower;
        left.sort();
        left.dedup();
    }
    left
}
