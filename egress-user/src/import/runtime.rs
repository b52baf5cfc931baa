//! JSON settings of sandbox-runtime, also below `sandbox` of another program's settings.
use serde_json::{Map, Value};

use super::{Source, failed, page::Page, patterns};
use crate::{config::ConfigError, policy::Action};

pub(super) fn read(source: Source<'_>, page: &mut Page) -> Result<(), ConfigError> {
    let root: Value = serde_json::from_str(source.text)
        .map_err(|error| failed(source.name, format!("is not JSON: {error}"), ""))?;
    let settings = root.get("sandbox").unwrap_or(&root);
    let Some(network) = settings.get("network").and_then(Value::as_object) else {
        return Err(failed(
            source.name,
            "has no network settings that are known",
            "give Codex's config.toml or requirements.toml, or JSON with network.allowedDomains",
        ));
    };
    page.settings = true;
    page.profile("");
    let mut reader = Reader { file: source.name, page };
    for (key, value) in network {
        reader.key(key, value);
    }
    reader.unrelated(&root, settings);
    Ok(())
}

struct Reader<'a> {
    file: &'a str,
    page: &'a mut Page,
}

impl Reader<'_> {
    fn key(&mut self, key: &str, value: &Value) {
        let place = format!("{}: network.{key}", self.file);
        match (key, value) {
            ("allowedDomains" | "deniedDomains", Value::Array(list)) => {
                let action = if key == "allowedDomains" { Action::Allow } else { Action::Deny };
                for (text, place) in self.texts(list, &place) {
                    patterns::host(self.page, "", text, action, &place);
                }
            }
            ("allowUnixSockets", Value::Array(list)) => {
                for (text, place) in self.texts(list, &place) {
                    patterns::socket(self.page, "", text, &place);
                }
            }
            ("allowAllUnixSockets", Value::Bool(all)) => {
                let name = "dangerously_allow_all_unix_sockets";
                self.page.set("", "", name, all.to_string(), &place);
            }
            ("allowLocalBinding", Value::Bool(false)) => {}
            // Listening, and reaching what listens inside; our allow_local_binding would open every
            // private address as well.
            ("allowLocalBinding", Value::Bool(true)) => self.page.leave_out(
                &place,
                "allowLocalBinding: listening needs no rule; to reach listeners of the same sandbox \
                 is allow_own_loopback = true, which is not built yet",
            ),
            ("httpProxyPort" | "socksProxyPort", _) => {
                self.page.leave_out(&place, format!("{key}: programs need no proxy setting here"));
            }
            (_, Value::Null) => {}
            _ => self.page.leave_out(&place, format!("{key} has no counterpart")),
        }
    }

    fn texts<'v>(&mut self, list: &'v [Value], place: &str) -> Vec<(&'v str, String)> {
        let mut texts = Vec::new();
        for (number, value) in list.iter().enumerate() {
            let place = format!("{place}[{number}]");
            match value.as_str() {
                Some(text) => texts.push((text, place)),
                None => self.page.leave_out(&place, "is no text"),
            }
        }
        texts
    }

    fn unrelated(&mut self, root: &Value, settings: &Value) {
        let keys = |value: &Value| -> Vec<String> {
            let of = |map: &Map<String, Value>| map.keys().cloned().collect();
            value.as_object().map(of).unwrap_or_default()
        };
        let mut others: Vec<String> = keys(settings);
        if !std::ptr::eq(root, settings) {
            others.extend(keys(root));
        }
        others.retain(|key| key != "network" && key != "sandbox");
        if !others.is_empty() {
            self.page.leave_out(self.file, format!("not about network: {}", others.join(", ")));
        }
    }
}
