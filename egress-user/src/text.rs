//! Text that others wrote, made safe to show: [`Printable`], and what is written into files and JSON. This is the
//! one place for it.

use egress_broker::text::is_visible;
pub use egress_broker::text::{LONGEST, Printable, lines, with_causes};
use serde::Serialize;

/// A line of a file as it stands there, character by character, so that a mark below it stays in place.
pub fn in_place(line: &str) -> String {
    // A tab would put the mark elsewhere.
    line.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if is_visible(c) => c,
            _ => char::REPLACEMENT_CHARACTER,
        })
        .collect()
}

/// A basic string of TOML that reads back as the text.
pub fn toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let number = u32::from(c);
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if is_visible(c) => quoted.push(c),
            _ if number > 0xffff => quoted.push_str(&format!("\\U{number:08X}")),
            _ => quoted.push_str(&format!("\\u{number:04X}")),
        }
    }
    quoted.push('"');
    quoted
}

/// JSON that reads back as the value, and is safe on a terminal.
///
/// # Errors
/// Those of the value's own `Serialize`.
pub fn json(value: &impl Serialize, pretty: bool) -> serde_json::Result<String> {
    let text = match pretty {
        true => serde_json::to_string_pretty(value)?,
        false => serde_json::to_string(value)?,
    };
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        // Outside of its strings JSON has nothing but ASCII and line breaks.
        if is_visible(c) || c == '\n' {
            safe.push(c);
            continue;
        }
        let mut units = [0; 2];
        c.encode_utf16(&mut units).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
    }
    Ok(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal obeys, hides or turns around, a visible character before each.
    const HOSTILE: &str = "x\0x\nx\rx\tx\u{7}x\u{8}x\u{1b}x\u{7f}x\u{85}x\u{9b}x\u{9d}x\u{ad}x\u{61c}x\u{200b}\
                           x\u{200e}x\u{2028}x\u{202e}x\u{2066}x\u{2069}x\u{feff}x\u{fe0f}x\u{3164}x\u{e0041}x\u{e000}";

    #[test]
    fn a_mark_below_a_line_stays_in_place() {
        assert_eq!(in_place("\ta\u{202e}b").chars().count(), 4);
    }

    #[test]
    fn files_and_json_read_back_as_what_was_written() {
        let quoted = toml(HOSTILE);
        assert!(quoted.chars().all(is_visible), "{quoted}");
        let read: ::toml::Table = format!("key = {quoted}").parse().unwrap();
        assert_eq!(read["key"].as_str(), Some(HOSTILE));
        let json = json(&HOSTILE, true).unwrap();
        assert!(json.chars().all(is_visible), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), HOSTILE);
    }
}
