//! `--set KEY=VALUE`: single keys of the user's layer, from the command line.
use toml::de::{DeTable, DeValue};

use super::{
    ConfigError, ConfigErrors, Flags, Loaded, NetworkWritten, Written,
    keys::{Keys, Kind, Table},
    read,
};
use crate::policy::{Layer, PatternError};

/// The profile that is taken: the one of the flag, else the lowest layer's word, as managed values
/// are defaults.
pub(super) fn chosen<'a>(layers: &'a [Loaded], flags: &'a Flags) -> Option<&'a str> {
    let written = || layers.iter().rev().find_map(|layer| layer.default_profile.as_ref());
    flags.profile.as_deref().or_else(|| written().map(|written| written.value.as_str()))
}

/// Puts what each `--set` says into the user's layer, the lowest; where there is none, it becomes
/// one. A later flag replaces what an earlier one says.
pub(super) fn apply(
    keys: Keys,
    layers: &mut Vec<Loaded>,
    flags: &Flags,
) -> Result<(), ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let mut said = Vec::new();
    let profile = chosen(layers, flags).map(str::to_owned).filter(|name| name != "default");
    for flag in &flags.set {
        match read_flag(keys, flag, profile.as_deref()) {
            Ok(over) => said.push(over),
            Err(more) => errors.extend(more),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    if said.is_empty() {
        return Ok(());
    }
    if layers.last().is_none_or(|lowest| lowest.layer != Layer::User) {
        layers.push(Loaded { layer: Layer::User, ..Loaded::default() });
    }
    if let Some(user) = layers.last_mut() {
        for over in said {
            user.override_with(over);
        }
        // Each half was right alone.
        let profiles = user.profiles.iter().map(|profile| &profile.network);
        for network in std::iter::once(&user.network).chain(profiles) {
            if let (Some(error), Some(min)) =
                (network.values.ttl_conflict(), network.values.find(Table::Dns, "min_ttl"))
            {
                let PatternError { message, suggestion } = error;
                let (file, place) = (min.origin.file.to_string(), min.place.clone());
                errors.push(ConfigError { file, place, message, suggestion });
            }
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

impl Loaded {
    /// Puts each key that `over` writes in the place of the same key here. A rule replaces the
    /// rules of the same text, in `domains` and `addresses` alike; a rule of another text, a deny
    /// above all, stays. `[[attach]]` stays.
    pub fn override_with(&mut self, over: Self) {
        let Self { layer: _, network, profiles, default_profile, attach: _, file: _, text: _ } =
            over;
        replace(&mut self.default_profile, default_profile);
        self.network.override_with(network);
        for profile in profiles {
            match self.profiles.iter_mut().find(|own| own.name == profile.name) {
                Some(own) => {
                    replace(&mut own.extends, profile.extends);
                    own.network.override_with(profile.network);
                }
                None => self.profiles.push(profile),
            }
        }
    }
}

impl NetworkWritten {
    fn override_with(&mut self, over: Self) {
        let Self { values, rules, unix_rules } = over;
        self.values.override_with(values);
        for rule in rules {
            self.rules.retain(|own| own.text != rule.text);
            self.rules.push(rule);
        }
        for rule in unix_rules {
            self.unix_rules.retain(|own| own.text != rule.text);
            self.unix_rules.push(rule);
        }
    }
}

fn replace<T>(own: &mut Option<Written<T>>, new: Option<Written<T>>) {
    if new.is_some() {
        *own = new;
    }
}

/// One `KEY=VALUE`, read as the line of a file. Messages name the key alone: the value may hold a
/// password.
fn read_flag(keys: Keys, flag: &str, profile: Option<&str>) -> Result<Loaded, ConfigErrors> {
    let at = |key: &str, error: PatternError| {
        let PatternError { message, suggestion } = error;
        let file = if key.is_empty() { "--set".to_owned() } else { format!("--set {key}") };
        ConfigErrors::from(ConfigError { file, place: None, message, suggestion })
    };
    let Some((key, value)) = split(flag) else {
        let error = PatternError::new(
            "this is not KEY=VALUE",
            "write --set network.mode=limited, for instance",
        );
        return Err(at("", error));
    };
    // A line break would begin a second key.
    if flag.contains(|c: char| c.is_control() && c != '\t') {
        let error = PatternError::new("there is a control character in it", "write one line");
        return Err(at(&key.replace(char::is_control, " "), error));
    }
    let value = check_key(keys, key, value)
        .and_then(|()| profile.map_or(Ok(()), |profile| check_profile(key, profile)))
        .and_then(|()| toml_value(value));
    match value {
        Ok(value) => read::read_flag(keys, &format!("{key} = {value}"), &format!("--set {key}")),
        Err(error) => Err(at(key, error)),
    }
}

/// Key and value, at the first `=` outside quotes.
fn split(flag: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in flag.char_indices() {
        match (quote, c) {
            (Some('"'), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '=') => return Some((flag.get(..at)?.trim(), flag.get(at + 1..)?.trim())),
            _ => {}
        }
    }
    None
}

/// The value as TOML; what is none is a text whose quotes the shell has taken.
fn toml_value(value: &str) -> Result<String, PatternError> {
    match DeTable::parse(&format!("v = {value}")) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) if value.starts_with(['[', '{', '"', '\'']) => Err(PatternError::new(
            format!("the value is no TOML: {}", error.message().trim().replace('\n', ", ")),
            "quote the whole for the shell: --set 'network.presets=[\"common-dependencies\"]'",
        )),
        // JSON's escapes are TOML's too.
        Err(_) => Ok(serde_json::Value::from(value).to_string()),
    }
}

/// Whether the key is a single one. What else is wrong with it the reader says.
fn check_key(keys: Keys, key: &str, value: &str) -> Result<(), PatternError> {
    let quoted = |key: &str| {
        let (before, name) =
            ["domains", "addresses", "unix_sockets", "forward"].into_iter().find_map(|table| {
                key.split_once(&format!("{table}.")).map(|(before, name)| {
                    (format!("{before}{table}"), name.replace(['"', '\''], ""))
                })
            })?;
        Some(format!("quote it for egress and for the shell: --set '{before}.\"{name}\"={value}'"))
    };
    let Ok(path) = path(key) else {
        let suggestion = quoted(key).unwrap_or_else(|| {
            "write --set network.mode=limited, for \
                                                        instance"
                .to_owned()
        });
        return Err(PatternError::new("this is no key", suggestion));
    };
    let mut path = path.iter().map(String::as_str);
    let mut table = Table::Top;
    while let Some(name) = path.next() {
        let Some(known) = keys.find(table, name) else { return Ok(()) };
        let whole = |example: &str| {
            let message = format!("{name} is a whole table, and --set takes one key");
            Err(PatternError::new(message, format!("write --set '{key}.{example}', for instance")))
        };
        table = match known.kind {
            Kind::Table(inner) if path.len() > 0 => inner,
            Kind::Tables(inner) if path.len() > 1 => {
                path.next();
                inner
            }
            Kind::Table(Table::Dns) => return whole("timeout=5s"),
            Kind::Table(Table::Upstream) => return whole("resolve=proxy"),
            Kind::Table(_) => return whole("mode=limited"),
            Kind::Tables(_) => return whole("network.mode=limited"),
            Kind::List(_) => {
                let message = format!("{name} is a list of tables, and --set takes one key");
                return Err(PatternError::new(message, format!("write [[{name}]] in a file")));
            }
            Kind::Rules(_) | Kind::UnixRules | Kind::Servers => {
                let rest: Vec<_> = path.collect();
                return match rest.as_slice() {
                    [] if matches!(known.kind, Kind::Servers) => {
                        whole("\"corp.example\"=[\"10.0.0.53\"]")
                    }
                    [] if matches!(known.kind, Kind::UnixRules) => {
                        whole("\"/run/a.sock\"=\"allow\"")
                    }
                    [] => whole("\"example.com\"=\"allow\""),
                    [_] => Ok(()),
                    [rule, option] if keys.find(Table::Rule, option).is_some() => {
                        Err(PatternError::new(
                            "a rule is set as a whole",
                            format!(
                                "write --set 'network.{name}.\"{rule}\"={{ action = \"allow\", \
                                 {option} = {value} }}'"
                            ),
                        ))
                    }
                    names => Err(PatternError::new(
                        format!("a key with dots needs quotes: {}", names.join(".")),
                        quoted(key).unwrap_or_default(),
                    )),
                };
            }
            _ => return Ok(()),
        };
    }
    Ok(())
}

/// Under a profile a key of `[network]` may do nothing, and nobody would notice.
fn check_profile(key: &str, profile: &str) -> Result<(), PatternError> {
    if !path(key).is_ok_and(|path| path.first().is_some_and(|first| first == "network")) {
        return Ok(());
    }
    let name = if profile.contains('.') { format!("{profile:?}") } else { profile.to_owned() };
    Err(PatternError::new(
        format!("this is a key of [network], and the profile {profile} is in force"),
        format!("write --set 'profiles.{name}.{key}=...'"),
    ))
}

/// The parts of a dotted key.
fn path(key: &str) -> Result<Vec<String>, toml::de::Error> {
    let text = format!("{key} = 0");
    let root = DeTable::parse(&text)?;
    let mut parts = Vec::new();
    let mut table = root.get_ref();
    while let Some((name, node)) = table.iter().next() {
        parts.push(name.get_ref().clone().into_owned());
        match node.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => break,
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests;
