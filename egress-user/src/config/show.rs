//! The effective policy: what layers, profiles, presets and flags come to, line by line.
//!
//! As a file it reads back as the same policy, with two exceptions: a password of an upstream proxy
//! is left out, and what is not written is written with its default.
use std::{cmp::Reverse, collections::HashSet, net::SocketAddr, time::Duration};

use self::line::{Line, Value};
use super::{
    Assembled, DnsServer, Forward, RecordType,
    effective::Effective,
    keys::{KEYS, Key, Show, Table},
    values::Value as Setting,
};
use crate::policy::{Action, Name, Origin, Rule, RuleOptions, UnixAddress, UnixRule};

mod line;

/// The policy as a file; with `origins`, each line with where it comes from.
pub fn show(assembled: &Assembled, origins: bool) -> String {
    line::toml(&lines(assembled), origins)
}

/// The policy as a list: table, key or pattern, value, and the origin, null for a default.
pub fn show_json(assembled: &Assembled) -> serde_json::Value {
    line::json(&lines(assembled))
}

fn lines(assembled: &Assembled) -> Vec<Line<'_>> {
    let mut page = Page { lines: Vec::new(), assembled };
    for table in [Table::Network, Table::Dns, Table::Upstream] {
        page.settings(table);
    }
    page.rules("network.domains", false);
    page.rules("network.addresses", true);
    page.unix_sockets();
    page.lines
}

struct Page<'a> {
    lines: Vec<Line<'a>>,
    assembled: &'a Assembled,
}

impl Page<'_> {
    /// The keys of one table, in the order of the reference.
    fn settings(&mut self, table: Table) {
        let settings: Vec<_> = self.assembled.values.of_table(table).collect();
        // Without a proxy the rest is of interest only where somebody wrote it.
        let is_default = |setting: &&Effective| setting.value == setting.key.default_value();
        if table == Table::Upstream && settings.iter().all(is_default) {
            return;
        }
        for setting in settings {
            let (Some(table), Some(value)) = (table.heading(), setting.value.as_ref()) else {
                continue;
            };
            let is_empty = matches!(value, Setting::Forward(forward) if forward.is_empty());
            if !is_empty && setting.key.show != Show::Never {
                let (key, value) = (setting.key.name.to_owned(), shown(value));
                self.lines.push(Line { table, key, value, origin: setting.origin.as_ref() });
            }
        }
    }

    /// The highest layer first, file by file as written; the lines of a preset by pattern.
    fn rules(&mut self, table: &'static str, addresses: bool) {
        let rules = self.assembled.policy.rules();
        let mut rules: Vec<&Rule> = rules
            .map(|rule| &**rule)
            .filter(|rule| rule.pattern.is_address() == addresses)
            .collect();
        let place = |rule: &&Rule| {
            let Origin { file, line, layer, profile, preset } = rule.origin.clone();
            (Reverse(layer), file, profile, preset, line, rule.pattern.to_string())
        };
        rules.sort_by_cached_key(place);
        self.lines.extend(rules.into_iter().map(|rule| Line {
            table,
            key: rule.pattern.to_string(),
            value: value(rule),
            origin: Some(&rule.origin),
        }));
    }

    fn unix_sockets(&mut self) {
        // A deny and an allow of one socket are a deny.
        let mut rules: Vec<&UnixRule> = self.assembled.policy.unix_rules().iter().collect();
        rules.sort_by_key(|rule| rule.action == Action::Allow);
        let mut known = HashSet::new();
        for rule in rules.into_iter().filter(|rule| known.insert(&rule.address)) {
            let address = rule.address.to_string();
            // A link may lead to what no file can write.
            let reads_back = UnixAddress::parse(&address).as_ref() == Ok(&rule.address);
            self.lines.push(Line {
                table: "network.unix_sockets",
                key: if reads_back { address } else { rule.text.clone() },
                value: text(rule.action.as_str()),
                origin: Some(&rule.origin),
            });
        }
    }
}

fn value(rule: &Rule) -> Value {
    let action = text(rule.action.as_str());
    if rule.options == RuleOptions::default() {
        return action;
    }
    let option = |key: &'static Key| {
        let value = (key.option?.get)(&rule.options)?;
        Some((key.name.to_owned(), shown(&value)))
    };
    let options = KEYS.of(Table::Rule).filter_map(option);
    Value::Table([("action".to_owned(), action)].into_iter().chain(options).collect())
}

/// As a file writes it; without the password of a proxy.
fn shown(value: &Setting) -> Value {
    match value {
        Setting::Boolean(value) => Value::Switch(*value),
        Setting::Number(number) => Value::Number(*number),
        Setting::Ports(ports) if ports.is_one() => Value::Number(ports.first()),
        Setting::Ports(ports) => text(&ports.to_string()),
        Setting::Word(word) => text(word),
        Setting::Text(value) => text(value),
        Setting::Time(value) => time(*value),
        Setting::Listen(url) => text(&url.text),
        Setting::Upstream(url) => text(&without_password(&url.text)),
        Setting::Server(one) => server(one),
        Setting::Block(block) => text(&block.to_string()),
        Setting::RecordType(RecordType(number)) => text(&format!("TYPE{number}")),
        Setting::List(entries) => list(entries.iter().map(shown)),
        Setting::Forward(forward) => {
            let one = |forward: &Forward| {
                (forward.domain.to_string(), list(forward.servers.iter().map(server)))
            };
            Value::Table(forward.iter().map(one).collect())
        }
    }
}

fn server(server: &DnsServer) -> Value {
    let of =
        |name: &Option<Name>| name.as_ref().map_or_else(String::new, |name| format!("#{name}"));
    let plain = SocketAddr::to_string;
    Value::Text(match server {
        DnsServer::System => "system".to_owned(),
        DnsServer::Address(address) => plain(address),
        DnsServer::Tls { address, name } => format!("tls://{}{}", plain(address), of(name)),
        DnsServer::Https { address, name, path } => {
            format!("https://{}{path}{}", plain(address), of(name))
        }
    })
}

fn time(time: Duration) -> Value {
    Value::Text(match time.subsec_millis() {
        0 => format!("{}s", time.as_secs()),
        _ => format!("{}ms", time.as_millis()),
    })
}

fn without_password(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => url.to_owned(),
        },
        None => String::new(),
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn list(items: impl Iterator<Item = Value>) -> Value {
    Value::List(items.collect())
}

#[cfg(test)]
mod tests;
