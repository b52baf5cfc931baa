//! The JSON Schema of a policy file, for editors.
use serde_json::{Map, Value, json};

use super::keys::{Key, Keys, Kind, Table};

/// The schema (draft 2020-12), made of the table of keys. Editors check by it while a file is
/// written; it knows less than `egress policy lint`, which also knows hosts, URLs and servers.
pub fn json_schema(keys: Keys) -> Value {
    let of = |table| (definition(table).to_owned(), object(keys, table));
    let tables = Table::ALL.into_iter().filter(|&table| table != Table::Top);
    let mut schema = object(keys, Table::Top);
    if let Value::Object(entries) = &mut schema {
        entries.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
        entries.insert("title".into(), json!("Policy of egress"));
        entries.insert("$defs".into(), Value::Object(tables.map(of).collect()));
    }
    schema
}

fn object(keys: Keys, table: Table) -> Value {
    let properties: Map<_, _> =
        keys.of(table).map(|key| (key.name.to_owned(), property(key))).collect();
    let needed: Vec<_> = keys.of(table).filter(|key| key.is_needed).map(|key| key.name).collect();
    let mut object = json!({
        "type": "object",
        "properties": properties,
        "required": needed,
        "additionalProperties": false,
    });
    if let (Table::Rule, Value::Object(entries)) = (table, &mut object) {
        entries.insert("if".into(), json!({ "properties": { "action": { "const": "deny" } } }));
        entries.insert("then".into(), json!({ "maxProperties": 1 }));
    }
    object
}

fn property(key: &Key) -> Value {
    let mut property = kind(key.kind);
    if let Value::Object(entries) = &mut property {
        entries.insert("description".into(), json!(key.text));
        if let Some(default) = toml_value(&format!("{} = {}", key.name, key.default), key.name) {
            entries.insert("default".into(), default);
        }
        if let Some(example) = toml_value(key.example, key.name) {
            entries.insert("examples".into(), json!([example]));
        }
    }
    property
}

/// The value of this key in a line of TOML; none where the line is no such.
fn toml_value(line: &str, key: &str) -> Option<Value> {
    let table: toml::Table = line.parse().ok()?;
    match table.get(key)? {
        // The heading of a table says nothing of what is in it.
        toml::Value::Table(table) if table.is_empty() => None,
        value => serde_json::to_value(value).ok().filter(|value| !value.is_null()),
    }
}

fn kind(kind: Kind) -> Value {
    let action = json!({ "enum": ["allow", "deny"] });
    let least = |empty: bool| if empty { 0 } else { 1 };
    match kind {
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::Text => json!({ "type": "string" }),
        Kind::Time => json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" }),
        Kind::Texts { empty } => {
            json!({ "type": "array", "items": { "type": "string" }, "minItems": least(empty) })
        }
        Kind::Words(words) => {
            json!({ "type": "array", "items": { "enum": words }, "minItems": 1 })
        }
        Kind::Number => json!({ "type": "integer", "minimum": 1, "maximum": 65535 }),
        Kind::Ports => json!({
            "type": "array",
            "items": { "anyOf": [
                { "type": "integer", "minimum": 1, "maximum": 65535 },
                { "type": "string", "pattern": "^[0-9]{1,5}-[0-9]{1,5}$" },
            ] },
            "minItems": 1,
        }),
        Kind::Rules(_) => json!({
            "type": "object",
            "additionalProperties": { "anyOf": [action, reference(Table::Rule)] },
        }),
        Kind::UnixRules => json!({
            "type": "object",
            "patternProperties": { "^(/|@).": action },
            "additionalProperties": false,
        }),
        Kind::Servers => json!({
            "type": "object",
            "additionalProperties": {
                "type": "array", "items": { "type": "string" }, "minItems": 1,
            },
        }),
        Kind::Table(table) => reference(table),
        Kind::Tables(table) => {
            json!({ "type": "object", "additionalProperties": reference(table) })
        }
        Kind::List(table) => json!({ "type": "array", "items": reference(table) }),
    }
}

fn reference(table: Table) -> Value {
    json!({ "$ref": format!("#/$defs/{}", definition(table)) })
}

const fn definition(table: Table) -> &'static str {
    match table {
        Table::Top => "file",
        Table::Network => "network",
        Table::Rule => "rule",
        Table::Dns => "dns",
        Table::Upstream => "upstream",
        Table::Profile => "profile",
        Table::Attach => "attach",
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::keys::KEYS;

    #[test]
    fn the_schema_of_the_repository_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/egress.schema.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let kept: Value = serde_json::from_str(&text).unwrap_or_default();
        assert!(
            kept == json_schema(KEYS),
            "docs/egress.schema.json is old: cargo run --bin egress -- policy schema > \
             docs/egress.schema.json"
        );
    }

    #[test]
    fn every_reference_has_its_definition_and_every_key_its_property() {
        let schema = json_schema(KEYS);
        let text = schema.to_string();
        for table in Table::ALL.into_iter().filter(|&table| table != Table::Top) {
            let properties = &schema["$defs"][definition(table)]["properties"];
            for key in KEYS.of(table) {
                assert_eq!(properties[key.name]["description"], key.text, "{}", key.name);
            }
            assert!(text.contains(&format!("\"#/$defs/{}\"", definition(table))));
        }
        let network = &schema["$defs"]["network"]["properties"];
        assert_eq!(network["mode"]["default"], "full");
        assert_eq!(network["enabled"]["default"], true);
        assert_eq!(schema["$defs"]["rule"]["required"], json!(["action"]));
        assert_eq!(schema["$defs"]["rule"]["properties"]["ports"].get("default"), None);
    }
}
