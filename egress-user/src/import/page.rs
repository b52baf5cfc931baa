//! The policy that is being written.
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::Path,
};

use super::{Difference, Told, rules::Rule};
use crate::{
    config,
    policy::{Action, MAX_PORT_RANGES},
};

/// A value, and where it comes from.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) value: String,
    pub(super) place: String,
}

/// `[network]`, or the `network` of a profile.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) extends: Option<Line>,
    /// By table (empty, `unix_sockets`, `upstream`) and key.
    pub(super) tables: BTreeMap<&'static str, BTreeMap<String, Line>>,
    /// By table (`addresses`, `domains`) and pattern.
    pub(super) rules: BTreeMap<(&'static str, String), Rule>,
    /// Denies of every host, which the language of the source has and ours has not.
    pub(super) denies_all: Vec<String>,
}

/// The policy so far.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// By profile; empty is `[network]`.
    pub(super) sections: BTreeMap<String, Section>,
    pub(super) default_profile: Option<Line>,
    pub(super) told: Vec<Told>,
    /// The same, by place and text: a list may be long.
    told_before: HashSet<(String, String)>,
    pub(super) notes: Vec<String>,
    pub(super) is_requirements: bool,
    /// Ports that are closed at every host, each with its line.
    pub(super) closed_ports: BTreeMap<u16, String>,
    /// Denies that close everything, each with its profile: what extends that is closed as well.
    closes: Vec<(String, String)>,
    /// Only what can be read passes: no tunnels of other protocols.
    pub(super) refuses_opaque: Option<String>,
    /// Where a file says that no other's allows count.
    pub(super) only_file: Option<String>,
    pub(super) home: Option<&'a Path>,
}

/// Keys whose narrower value is `true`; of all others it is `false`.
const NARROW: [&str; 1] = ["managed_allowed_domains_only"];

impl<'a> Page<'a> {
    pub(super) fn new(home: Option<&'a Path>) -> Self {
        Self {
            sections: BTreeMap::new(),
            default_profile: None,
            told: Vec::new(),
            told_before: HashSet::new(),
            notes: Vec::new(),
            is_requirements: false,
            closed_ports: BTreeMap::new(),
            closes: Vec::new(),
            refuses_opaque: None,
            only_file: None,
            home,
        }
    }

    /// The profile, which exists from now on even when nothing is in it.
    pub(super) fn section(&mut self, profile: &str) -> &mut Section {
        self.sections.entry(profile.to_owned()).or_default()
    }

    /// A profile for what is of this name elsewhere, and of no other profile here.
    pub(super) fn new_profile(&mut self, name: &str) -> String {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '-' }).collect();
        // `default` is `[network]` itself.
        let base = if matches!(plain.as_str(), "" | "default") { "profile" } else { &plain };
        let mut profile = base.to_owned();
        let mut number = 2;
        while self.sections.contains_key(&profile) {
            profile = format!("{base}-{number}");
            number += 1;
        }
        if profile != name {
            self.note(format!("{name:?} is the profile {profile}."));
        }
        self.section(&profile);
        profile
    }

    /// A key of a table. Of two values the narrower counts, else the first; what the language does
    /// not take is left out.
    pub(super) fn set(
        &mut self,
        profile: &str,
        table: &'static str,
        key: &str,
        value: String,
        place: &str,
    ) {
        if let Some(why) = refused(table, key, &value) {
            // The value may hold a password.
            self.leave_out(place, format!("{key}: {why}"));
            return;
        }
        let line = Line { value, place: place.to_owned() };
        let keys = self.section(profile).tables.entry(table).or_default();
        let Some(standing) = keys.get_mut(key) else {
            keys.insert(key.to_owned(), line);
            return;
        };
        if standing.value == line.value {
            return;
        }
        let is_narrower = match line.value.as_str() {
            "\"limited\"" | "\"deny\"" => true,
            "true" => NARROW.contains(&key),
            "false" => !NARROW.contains(&key),
            _ => false,
        };
        let (kept, dropped) = if is_narrower {
            (line.place.clone(), std::mem::replace(standing, line))
        } else {
            (standing.place.clone(), line)
        };
        let value = if table == "upstream" { "its value" } else { &dropped.value };
        let why = format!("{key} = {value} is written another way at {kept}");
        self.leave_out(&dropped.place, why);
    }

    /// Adds a rule to those of its pattern: a deny wins, allows add up.
    pub(super) fn rule(&mut self, profile: &str, table: &'static str, pattern: &str, rule: Rule) {
        let rules = &mut self.section(profile).rules;
        let Some(standing) = rules.get_mut(&(table, pattern.to_owned())) else {
            rules.insert((table, pattern.to_owned()), rule);
            return;
        };
        let (closed, by) = match (standing.action, rule.action) {
            (Action::Allow, Action::Deny) => (std::mem::replace(standing, rule), &*standing),
            (Action::Deny, Action::Allow) => (rule, &*standing),
            (Action::Deny, Action::Deny) => return,
            (Action::Allow, Action::Allow) => return standing.add(rule),
        };
        let why = format!("\"{pattern}\" is denied at {}, and a deny wins", by.place());
        self.leave_out(&closed.place(), why);
    }

    /// No network at all in this profile, nor in those that extend it: a deny that closes
    /// everything.
    pub(super) fn deny_all(&mut self, profile: &str, place: &str) {
        self.closes.push((profile.to_owned(), place.to_owned()));
    }

    /// No network at all in this profile; one that extends it may have some.
    pub(super) fn close(&mut self, profile: &str, place: &str) {
        self.set(profile, "", "network_access", "false".to_owned(), place);
    }

    /// Whether the profile has no network.
    pub(super) fn is_closed(&self, profile: &str) -> bool {
        let keys = self.sections.get(profile).and_then(|section| section.tables.get(""));
        let line = keys.and_then(|keys| keys.get("network_access"));
        line.is_some_and(|line| line.value == "false")
    }

    pub(super) fn tell(&mut self, difference: Difference, place: &str, why: impl Into<String>) {
        let why = why.into();
        if self.told_before.insert((place.to_owned(), why.clone())) {
            self.told.push(Told { place: place.to_owned(), why, difference });
        }
    }

    pub(super) fn leave_out(&mut self, place: &str, why: impl Into<String>) {
        self.tell(Difference::LeftOut, place, why);
    }

    pub(super) fn change(&mut self, place: &str, why: impl Into<String>) {
        self.tell(Difference::Changed, place, why);
    }

    pub(super) fn lose(&mut self, place: &str, why: impl Into<String>) {
        self.tell(Difference::Lost, place, why);
    }

    /// A remark at the head of the file.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// The profile, and what it extends, nearest first.
    pub(super) fn chain(&self, profile: &str) -> Vec<String> {
        let mut chain: Vec<String> = vec![profile.to_owned()];
        let parent = |name: &str| {
            let extends = self.sections.get(name)?.extends.as_ref()?;
            Some(extends.value.trim_matches('"').to_owned())
        };
        while let Some(next) = chain.last().and_then(|last| parent(last)) {
            if chain.contains(&next) {
                break;
            }
            chain.push(next);
        }
        chain
    }

    /// What can be said only when all is known.
    pub(super) fn settle(&mut self) {
        self.settle_denies_of_all();
        for (name, place) in std::mem::take(&mut self.closes) {
            let names: Vec<String> = self.sections.keys().cloned().collect();
            for other in names {
                if self.reaches(&name, &other) {
                    self.close(&other, &place);
                }
            }
        }
        self.settle_ports();
    }

    /// Whether a deny of this profile holds in the other: those of `[network]` hold everywhere.
    fn reaches(&self, name: &str, other: &str) -> bool {
        name.is_empty() || self.chain(other).iter().any(|one| one == name)
    }

    /// Denies of every host: what no line allows is refused anyway, so that they close something
    /// only beside an allow of every host.
    fn settle_denies_of_all(&mut self) {
        let names: Vec<String> = self.sections.keys().cloned().collect();
        let opens_all = |page: &Self, profile: &str| {
            page.sections.get(profile).is_some_and(|section| {
                let any = section.rules.get(&("domains", "*".to_owned()));
                any.is_some_and(|rule| rule.action == Action::Allow)
            })
        };
        for name in &names {
            for place in std::mem::take(&mut self.section(name).denies_all) {
                let meets: BTreeSet<String> = names
                    .iter()
                    .filter(|other| self.reaches(name, other))
                    .filter(|other| self.chain(other).iter().any(|one| opens_all(self, one)))
                    .cloned()
                    .collect();
                if meets.is_empty() {
                    let why = "the deny of \"*\": what no line allows is refused anyway, and beside \
                               it nothing of what is allowed would be open";
                    self.leave_out(&place, why);
                }
                for profile in meets {
                    self.change(
                        &place,
                        "the deny of \"*\" beside an allow of it closes everything",
                    );
                    self.close(&profile, &place);
                }
            }
        }
    }

    /// Ports that are closed at every host leave every allow.
    fn settle_ports(&mut self) {
        let closed = std::mem::take(&mut self.closed_ports);
        let opaque = self.refuses_opaque.take();
        let sections = self.sections.values_mut();
        for rule in sections.flat_map(|section| section.rules.values_mut()) {
            if let Some(place) = &opaque {
                rule.keep_web_ports(place);
            }
            for (port, place) in &closed {
                rule.close_port(*port, place);
            }
        }
        for section in self.sections.values_mut() {
            // Without a port left it opens nothing, and a rule with an empty list is an error.
            section.rules.retain(|_, rule| rule.opens_something());
        }
        let sections = self.sections.values_mut().flat_map(|section| section.rules.values_mut());
        let cut = sections.filter_map(|rule| rule.cut_ports().then(|| rule.place()));
        for place in cut.collect::<Vec<_>>() {
            let why = format!(
                "more than {MAX_PORT_RANGES} ranges of ports: the lowest alone are open; others have to \
                 be written as wider ones"
            );
            self.change(&place, why);
        }
        for (port, place) in closed {
            let why = format!(
                "the deny of port {port} at every host: it is not among the ports of the rules here"
            );
            self.change(&place, why);
        }
    }
}

/// Why the language does not take this key with this value.
fn refused(table: &str, key: &str, value: &str) -> Option<String> {
    let dot = if table.is_empty() { "" } else { "." };
    let line = format!("[network{dot}{table}]\n{} = {value}\n", quoted(key));
    let errors = config::parse(&line, "").err()?;
    errors.iter().next().map(|error| format!("{}; {}", error.message, error.suggestion))
}

/// As TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    crate::text::toml(text)
}

/// What comes from a file must not end a comment.
pub(super) fn one_line(text: &str) -> String {
    crate::text::Printable::from(text).into()
}
