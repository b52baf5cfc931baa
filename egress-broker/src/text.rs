//! Text that others wrote, made safe to show. This is the one place for it.
//!
//! Server names, hosts, paths, names of programs, users and files, policies and what servers say may hold
//! anything: a line break prints a line that looks like ours, an escape sequence moves the cursor or sets
//! the title, a bidirectional control shows `evil.example` as something else, and a character without a
//! width hides a difference. [`Printable`] holds none of them, so what keeps its foreign text in one cannot
//! forget. Files and JSON have their own escapes, which a program reads back as what it was.

use std::{error::Error, fmt};

/// Most characters of a [`Printable`]; of longer text the middle is left out.
pub const LONGEST: usize = 1000;
/// Of longer text, characters that stay at its beginning and at its end.
const KEPT: (usize, usize) = (700, 200);

/// One line of text for a person: whatever could act on a terminal, or cannot be seen, is written as an
/// escape (`\n`, `\u{1b}`), and bytes that are no UTF-8 as `\xff`. Escaping twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Printable(String);

impl Printable {
    /// Of bytes that should be UTF-8 and need not be.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        let mut text = String::new();
        for chunk in bytes.utf8_chunks() {
            text.push_str(chunk.valid());
            chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
        }
        Self::from(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::ops::Deref for Printable {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for Printable {
    fn eq(&self, text: &&str) -> bool {
        self.0 == *text
    }
}

impl From<&str> for Printable {
    fn from(text: &str) -> Self {
        // Cut first: nobody is to make us escape megabytes.
        let characters = text.chars().count();
        if characters <= LONGEST {
            return Self(escaped(text, |_| false));
        }
        let cut = |at: usize| text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
        let (head, tail) = (cut(KEPT.0), cut(characters - KEPT.1));
        let left_out = characters - KEPT.0 - KEPT.1;
        let [head, tail] =
            [text.get(..head), text.get(tail..)].map(|part| part.unwrap_or_default());
        Self(escaped(&format!("{head}...({left_out} more)...{tail}"), |_| false))
    }
}

impl From<String> for Printable {
    fn from(text: String) -> Self {
        if text.len() <= LONGEST && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        {
            return Self(text);
        }
        Self::from(text.as_str())
    }
}

impl From<Printable> for String {
    fn from(text: Printable) -> Self {
        text.0
    }
}

impl fmt::Display for Printable {
    /// Takes width and alignment, as a text does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An error with all its causes, not escaped.
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Text in lines of our own making, for a terminal: its line breaks stay. The parts of it that others wrote
/// are [`Printable`] already; whatever was missed cannot do more here than break a line.
pub fn lines(text: &str) -> String {
    escaped(text, |c| c == '\n')
}

fn escaped(text: &str, stays: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match is_visible(c) || stays(c) {
            true => safe.push(c),
            false => safe.extend(c.escape_default()),
        }
    }
    safe
}

/// Whether a person sees the character as what it is. The standard library knows the controls, formats
/// (bidirectional ones and those without width), private, unassigned and combining characters, and every
/// space but one; what else looks like nothing stands here.
pub fn is_visible(c: char) -> bool {
    const BLANK: [char; 5] = ['\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];
    match c {
        ' '..='~' => true,
        c => c.escape_debug().len() == 1 && !BLANK.contains(&c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a terminal obeys, hides or turns around.
    const HOSTILE: [char; 24] = [
        '\0',
        '\n',
        '\r',
        '\t',
        '\u{7}',
        '\u{8}',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{9d}',
        '\u{ad}',
        '\u{61c}',
        '\u{200b}',
        '\u{200e}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{2069}',
        '\u{feff}',
        '\u{fe0f}',
        '\u{3164}',
        '\u{e0041}',
        '\u{e000}',
    ];

    fn hostile() -> String {
        HOSTILE.iter().flat_map(|&c| ['x', c]).collect()
    }

    #[test]
    fn nothing_that_acts_is_shown() {
        let text = Printable::from(hostile());
        assert!(text.as_str().chars().all(is_visible), "{text:?}");
        assert!(!text.as_str().chars().any(|c| HOSTILE.contains(&c)));
        assert_eq!(Printable::from("a\nb\u{1b}[2J").as_str(), "a\\nb\\u{1b}[2J");
        assert_eq!(Printable::from(text.as_str()), text, "twice is once");
        let kept = "grüße, 例え.テスト \"quoted\" C:\\x 'y'";
        assert_eq!(Printable::from(kept).as_str(), kept);
    }

    #[test]
    fn bytes_that_are_no_text_are_written_out() {
        assert_eq!(Printable::of_bytes(b"a\xff\x9b2J\n").as_str(), "a\\xff\\x9b2J\\n");
    }

    #[test]
    fn long_text_loses_its_middle() {
        let text = Printable::from(format!("begin{}end", "\u{1b}".repeat(1 << 20)));
        assert!(text.as_str().starts_with("begin") && text.as_str().ends_with("end"));
        assert!(text.as_str().len() < 7 * LONGEST, "{}", text.as_str().len());
        assert!(text.as_str().contains(" more)..."));
    }

    #[test]
    fn lines_stay_and_nothing_else_does() {
        assert_eq!(lines("a\n b\r\u{9b}\n"), "a\n b\\r\\u{9b}\n");
    }
}
