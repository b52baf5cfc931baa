//! Just enough Rust to find the paths in a source file: no parser, so that the test needs none.

use std::collections::BTreeSet;

/// The source with comments and literals blanked out.
pub(crate) fn code(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if first == '"' {
            string(rest)
        } else if let Some(hashes) = raw_string(rest, &code) {
            let close = format!("\"{}", "#".repeat(hashes));
            let open = hashes + 2;
            rest[open..].find(&close).map_or(rest.len(), |at| open + at + close.len())
        } else if first == '\'' {
            character(rest)
        } else {
            0
        };
        if skipped == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.push(' ');
            rest = &rest[skipped..];
        }
    }
    code
}

/// Length of a block comment; they nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a string literal.
fn string(text: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in text.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// How many hashes a raw string that begins here has; none when none begins.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let in_word = before.ends_with(|last: char| last.is_alphanumeric() && last != 'b');
    let rest = text.strip_prefix('r')?;
    let count = rest.len() - rest.trim_start_matches('#').len();
    (!in_word && rest[count..].starts_with('"')).then_some(count)
}

/// Length of a character literal; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut letters = text.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), _) => text[3..].find('\'').map_or(0, |at| at + 4),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// Identifiers and keywords.
pub(crate) fn words(code: &str) -> impl Iterator<Item = &str> {
    code.split(|letter: char| !in_word(letter)).filter(|word| !word.is_empty())
}

/// The first two words of every path: `(crate, dns)` of `crate::dns::Pins`, and a pair for each
/// branch of `crate::{dns, policy}`. `use tokio as runtime` gives `(tokio, as)`.
pub(crate) fn paths(code: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    each_path(code, |word, after, used| {
        if let Some(tail) = after.strip_prefix("::") {
            found.extend(branches(tail.trim_start()).map(|next| (word.to_owned(), next)));
        } else if used {
            found.insert((word.to_owned(), "as".to_owned()));
        }
    });
    found
}

/// For every path that begins with `super`: how many of them, and the words that may follow.
pub(crate) fn supers(code: &str) -> BTreeSet<(usize, String)> {
    let mut found = BTreeSet::new();
    each_path(code, |word, after, _| {
        if word != "super" {
            return;
        }
        let (mut count, mut rest) = (1, after);
        while let Some(tail) = rest.strip_prefix("::").map(str::trim_start) {
            let Some(deeper) = tail.strip_prefix("super") else {
                found.extend(branches(tail).map(|next| (count, next)));
                return;
            };
            (count, rest) = (count + 1, deeper.trim_start());
        }
    });
    found
}

/// Calls `each` with the first word of every path or name, what follows it, and whether it stands
/// after `use`.
fn each_path<'a>(code: &'a str, mut each: impl FnMut(&'a str, &'a str, bool)) {
    let mut at = 0;
    while let Some(start) = code[at..].find(|c: char| c.is_alphabetic() || c == '_') {
        let start = at + start;
        let length = code[start..].find(|c: char| !in_word(c)).unwrap_or(code.len() - start);
        let (before, word) = (code[..start].trim_end(), &code[start..start + length]);
        let used = words_end_with_use(before);
        if !before.ends_with("::") || used {
            each(word, code[start + length..].trim_start(), used);
        }
        at = start + length;
    }
}

fn words_end_with_use(before: &str) -> bool {
    before
        .trim_end_matches("::")
        .trim_end()
        .strip_suffix("use")
        .is_some_and(|rest| !rest.ends_with(in_word))
}

/// First words of what follows `::`.
fn branches(tail: &str) -> impl Iterator<Item = String> {
    let mut parts = Vec::new();
    if let Some(inside) = tail.strip_prefix('{') {
        let (mut depth, mut start) = (0_usize, 0);
        for (at, letter) in inside.char_indices() {
            match letter {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                '}' | ',' if depth == 0 => {
                    parts.push(&inside[start..at]);
                    start = at + 1;
                    if letter == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    } else {
        parts.push(tail);
    }
    let first = |part: &str| words(part).next().map(str::to_owned);
    parts.into_iter().filter_map(first).collect::<Vec<_>>().into_iter()
}

fn in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn reads_paths_and_neither_comments_nor_literals() {
    let code = code(
        "//! crate::cli in words\nuse crate::{dns::{A, B}, policy};\nuse std::net; use ::libc;\n\
         fn f<'a>() { let s = \"tokio::main\\\"\"; crate::flow::g(tokio::spawn(1)); x.await }\n\
         // rustls::Nothing\n/* nix::x /* y */ */ const C: char = '\"'; use super::rule::Rule;\n\
         const R: &str = r#\"caps::\"x\"#; use super::super::{cli, dial}; use serde as s;",
    );
    let found = paths(&code);
    let pair = |head: &str, next: &str| (head.to_owned(), next.to_owned());
    for (head, next) in [
        ("crate", "dns"),
        ("crate", "policy"),
        ("crate", "flow"),
        ("std", "net"),
        ("libc", "as"),
        ("serde", "as"),
        ("tokio", "spawn"),
        ("super", "rule"),
    ] {
        assert!(found.contains(&pair(head, next)), "{head}::{next} not in {found:?}");
    }
    for head in ["rustls", "nix", "caps"] {
        assert!(!found.iter().any(|(word, _)| word == head), "{head} in {found:?}");
    }
    assert!(!found.contains(&pair("crate", "cli")) && !found.contains(&pair("tokio", "main")));
    let out = |count, next: &str| (count, next.to_owned());
    assert_eq!(supers(&code), [out(1, "rule"), out(2, "cli"), out(2, "dial")].into());
}
