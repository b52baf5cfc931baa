//! The reference of the policy language, as docs/policy.md has it.
use std::fmt::Write;

use super::keys::{Key, Keys, Table};

/// A table of Markdown for each table of keys.
pub fn reference(keys: Keys) -> String {
    let mut text = String::new();
    for table in Table::ALL {
        let heading = match table {
            Table::Top => "The file".to_owned(),
            Table::Rule => "A rule of `[network.domains]` or `[network.addresses]`".to_owned(),
            table => format!("`{}`", table.name()),
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "\n**{heading}**\n");
        text.push_str("| key | value | default | meaning | example |\n|---|---|---|---|---|\n");
        for Key { name, kind, default, text: meaning, example, .. } in keys.of(table) {
            let default = match *default {
                "" => "none".to_owned(),
                // Words rather than a value.
                words if words.contains(' ') && !words.starts_with(['"', '[']) => words.to_owned(),
                value => format!("`{value}`"),
            };
            let kind = kind.text();
            let _ = writeln!(text, "| `{name}` | {kind} | {default} | {meaning} | `{example}` |");
        }
    }
    text.push('\n');
    text
}
