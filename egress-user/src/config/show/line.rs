//! Lines of a policy, as a file and as JSON.
use std::{collections::HashMap, fmt::Write};

use serde_json::json;

use crate::{
    policy::Origin,
    text::{self, Printable},
};

/// A key or a rule.
pub(super) struct Line<'a> {
    /// As its heading has it.
    pub(super) table: &'static str,
    /// The key, or the pattern of a rule.
    pub(super) key: String,
    pub(super) value: Value,
    /// None for a default.
    pub(super) origin: Option<&'a Origin>,
}

/// What a file can say.
pub(super) enum Value {
    Switch(bool),
    Number(u16),
    Text(String),
    List(Vec<Value>),
    Table(Vec<(String, Value)>),
}

/// A file; with `origins`, each line with where it comes from.
pub(super) fn toml(lines: &[Line<'_>], origins: bool) -> String {
    let mut text = String::new();
    let mut table = "";
    // Several lines of one pattern add up, and a table of TOML has each key once: spaces behind a
    // pattern are nothing to the reader.
    let mut times: HashMap<(&str, &str), usize> = HashMap::new();
    for line in lines {
        if line.table != table {
            let space = if table.is_empty() { "" } else { "\n" };
            table = line.table;
            // Writing to a String does not fail.
            let _ = writeln!(text, "{space}[{table}]");
        }
        let count = times.entry((line.table, &line.key)).or_default();
        let key = key(&format!("{}{}", line.key, " ".repeat(*count)));
        *count += 1;
        let _ = write!(text, "{key} = {}", line.value.toml());
        let _ = match line.origin.filter(|_| origins) {
            Some(origin) => writeln!(text, "  # {}", place(origin)),
            None if origins => writeln!(text, "  # default"),
            None => writeln!(text),
        };
    }
    text
}

/// A list, as one pattern may have several lines.
pub(super) fn json(lines: &[Line<'_>]) -> serde_json::Value {
    let line = |line: &Line<'_>| {
        json!({
            "table": line.table,
            "key": line.key,
            "value": line.value.json(),
            "origin": line.origin.map(origin_json),
        })
    };
    json!({ "lines": lines.iter().map(line).collect::<Vec<_>>() })
}

fn origin_json(origin: &Origin) -> serde_json::Value {
    json!({
        "layer": origin.layer.as_str(),
        "file": &*origin.file,
        "line": origin.line,
        "profile": origin.profile.as_deref(),
        "preset": origin.preset.as_deref(),
    })
}

impl Value {
    fn toml(&self) -> String {
        match self {
            Value::Switch(switch) => switch.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text::toml(text),
            Value::List(list) => {
                let list: Vec<_> = list.iter().map(Value::toml).collect();
                format!("[{}]", list.join(", "))
            }
            Value::Table(fields) => {
                let field =
                    |(name, value): &(String, Value)| format!("{} = {}", key(name), value.toml());
                format!("{{ {} }}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Value::Switch(switch) => json!(switch),
            Value::Number(number) => json!(number),
            Value::Text(text) => json!(text),
            Value::List(list) => list.iter().map(Value::json).collect(),
            Value::Table(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), value.json())).collect()
            }
        }
    }
}

/// Bare where TOML takes it so.
fn key(key: &str) -> String {
    let bare = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    match !key.is_empty() && key.bytes().all(bare) {
        true => key.to_owned(),
        false => text::toml(key),
    }
}

/// `user policy.toml:4, profile ci, preset common-dependencies`.
fn place(origin: &Origin) -> String {
    let mut text = format!("{} {origin}", origin.layer.as_str());
    for (what, name) in [("profile", &origin.profile), ("preset", &origin.preset)] {
        if let Some(name) = name {
            let _ = write!(text, ", {what} {name}");
        }
    }
    // A file's name may hold anything.
    Printable::from(text).into()
}
