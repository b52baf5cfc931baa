//! Somebody who writes a policy, one rule a line, and does what a remedy says, going by its words alone.
use std::{collections::BTreeMap, fmt};

use crate::{
    config::{self, Flags},
    policy::{OwnAddresses, Policy},
    text::toml,
};

/// A rule of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pub(super) pattern: String,
    pub(super) is_deny: bool,
    pub(super) ports: Option<Vec<u16>>,
    pub(super) transport: Option<Vec<String>>,
    pub(super) is_any: bool,
    pub(super) methods: Option<Vec<String>>,
    pub(super) paths: Option<Vec<String>>,
    pub(super) allows_ech: bool,
    pub(super) resolves_to: Option<Vec<String>>,
}

/// A policy, and the flags beside it.
#[derive(Clone, Debug)]
pub(super) struct Person {
    keys: BTreeMap<String, String>,
    tables: [(&'static str, Vec<Line>); 2],
    /// Whether it is a deny, and its text.
    flags: Vec<(bool, String)>,
    /// Of two ways that a remedy names, the flag.
    prefers_flags: bool,
}

impl Line {
    /// `"a.test" = "allow"`, `"a.test" = { action = "allow", ports = [80] }`.
    fn read(text: &str) -> Self {
        let table: ::toml::Table = text.parse().unwrap();
        let (pattern, value) = table.into_iter().next().unwrap();
        let texts = |value: &::toml::Value| -> Vec<String> {
            value.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect()
        };
        let option = |key: &str| value.get(key);
        let ports = |value: &::toml::Value| {
            let ports = value.as_array().unwrap().iter();
            ports.map(|port| u16::try_from(port.as_integer().unwrap()).unwrap()).collect()
        };
        let action = value.as_str().or_else(|| option("action")?.as_str()).unwrap();
        assert_eq!(action, "allow", "{text}");
        Self {
            pattern,
            is_deny: false,
            ports: option("ports").map(ports),
            transport: option("transport").map(texts),
            is_any: option("protocol").is_some(),
            methods: option("methods").map(texts),
            paths: option("paths").map(texts),
            allows_ech: option("ech").is_some_and(|ech| ech.as_str() == Some("allow")),
            resolves_to: option("resolves_to").map(texts),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = if self.is_deny { "deny" } else { "allow" };
        write!(f, "{} = {{ action = \"{action}\"", toml(&self.pattern))?;
        if let Some(ports) = &self.ports {
            write!(f, ", ports = {ports:?}")?;
        }
        let lists = [
            ("transport", &self.transport),
            ("methods", &self.methods),
            ("paths", &self.paths),
            ("resolves_to", &self.resolves_to),
        ];
        for (key, list) in lists {
            if let Some(list) = list {
                write!(f, ", {key} = {list:?}")?;
            }
        }
        if self.is_any {
            f.write_str(", protocol = \"any\"")?;
        }
        if self.allows_ech {
            f.write_str(", ech = \"allow\"")?;
        }
        f.write_str(" }")
    }
}

impl Person {
    pub(super) fn new(
        keys: Vec<(&str, &str)>,
        domains: Vec<Line>,
        addresses: Vec<Line>,
        flags: Vec<(bool, String)>,
        prefers_flags: bool,
    ) -> Self {
        // A table has each key once.
        let once = |mut lines: Vec<Line>| {
            let mut known = std::collections::BTreeSet::new();
            lines.retain(|line| known.insert(line.pattern.clone()));
            lines
        };
        let keys = keys.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tables = [("domains", once(domains)), ("addresses", once(addresses))];
        Self { keys: keys.collect(), tables, flags, prefers_flags }
    }

    pub(super) fn policy(&self) -> Policy {
        let layer = config::parse(&self.to_string(), "p.toml")
            .unwrap_or_else(|errors| panic!("{errors:?}\n{self}"));
        let of = |wanted| {
            let flags = self.flags.iter().filter(move |(is_deny, _)| *is_deny == wanted);
            flags.map(|(_, text)| text.clone()).collect()
        };
        let flags = Flags { allow: of(false), deny: of(true), ..Flags::default() };
        let assembled = config::assemble_layers(vec![layer], &flags);
        let policy = assembled.unwrap_or_else(|errors| panic!("{errors:?}\n{self}")).policy;
        let own = ("93.184.216.36/32".parse().unwrap(), "eth0".into());
        policy.set_own_addresses(OwnAddresses::new([own]));
        policy
    }

    /// Does what it says. `path` is that of the request that was refused.
    pub(super) fn follow(&mut self, advice: &str, path: Option<&str>) {
        if let Some(rest) = advice.strip_prefix("--allow ") {
            let (host, line) = rest.split_once(", or in [network.").unwrap();
            match self.prefers_flags {
                true => self.flags.push((false, host.to_owned())),
                false => self.write(line),
            }
        } else if let Some(rest) = advice.strip_prefix("remove the deny of ") {
            let (cited, _) = rest.split_once(": no allow rule overrides it").unwrap();
            self.remove(cited);
        } else if let Some(rest) = advice.strip_prefix("remove methods and paths from ") {
            let (cited, _) = rest.split_once(": only requests").unwrap();
            let line = self.line(cited);
            (line.methods, line.paths) = (None, None);
        } else if let Some(rest) = advice.strip_prefix("instead of ") {
            let (cited, line) = rest.split_once(", in [network.").unwrap();
            self.remove(cited);
            self.write(line);
        } else if let Some(line) = advice.strip_prefix("in [network.") {
            self.write(line);
        } else if let Some(rest) = advice.strip_prefix("add ") {
            self.add(rest, path);
        } else {
            let (line, _) = advice.split_once(" in [network]").unwrap();
            let (key, value) = line.split_once(" = ").unwrap();
            self.keys.insert(key.to_owned(), value.to_owned());
        }
    }

    fn add(&mut self, advice: &str, path: Option<&str>) {
        if let Some(cited) = advice.strip_prefix("protocol = \"any\" to ") {
            self.line(cited).is_any = true;
        } else if let Some(rest) = advice.strip_prefix("ech = \"allow\" to ") {
            let (cited, _) = rest.split_once(") (then the outer name").unwrap();
            self.line(&format!("{cited})")).allows_ech = true;
        } else if let Some(cited) = advice.strip_prefix("a prefix of the path to the paths of ") {
            let path = path.unwrap().split('?').next().unwrap().to_owned();
            self.line(cited).paths.as_mut().unwrap().push(path);
        } else if let Some((port, cited)) = advice.split_once(" to the ports of ") {
            self.line(cited).ports.as_mut().unwrap().push(port.parse().unwrap());
        } else {
            let (word, rest) = advice.split_once(" to the ").unwrap();
            let (list, cited) = rest.split_once(" of ").unwrap();
            let word = word.trim_matches('"').to_owned();
            let line = self.line(cited);
            match list {
                "transport" => {
                    line.transport.get_or_insert_with(|| vec!["tcp".to_owned()]).push(word);
                }
                "methods" => line.methods.as_mut().unwrap().push(word),
                _ => panic!("{advice}"),
            }
        }
    }

    /// `domains]: "a.test" = "allow"`, and perhaps a reason in parentheses.
    fn write(&mut self, text: &str) {
        let (table, line) = text.split_once("]: ").unwrap();
        let line = line.split(" (").next().unwrap();
        let (_, lines) = self.tables.iter_mut().find(|(name, _)| *name == table).unwrap();
        let mut line = Line::read(line);
        // What one pattern says in two lines adds up; to TOML they are two keys, by a space behind one.
        while lines.iter().any(|known| known.pattern == line.pattern) {
            line.pattern.push(' ');
        }
        lines.push(line);
    }

    /// The line that is cited: `a.test (p.toml:3)`.
    fn line(&mut self, cited: &str) -> &mut Line {
        let (table, index) = self.at(cited).unwrap_or_else(|| panic!("{cited} is none of\n{self}"));
        &mut self.tables[table].1[index]
    }

    fn remove(&mut self, cited: &str) {
        if let Some((table, index)) = self.at(cited) {
            self.tables[table].1.remove(index);
            return;
        }
        let (text, flag) = cited.rsplit_once(" (").unwrap();
        let is_deny = match flag {
            "--deny)" => true,
            "--allow)" => false,
            _ => panic!("{cited} is none of\n{self}"),
        };
        let at = self.flags.iter().position(|known| *known == (is_deny, text.to_owned()));
        self.flags.remove(at.unwrap());
    }

    /// Where the line stands: table, and place in it.
    fn at(&self, cited: &str) -> Option<(usize, usize)> {
        let (text, place) = cited.strip_suffix(')')?.rsplit_once(" (")?;
        let number: usize = place.strip_prefix("p.toml:")?.parse().unwrap();
        let mut first = self.keys.len() + 2;
        for (table, (_, lines)) in self.tables.iter().enumerate() {
            first += 1;
            if (first..first + lines.len()).contains(&number) {
                assert_eq!(lines[number - first].pattern, text, "{self}");
                return Some((table, number - first));
            }
            first += lines.len();
        }
        panic!("{cited} is none of\n{self}");
    }
}

/// The file, and the flags as comments behind it.
impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[network]")?;
        self.keys.iter().try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))?;
        for (table, lines) in &self.tables {
            writeln!(f, "[network.{table}]")?;
            lines.iter().try_for_each(|line| writeln!(f, "{line}"))?;
        }
        self.flags.iter().try_for_each(|flag| writeln!(f, "# {flag:?}"))
    }
}
