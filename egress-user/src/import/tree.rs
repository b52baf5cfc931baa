//! Settings as a tree, whichever way they were written: each part with its line.
use jsonc_parser::{
    CollectOptions, ParseOptions,
    ast::{ObjectPropName, Value as Json},
    common::Ranged,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Source, failed};
use crate::config::ConfigError;

mod yaml;

pub(super) use yaml::of_yaml;

/// A value and the line that it begins in.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Boolean(bool),
    Number,
    List(Vec<Node>),
    Table(Vec<Entry>),
    Null,
    /// A date of TOML.
    Other,
}

/// A key of a table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The line of the key.
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        match &self.value {
            Value::Boolean(value) => Some(*value),
            _ => None,
        }
    }

    pub(super) fn table(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(nodes) => Some(nodes),
            _ => None,
        }
    }

    /// The value of this key of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        get(self.table()?, key).map(|entry| &entry.node)
    }
}

/// Words in a key that is not known, and that may close something.
const CLOSES: [&str; 6] = ["den", "block", "forbid", "restrict", "reject", "exclude"];

/// What to do about a key that [`may_close`] something.
pub(super) const HOW_TO_CLOSE: &str = "correct it, or take it out and write what is meant by hand";

/// Whether a key that is not known may be there to close something: then it is not passed over.
pub(super) fn may_close(key: &str, node: &Node) -> bool {
    closes(key) && !matches!(node.value, Value::Boolean(false))
}

/// Whether a name says that what it is of closes something.
pub(super) fn closes(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    CLOSES.iter().any(|word| name.contains(word))
}

/// The entry of this key.
pub(super) fn get<'t>(table: &'t [Entry], key: &str) -> Option<&'t Entry> {
    table.iter().find(|entry| entry.key == key)
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect())
    }

    /// The 1-based line of a byte.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|&start| start <= byte).max(1)
    }
}

/// TOML.
pub(super) fn of_toml(source: Source<'_>) -> Result<Node, ConfigError> {
    let lines = Lines::of(source.text);
    let root = DeTable::parse(source.text).map_err(|error| {
        let line = error.span().map_or(1, |span| lines.at(span.start));
        let message = format!("this is no TOML: {}", error.message().trim().replace('\n', ", "));
        failed(source.name, line, message, "give TOML or JSON as the other tool reads it")
    })?;
    Ok(Node { line: 1, value: Value::Table(toml_table(root.get_ref(), &lines)) })
}

fn toml_table(table: &DeTable<'_>, lines: &Lines) -> Vec<Entry> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, node): (&Spanned<_>, &Spanned<DeValue<'_>>)| Entry {
        key: toml_key(key),
        line: lines.at(key.span().start),
        node: toml_node(node, lines),
    };
    entries.into_iter().map(entry).collect()
}

fn toml_key(key: &Spanned<toml::de::DeString<'_>>) -> String {
    key.get_ref().clone().into_owned()
}

fn toml_node(node: &Spanned<DeValue<'_>>, lines: &Lines) -> Node {
    let value = match node.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Integer(_) | DeValue::Float(_) => Value::Number,
        DeValue::Datetime(_) => Value::Other,
        DeValue::Array(list) => {
            Value::List(list.iter().map(|node| toml_node(node, lines)).collect())
        }
        DeValue::Table(table) => Value::Table(toml_table(table, lines)),
    };
    Node { line: lines.at(node.span().start), value }
}

/// JSON, with what editors and programs let pass in settings: comments and trailing commas.
const JSON: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// JSON, with comments and trailing commas.
pub(super) fn of_json(source: Source<'_>) -> Result<Node, ConfigError> {
    let lines = Lines::of(source.text);
    let parsed = jsonc_parser::parse_to_ast(source.text, &CollectOptions::default(), &JSON);
    let parsed = parsed.map_err(|error| {
        let line = lines.at(error.range().start);
        let message = format!("this is no JSON: {}", error.kind());
        failed(source.name, line, message, "give the file as the other tool reads it")
    })?;
    match parsed.value {
        Some(value) => json_node(&value, source, &lines),
        None => Ok(Node { line: 1, value: Value::Null }),
    }
}

fn json_node(value: &Json<'_>, source: Source<'_>, lines: &Lines) -> Result<Node, ConfigError> {
    let line = lines.at(value.start());
    let value = match value {
        Json::StringLit(text) => Value::Text(text.value.clone().into_owned()),
        Json::BooleanLit(value) => Value::Boolean(value.value),
        Json::NumberLit(_) => Value::Number,
        Json::NullKeyword(_) => Value::Null,
        Json::Array(list) => {
            let nodes = list.elements.iter().map(|node| json_node(node, source, lines));
            Value::List(nodes.collect::<Result<_, _>>()?)
        }
        Json::Object(object) => {
            let mut entries: Vec<Entry> = Vec::new();
            for property in &object.properties {
                let key = match &property.name {
                    ObjectPropName::String(name) => name.value.clone().into_owned(),
                    ObjectPropName::Word(name) => name.value.to_owned(),
                };
                let line = lines.at(property.start());
                // Programs take the last one; the first may be what somebody counts on.
                if let Some(first) = get(&entries, &key) {
                    let message = format!("{key:?} is written twice, in line {} too", first.line);
                    return Err(failed(source.name, line, message, "write it once"));
                }
                let node = json_node(&property.value, source, lines)?;
                entries.push(Entry { key, line, node });
            }
            Value::Table(entries)
        }
    };
    Ok(Node { line, value })
}
