//! The policy that is being written.
use std::collections::BTreeMap;

use super::{Imported, LeftOut, Source};
use crate::policy::Action;

/// A value, and where it comes from.
#[derive(Clone, Debug)]
struct Line {
    value: String,
    place: String,
}

/// What stands below one `network`: by table (empty, `domains`, ...) and key.
type Tables = BTreeMap<&'static str, BTreeMap<String, Line>>;

#[derive(Debug, Default)]
struct Section {
    extends: Option<Line>,
    tables: Tables,
}

/// The policy so far.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// By profile; empty is `[network]`.
    sections: BTreeMap<String, Section>,
    left_out: Vec<LeftOut>,
    notes: Vec<String>,
    pub(super) requirements: bool,
    pub(super) settings: bool,
}

impl Page {
    /// A key of a table; the first place counts, but for a deny, which wins.
    pub(super) fn set(
        &mut self,
        profile: &str,
        table: &'static str,
        key: &str,
        value: String,
        place: &str,
    ) {
        let line = Line { value, place: place.to_owned() };
        let section = self.sections.entry(profile.to_owned()).or_default();
        let keys = section.tables.entry(table).or_default();
        let Some(standing) = keys.get_mut(key) else {
            keys.insert(key.to_owned(), line);
            return;
        };
        if standing.value == line.value {
            return;
        }
        let deny = quoted(Action::Deny.as_str());
        let (kept, dropped) = if line.value == deny {
            (line.place.clone(), std::mem::replace(standing, line))
        } else {
            (standing.place.clone(), line)
        };
        let why = format!("{key} = {} is written another way at {kept}", dropped.value);
        self.leave_out(&dropped.place, why);
    }

    pub(super) fn extends(&mut self, profile: &str, parent: &str, place: &str) {
        let line = Line { value: quoted(parent), place: place.to_owned() };
        self.sections.entry(profile.to_owned()).or_default().extends = Some(line);
    }

    /// The profile exists, even when nothing is in it.
    pub(super) fn profile(&mut self, profile: &str) {
        self.sections.entry(profile.to_owned()).or_default();
    }

    pub(super) fn leave_out(&mut self, place: &str, why: impl Into<String>) {
        self.left_out.push(LeftOut { place: place.to_owned(), why: why.into() });
    }

    /// A remark at the head of the file.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    pub(super) fn finish(self, sources: &[Source<'_>]) -> Imported {
        let names: Vec<_> = sources.iter().map(|source| one_line(source.name)).collect();
        let mut text = format!("# Imported by `egress policy import` from {}.\n", names.join(", "));
        if self.requirements {
            text.push_str(
                "# The administrator's bounds: install it as /etc/egress/requirements.toml.\n",
            );
        }
        for note in &self.notes {
            text.push_str(&format!("# {}\n", one_line(note)));
        }
        for LeftOut { place, why } in &self.left_out {
            text.push_str(&format!("# Not carried over: {}: {}\n", one_line(place), one_line(why)));
        }
        for (profile, section) in &self.sections {
            let prefix = match profile.as_str() {
                "" => String::new(),
                name => format!("profiles.{}.", quoted(name)),
            };
            if !profile.is_empty() {
                text.push_str(&format!("\n[profiles.{}]\n", quoted(profile)));
                if let Some(Line { value, place }) = &section.extends {
                    text.push_str(&format!("extends = {value} # {}\n", one_line(place)));
                }
            }
            for (table, lines) in &section.tables {
                let dot = if table.is_empty() { "" } else { "." };
                text.push_str(&format!("\n[{prefix}network{dot}{table}]\n"));
                for (key, Line { value, place }) in lines {
                    let bare = key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
                    let key = if bare && table.is_empty() { key.clone() } else { quoted(key) };
                    text.push_str(&format!("{key} = {value} # {}\n", one_line(place)));
                }
            }
        }
        Imported { text, left_out: self.left_out, is_requirements: self.requirements }
    }
}

/// As TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    crate::text::toml(text)
}

/// What comes from a file must not end a comment.
fn one_line(text: &str) -> String {
    crate::text::Printable::from(text).into()
}
