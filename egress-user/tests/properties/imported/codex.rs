//! Codex's `config.toml`.
use std::{cell::Cell, fmt::Write};

use super::*;

#[derive(Clone, Debug, Default)]
struct Table {
    enabled: Option<bool>,
    limited: bool,
    local: bool,
    allowed: Vec<String>,
    denied: Vec<String>,
}

#[derive(Clone, Debug)]
struct Settings {
    mode: Option<&'static str>,
    access: Option<bool>,
    feature: Option<Table>,
    /// Each with the index of a profile after it that it extends.
    profiles: Vec<(Table, Option<usize>)>,
    default: Option<usize>,
}

const NAMES: [&str; 3] = ["one", "two", "three"];

fn table() -> impl Strategy<Value = Table> {
    let denied = patterns().prop_map(|list| {
        // Codex does not start with it.
        list.into_iter().filter(|pattern| pattern.trim() != "*").collect()
    });
    let enabled = prop_oneof![1 => Just(None), 1 => Just(Some(false)), 4 => Just(Some(true))];
    let flags = (enabled, prop::bool::weighted(0.2), prop::bool::weighted(0.2));
    (flags, patterns(), denied).prop_map(|((enabled, limited, local), allowed, denied)| Table {
        enabled,
        limited,
        local,
        allowed,
        denied,
    })
}

fn settings() -> impl Strategy<Value = Settings> {
    let mode = prop::sample::select(vec![
        None,
        None,
        Some("read-only"),
        Some("workspace-write"),
        Some("danger-full-access"),
    ]);
    let profile = (table(), prop::option::of(0..3_usize));
    (
        mode,
        prop::option::weighted(0.7, prop::bool::weighted(0.8)),
        prop::option::of(table()),
        prop::collection::vec(profile, 0..3),
        prop::option::of(0..3_usize),
    )
        .prop_map(|(mode, access, feature, mut profiles, default)| {
            let count = profiles.len();
            for (at, (_, extends)) in profiles.iter_mut().enumerate() {
                *extends = extends.filter(|&parent| parent > at && parent < count);
            }
            let default = default.filter(|&at| at < count);
            Settings { mode, access, feature, profiles, default }
        })
}

impl Settings {
    fn text(&self) -> String {
        let mut text = String::new();
        if let Some(at) = self.default {
            writeln!(text, "default_permissions = {:?}", NAMES[at]).unwrap();
        }
        if let Some(mode) = self.mode {
            writeln!(text, "sandbox_mode = {mode:?}").unwrap();
        }
        if let Some(access) = self.access {
            writeln!(text, "[sandbox_workspace_write]\nnetwork_access = {access}").unwrap();
        }
        if let Some(table) = &self.feature {
            table.write(&mut text, "features.network_proxy");
        }
        for (at, (table, extends)) in self.profiles.iter().enumerate() {
            writeln!(text, "[permissions.{}]", NAMES[at]).unwrap();
            if let Some(parent) = extends {
                writeln!(text, "extends = {:?}", NAMES[*parent]).unwrap();
            }
            table.write(&mut text, &format!("permissions.{}.network", NAMES[at]));
        }
        text
    }

    /// The profile and what it extends.
    fn chain(&self, at: usize) -> Vec<&Table> {
        let mut chain = Vec::new();
        let mut next = Some(at);
        while let Some((table, extends)) = next.and_then(|at| self.profiles.get(at)) {
            chain.push(table);
            next = *extends;
        }
        chain
    }

    /// Whether Codex lets it pass under this profile.
    fn allows(&self, profile: Option<usize>, asked: Asked) -> bool {
        let (has_network, mut tables) = match profile {
            Some(at) => {
                let chain = self.chain(at);
                (chain.iter().find_map(|table| table.enabled) == Some(true), chain)
            }
            None => {
                let has_network = match (self.mode, self.access) {
                    (Some("read-only"), _) => false,
                    (Some("danger-full-access"), _) => true,
                    (_, access) => access == Some(true),
                };
                (has_network, Vec::new())
            }
        };
        // Of a limited parent a child may be full, nearest first; here nothing says full.
        tables.extend(&self.feature);
        let filters = self.feature.as_ref().is_some_and(|table| table.enabled != Some(false));
        let is_limited = tables.iter().any(|table| table.limited);
        let local = tables.iter().any(|table| table.local);
        let matches = |pick: fn(&Table) -> &Vec<String>| {
            tables
                .iter()
                .flat_map(|table| pick(table))
                .any(|pattern| matches(pattern, asked.bare()))
        };
        let named = tables.iter().flat_map(|table| &table.allowed);
        let named = named.map(|pattern| normal(pattern)).any(|pattern| pattern == asked.bare());
        has_network
            && (!filters
                || (!matches(|table| &table.denied)
                    && matches(|table| &table.allowed)
                    && (is_public(asked.bare()) || local || named)
                    && (!is_limited || asked.payload == Payload::Get)))
    }
}

impl Table {
    fn write(&self, text: &mut String, name: &str) {
        writeln!(text, "[{name}]").unwrap();
        if let Some(enabled) = self.enabled {
            writeln!(text, "enabled = {enabled}").unwrap();
        }
        if self.limited {
            writeln!(text, "mode = \"limited\"").unwrap();
        }
        if self.local {
            writeln!(text, "allow_local_binding = true").unwrap();
        }
        writeln!(text, "[{name}.domains]").unwrap();
        let mut known = std::collections::BTreeSet::new();
        for (list, action) in [(&self.denied, "deny"), (&self.allowed, "allow")] {
            for pattern in list {
                if known.insert(pattern) {
                    writeln!(text, "{pattern:?} = {action:?}").unwrap();
                }
            }
        }
    }
}

fn is_public(host: &str) -> bool {
    !["localhost", "127.0.0.1", "10.0.0.1", "::1"].contains(&host)
}

/// Blanks, capitals, a port and trailing dots do not matter.
fn normal(pattern: &str) -> String {
    let pattern = pattern.trim();
    let host = match pattern.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) => address,
        None if pattern.matches(':').count() == 1 => pattern.split(':').next().unwrap(),
        None => pattern,
    };
    host.to_ascii_lowercase().trim_end_matches('.').to_owned()
}

fn matches(pattern: &str, host: &str) -> bool {
    let pattern = normal(pattern);
    // A glob of numbers is taken as one over addresses, which import tells.
    let of_address = pattern.starts_with(|c: char| c.is_ascii_digit());
    if of_address && host.parse::<std::net::IpAddr>().is_err() {
        return false;
    }
    match (pattern.strip_prefix("**."), pattern.strip_prefix("*.")) {
        (Some(base), _) => glob(base, host) || glob(&format!("?*.{base}"), host),
        (_, Some(base)) => glob(&format!("?*.{base}"), host),
        _ => glob(&pattern, host),
    }
}

/// `*` is any text, dots in it or not, `?` one character.
fn glob(pattern: &str, text: &str) -> bool {
    let mut rest = pattern.chars();
    match rest.next() {
        None => text.is_empty(),
        Some('*') => text
            .char_indices()
            .map(|(at, _)| at)
            .chain([text.len()])
            .any(|at| glob(rest.as_str(), &text[at..])),
        Some(c) => {
            let mut others = text.chars();
            others.next().is_some_and(|other| c == '?' || c == other)
                && glob(rest.as_str(), others.as_str())
        }
    }
}

#[test]
fn codex_is_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(settings in settings())| {
        let text = settings.text();
        let sandboxed = settings.mode.is_some();
        for (at, name) in NAMES.iter().enumerate().take(settings.profiles.len()) {
            let count = hold(&text, Some(name), |asked| settings.allows(Some(at), asked));
            passed.set(passed.get() + count);
        }
        // Beside sandbox_mode it depends on how Codex is started which one is taken.
        let default = |asked: Asked| match (settings.default, sandboxed) {
            (Some(at), true) => settings.allows(Some(at), asked) && settings.allows(None, asked),
            (at, _) => settings.allows(at, asked),
        };
        passed.set(passed.get() + hold(&text, None, default));
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}

#[test]
fn the_model_is_what_was_seen() {
    for (pattern, host, expected) in [
        ("a.test:443", "a.test", true),
        (".a.test", "x.a.test", false),
        ("*.a.test", "x.a.test", true),
        ("*.a.test", "a.test", false),
        ("**.a.test", "a.test", true),
        ("*a.test", "xa.test", true),
        ("A.Test.", "a.test", true),
        (" b.test ", "b.test", true),
        ("bücher.test", "xn--bcher-kva.test", false),
        ("x.*.test", "x.a.test", true),
        ("?.test", "a.test", true),
        ("127.1", "127.0.0.1", false),
        ("10.0.0.*", "10.0.0.1", true),
        ("evil?.test", "evil1.test", true),
    ] {
        assert_eq!(matches(pattern, host), expected, "{pattern} {host}");
    }
}
