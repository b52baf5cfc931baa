//! squid.conf: its `acl` lines, and the `http_access` lines that say what they do.
//!
//! squid takes the first line of `http_access` that matches. Here a deny wins, so that what an
//! earlier allow opens and a later deny is about is closed. What passes is what squid would let
//! through as a tunnel (CONNECT), which may carry anything, as a connection here may.
use std::{collections::HashMap, path::Path};

use super::{Source, failed, page::Page};
use crate::config::ConfigError;

mod access;
mod acl;

use self::{access::Access, acl::Acl};

/// A line of the file with those that it goes on in, as words.
struct Directive {
    line: usize,
    words: Vec<Word>,
}

struct Word {
    text: String,
    /// In quotes, a word names a file.
    is_quoted: bool,
}

/// Judges answers, or requests a second time: not what a target is.
const OTHER_ACCESS: [&str; 3] = ["adapted_http_access", "http_reply_access", "miss_access"];

/// Whether the text has lines of `acl` or `http_access`.
pub(super) fn is_conf(text: &str) -> bool {
    let first = |line: &str| line.split_ascii_whitespace().next().map(str::to_owned);
    text.lines().filter_map(first).any(|word| word == "acl" || word == "http_access")
}

/// Reads the file; `lists` are files that its lines may name.
pub(super) fn read(
    source: Source<'_>,
    lists: &[Source<'_>],
    page: &mut Page<'_>,
) -> Result<(), ConfigError> {
    page.section("");
    let directives = directives(source)?;
    let mut acls: HashMap<&str, Acl> = HashMap::new();
    let mut access = Vec::new();
    for directive in &directives {
        let Some((name, arguments)) = directive.words.split_first() else { continue };
        let place = format!("{}:{}", source.name, directive.line);
        match name.text.as_str() {
            "acl" => {
                let (Some(name), Some(kind)) = (arguments.first(), arguments.get(1)) else {
                    let message = "an acl without a name and a type";
                    return Err(failed(source.name, directive.line, message, "write both"));
                };
                let values = arguments.get(2..).unwrap_or_default();
                let more = Acl::parse(&kind.text, values, source, directive.line, lists)?;
                match acls.get_mut(name.text.as_str()) {
                    None => {
                        acls.insert(name.text.as_str(), more);
                    }
                    Some(standing) => standing.add(more).map_err(|message| {
                        failed(source.name, directive.line, message, "name it otherwise")
                    })?,
                }
            }
            "http_access" => access.push((directive.line, arguments)),
            "include" | "if" => page.lose(
                &place,
                format!(
                    "{}: lines stand elsewhere, or hold at times; put them in its place",
                    name.text
                ),
            ),
            other if OTHER_ACCESS.contains(&other) => {
                if arguments.iter().any(|word| word.text == "deny") {
                    let why =
                        format!("{other}: judges answers, or what other programs made of requests");
                    page.lose(&place, why);
                }
            }
            other => page.leave_out(&place, format!("not about what may be reached: {other}")),
        }
    }
    if access.is_empty() {
        page.leave_out(source.name, "no http_access line: squid refuses everything then");
    }
    Access::new(source, &acls, page).read(&access)
}

/// The files that the `acl` lines of a text name.
pub(super) fn named_files(text: &str) -> Vec<String> {
    let file_name = |path: &str| {
        let name = Path::new(path).file_name()?;
        Some(name.to_string_lossy().into_owned())
    };
    let words = text.lines().filter(|line| line.trim_start().starts_with("acl ")).flat_map(words);
    words.filter(|word| word.is_quoted).filter_map(|word| file_name(&word.text)).collect()
}

fn directives(source: Source<'_>) -> Result<Vec<Directive>, ConfigError> {
    let mut directives = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in source.text.lines().enumerate() {
        let (number, mut text) = open.take().unwrap_or((at + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(part) => {
                text.push_str(part);
                text.push(' ');
                open = Some((number, text));
            }
            None => {
                text.push_str(line);
                let words: Vec<_> = words(&text).collect();
                if !words.is_empty() {
                    directives.push(Directive { line: number, words });
                }
            }
        }
    }
    match open {
        Some((line, _)) => {
            Err(failed(source.name, line, "a line that goes on and does not", "take its \\ away"))
        }
        None => Ok(directives),
    }
}

/// The words of a line up to a comment.
fn words(line: &str) -> impl Iterator<Item = Word> + '_ {
    let mut rest = line;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() || rest.starts_with('#') {
            return None;
        }
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let (text, after) = match quote.and_then(|quote| rest.get(1..)?.split_once(quote)) {
            Some(parts) => parts,
            None => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        rest = after;
        Some(Word { text: text.to_owned(), is_quoted: quote.is_some() })
    })
}
