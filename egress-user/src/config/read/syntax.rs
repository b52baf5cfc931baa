//! Text that is no TOML: what is wrong, and what to write.
use std::ops::Range;

use crate::policy::PatternError;

/// An error of syntax, put in words.
pub(super) struct Syntax {
    pub(super) span: Range<usize>,
    pub(super) error: PatternError,
    /// Whether the lines after it still mean what they say.
    pub(super) ends_there: bool,
}

/// The errors of the parser, in the order of the text. After one that leaves a bracket open they
/// end: the parser only guesses from there on.
pub(super) fn explain(text: &str, errors: &[toml::de::Error]) -> Vec<Syntax> {
    if !errors.is_empty() && text.trim_start().starts_with('{') {
        let start = text.len() - text.trim_start().len();
        let error = PatternError::new(
            "this is JSON, and a policy is TOML",
            "convert it with `egress policy import FILE`, or write [network.domains] and below it \
             \"example.com\" = \"allow\"",
        );
        return vec![Syntax { span: start..start + 1, error, ends_there: false }];
    }
    let mut sorted: Vec<_> = errors.iter().map(|error| one(text, error)).collect();
    sorted.sort_by_key(|syntax| syntax.span.start);
    let open = sorted.iter().position(|syntax| !syntax.ends_there);
    sorted.truncate(open.map_or(sorted.len(), |open| open + 1));
    sorted
}

fn one(text: &str, error: &toml::de::Error) -> Syntax {
    let span = error.span().unwrap_or(0..0);
    let at = At::new(text, &span);
    let message = error.message().trim();
    let first = message.split(", expected ").next().unwrap_or_default();
    let ends_there = ENDS_THERE.iter().any(|known| first.starts_with(known));
    let words = |message: &str, suggestion: &str| PatternError::new(message, suggestion);
    let error = match first {
        "duplicate key" => twice(&at),
        "string values must be quoted" if at.pointed.trim().is_empty() => {
            words("the key has no value", "write one after the =")
        }
        "string values must be quoted" => bare_value(&at),
        "unclosed table" => words("the heading is not closed", "write ] at its end"),
        "unclosed array table" => words("the heading is not closed", "write ]] at its end"),
        "unclosed array" => words("a list is not closed", "write ] at its end"),
        "unclosed inline table" => words("a table is not closed", "write } at its end"),
        "missing comma between array elements" => words(
            "a comma is missing in a list, or its ]",
            "write , before this, or ] after the last entry",
        ),
        "missing comma between key-value pairs" => {
            words("a comma is missing in a table", "write , before this")
        }
        "key with no value" | "missing assignment between key-value pairs" => {
            if at.rest.starts_with(':') {
                words("`:` is no TOML", "write = in its place")
            } else if at.line.matches('"').count() % 2 == 1 {
                words("a quote is missing in this line", "write one before and after each text")
            } else {
                words("the key has no value", "write = and a value after the key")
            }
        }
        "unexpected key or value" => words(
            "the line goes on after its value",
            "write each key in a line of its own, and a rule with options in braces: \
             { action = \"allow\", ports = [443] }",
        ),
        "invalid unquoted key" => bare_key(&at),
        _ if first.starts_with("invalid boolean") => bare_value(&at),
        _ if message.contains("expected `\"`") || message.contains("expected `'`") => {
            words("a text is not closed", "write the closing quote")
        }
        _ => PatternError::new(message.replace('\n', ", "), ""),
    };
    Syntax { span, error, ends_there }
}

/// Errors whose harm ends with their line. The parser begins anew at the next.
const ENDS_THERE: [&str; 13] = [
    "unexpected key or value",
    "duplicate key",
    "string values must be quoted",
    "invalid boolean",
    "invalid basic string",
    "invalid literal string",
    "invalid unquoted key",
    "key with no value",
    "missing value",
    "missing comma between key-value pairs",
    "extra comma in inline table",
    "extra comma in array",
    "unexpected leading zero",
];

/// A place in the text.
struct At<'t> {
    before: &'t str,
    /// The line that it is in.
    line: &'t str,
    /// What the parser points at.
    pointed: &'t str,
    /// The line from there on.
    rest: &'t str,
}

impl<'t> At<'t> {
    fn new(text: &'t str, span: &Range<usize>) -> Self {
        let before = text.get(..span.start).unwrap_or_default();
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = |from| text.get(from..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let pointed = text.get(span.clone()).unwrap_or_default();
        Self {
            before: before.get(..start).unwrap_or_default(),
            line: line(start),
            pointed,
            rest: line(span.start),
        }
    }
}

fn twice(at: &At<'_>) -> PatternError {
    let line = at.line.trim_start();
    let heading = line.split_once(']').filter(|_| line.starts_with('['));
    if let Some((heading, _)) = heading {
        let same = |other: &str| {
            other.trim_start().split_once(']').is_some_and(|(other, _)| other == heading)
        };
        let first = at.before.lines().position(same);
        return said_twice(
            &format!("{heading}]"),
            first,
            "write the keys of both below one heading",
        );
    }
    let key = at.pointed;
    let same = |other: &str| {
        let rest = other.trim_start().strip_prefix(key);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    // Only in this table: another may have the key as well.
    let lines: Vec<_> = at.before.lines().collect();
    let table = lines.iter().rposition(|line| line.trim_start().starts_with('[')).unwrap_or(0);
    let first = lines.iter().skip(table).position(|line| same(line)).map(|line| table + line);
    said_twice(key, first, "keep one of the two")
}

fn said_twice(what: &str, first: Option<usize>, suggestion: &str) -> PatternError {
    let first = first.map(|line| format!(", first in line {}", line + 1)).unwrap_or_default();
    PatternError::new(format!("{what} is written twice{first}"), suggestion)
}

fn bare_value(at: &At<'_>) -> PatternError {
    let value = at.pointed.trim();
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => {
            return PatternError::new(format!("{value} is no boolean"), "write true");
        }
        "false" | "no" | "off" => {
            return PatternError::new(format!("{value} is no boolean"), "write false");
        }
        _ => {}
    }
    let numbers: Vec<_> = value.split_ascii_whitespace().collect();
    if numbers.len() > 1 && numbers.iter().all(|part| part.bytes().all(|b| b.is_ascii_digit())) {
        return PatternError::new("commas are missing", format!("write {}", numbers.join(", ")));
    }
    // A URL may hold a password.
    let suggestion = match value.contains(['@', '"', '\'']) || value.contains("://") {
        true => "write a quote \" before and after it".to_owned(),
        false => format!("write \"{value}\""),
    };
    PatternError::new("a text needs quotes", suggestion)
}

fn bare_key(at: &At<'_>) -> PatternError {
    let message = "a key of other characters than letters, digits, - and _ needs quotes";
    let key = at.line.split_once('=').map_or(at.line, |(key, _)| key).trim();
    let suggestion = match key.is_empty() || key.contains(['[', '{', '"', '\'', '@']) {
        true => "write a quote \" before and after it".to_owned(),
        false => format!("write \"{key}\""),
    };
    PatternError::new(message, suggestion)
}

#[cfg(test)]
mod tests;
