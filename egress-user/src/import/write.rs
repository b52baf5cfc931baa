//! The policy's text, and whether it is one.
use std::collections::HashMap;

use super::{
    Imported, Source,
    page::{Line, Page, one_line, quoted},
};
use crate::config::{self, ConfigErrors, Flags, Loaded};

/// A line of the policy; headings have no place.
struct Written {
    text: String,
    place: Option<String>,
}

/// Writes the page.
///
/// # Errors
/// A policy that does not load, which is a fault of the reader that made it.
pub(super) fn write(mut page: Page<'_>, sources: &[Source<'_>]) -> Result<Imported, ConfigErrors> {
    let mut lines = lines(&page);
    loop {
        let inert = inert(&page, &lines)?;
        if inert.is_empty() {
            break;
        }
        for (at, why) in inert {
            let Some(line) = lines.get_mut(at) else { continue };
            let place = line.place.take().unwrap_or_default();
            // `#` ends nothing in a key or value: these are quoted.
            line.text = format!("# Left to you: {why}\n# {}", line.text);
            page.leave_out(&place, format!("{why}; the line is there as a comment"));
        }
    }
    let names: Vec<_> = sources.iter().map(|source| one_line(source.name)).collect();
    let mut text = format!("# Imported by `egress policy import` from {}.\n", names.join(", "));
    if page.is_requirements {
        text.push_str(
            "# The administrator's bounds: install it as /etc/egress/requirements.toml.\n",
        );
    }
    for note in &page.notes {
        text.push_str(&format!("# {}\n", one_line(note)));
    }
    for told in &page.told {
        let mut how = told.difference.as_str().to_owned();
        if let Some(first) = how.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        text.push_str(&format!("# {how}: {}: {}\n", one_line(&told.place), one_line(&told.why)));
    }
    for line in &lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    Ok(Imported { text, told: page.told, is_requirements: page.is_requirements })
}

fn lines(page: &Page<'_>) -> Vec<Written> {
    let heading = |text: String| Written { text, place: None };
    let key = |key: &str, Line { value, place }: &Line| Written {
        text: format!("{key} = {value} # {}", one_line(place)),
        place: Some(place.clone()),
    };
    let mut lines = Vec::new();
    lines.extend(page.default_profile.as_ref().map(|line| key("default_profile", line)));
    for (profile, section) in &page.sections {
        let prefix = match profile.as_str() {
            "" => String::new(),
            name => format!("profiles.{}.", quoted(name)),
        };
        if !profile.is_empty() {
            lines.push(heading(String::new()));
            lines.push(heading(format!("[profiles.{}]", quoted(profile))));
            lines.extend(section.extends.as_ref().map(|line| key("extends", line)));
        }
        for (table, keys) in &section.tables {
            let dot = if table.is_empty() { "" } else { "." };
            lines.push(heading(String::new()));
            lines.push(heading(format!("[{prefix}network{dot}{table}]")));
            let name = |key: &str| match *table {
                "unix_sockets" => quoted(key),
                _ => key.to_owned(),
            };
            lines.extend(keys.iter().map(|(text, line)| key(&name(text), line)));
        }
        let mut last = "";
        for ((table, pattern), rule) in &section.rules {
            if *table != last {
                lines.push(heading(String::new()));
                lines.push(heading(format!("[{prefix}network.{table}]")));
                last = table;
            }
            let text = format!("{} = {}", quoted(pattern), rule.text());
            lines.push(Written { text, place: Some(rule.place()) });
        }
    }
    lines
}

/// The lines that `egress run` of this version does not act on, each with why, by their number in
/// the list: what it would refuse to start with is a comment.
fn inert(page: &Page<'_>, lines: &[Written]) -> Result<HashMap<usize, String>, ConfigErrors> {
    // A comment has a line more.
    let one = |line: &Written| line.text.replace('\n', " ");
    let text = lines.iter().map(one).collect::<Vec<_>>().join("\n");
    let loaded = config::parse(&text, "the policy that was made")?;
    let layers = || match page.is_requirements {
        true => vec![loaded.clone(), Loaded::default(), Loaded::default()],
        false => vec![loaded.clone()],
    };
    let mut found = HashMap::new();
    for profile in page.sections.keys().map(String::as_str).chain([""]) {
        let name = if profile.is_empty() { "default" } else { profile };
        let flags = Flags { profile: Some(name.to_owned()), ..Flags::default() };
        for line in config::assemble_layers(layers(), &flags)?.not_built {
            let number = line.origin.line.and_then(|line| usize::try_from(line).ok());
            let why = one_line(line.message.trim_end_matches("; remove it"));
            found.extend(number.map(|number| (number - 1, why)));
        }
    }
    Ok(found)
}
