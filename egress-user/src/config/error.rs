//! Errors of policy files, with the place in the text.
use std::{fmt, ops::Range};

use crate::text::{self, Printable};

/// Every error of the files that were read; never empty when returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// The errors, file by file in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// Forgets those of these lines.
    pub(super) fn keep_outside(&mut self, lines: &[usize]) {
        self.0
            .retain(|error| error.place.as_ref().is_none_or(|place| !lines.contains(&place.line)));
    }

    pub(crate) fn sort(&mut self) {
        self.0.sort_by_key(|error| error.place.as_ref().map(|place| (place.line, place.column)));
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

/// One error after the other, each with its line underlined.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, error) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}{}", error.excerpt())?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One error of a file or of a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, or the flag.
    pub file: String,
    /// Where in the file; none for flags and for files that cannot be read.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to write instead; empty where there is nothing to write.
    pub suggestion: String,
}

impl ConfigError {
    pub(super) fn of_file(file: &str, message: impl Into<String>) -> Self {
        let (message, suggestion) = (message.into(), String::new());
        Self { file: file.to_owned(), place: None, message, suggestion }
    }

    /// The line of the file with the error underlined, after a line break; empty without a place.
    pub fn excerpt(&self) -> String {
        let Some(Place { line, column, length, text }) = &self.place else { return String::new() };
        let margin = " ".repeat(line.to_string().len());
        let before = " ".repeat(column - 1);
        let mark = "^".repeat(*length);
        format!("\n {margin} |\n {line} | {text}\n {margin} | {before}{mark}")
    }
}

/// One line: `policy.toml:4:1: what is wrong; what to write`.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => {
                write!(f, "{}:{}:{}: ", safe(&self.file), place.line, place.column)?;
            }
            None => write!(f, "{}: ", safe(&self.file))?,
        }
        match self.suggestion.as_str() {
            "" => write!(f, "{}", safe(&self.message)),
            suggestion => write!(f, "{}; {}", safe(&self.message), safe(suggestion)),
        }
    }
}

fn safe(text: &str) -> Printable {
    Printable::from(text)
}

/// A place in the text of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// Characters of the line that are wrong; at least 1.
    pub length: usize,
    /// The line, safe to print.
    pub text: String,
}

/// The text of a file, and where its lines begin.
pub(crate) struct Source<'a> {
    pub(crate) file: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
    /// What is not shown.
    hidden: Vec<Range<usize>>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(text: &'a str, file: &'a str) -> Self {
        let breaks = text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { file, text, line_starts, hidden: Vec::new() }
    }

    /// The 1-based line of a byte.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= at).max(1)
    }

    /// Shows stars in the place of this from now on: it may hold a password.
    pub(super) fn hide(&mut self, span: Range<usize>) {
        self.hidden.push(span);
    }

    /// Whether a bare key goes on after a dot.
    pub(super) fn is_dotted(&self, key: &Range<usize>) -> bool {
        let is_bare = !self.text.get(key.clone()).is_some_and(|key| key.starts_with(['"', '\'']));
        let rest = self.text.get(key.end..).unwrap_or_default();
        is_bare && rest.trim_start_matches([' ', '\t']).starts_with('.')
    }

    /// From the first character of its line on.
    pub(super) fn line_until(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.line_starts.get(self.line(span.start) - 1).copied().unwrap_or_default();
        let before = self.text.get(start..span.start).unwrap_or_default();
        span.start - before.trim_start().len()..span.end
    }

    /// This part, as it stands there.
    pub(super) fn written(&self, span: Range<usize>) -> &'a str {
        self.text.get(span).unwrap_or_default()
    }

    /// Where the 1-based line begins, and its text.
    pub(crate) fn line_at(&self, line: usize) -> Option<(usize, &'a str)> {
        let start = *self.line_starts.get(line.checked_sub(1)?)?;
        Some((start, self.text.get(start..)?.lines().next()?))
    }

    pub(crate) fn place(&self, span: Range<usize>) -> Place {
        let line = self.line(span.start);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let text = self.text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let characters =
            |until: usize| text.char_indices().filter(|&(at, _)| start + at < until).count();
        let column = characters(span.start) + 1;
        let length = (characters(span.end) + 1).saturating_sub(column).max(1);
        let user_info = user_info(text);
        let is_hidden = |at: usize| {
            user_info.contains(&at) || self.hidden.iter().any(|span| span.contains(&(start + at)))
        };
        let shown = |(at, c): (usize, char)| if is_hidden(at) { '*' } else { c };
        let text = text::in_place(&text.char_indices().map(shown).collect::<String>());
        Place { line, column, length, text }
    }
}

/// Where a URL of this line may have user and password: up to the last `@`, as these may hold
/// others. Also of a line that is no TOML.
fn user_info(line: &str) -> Range<usize> {
    let end = line.rfind('@').unwrap_or_default();
    let scheme = line.get(..end).and_then(|before| before.find("://"));
    scheme.map_or(0..0, |at| at + 3..end)
}
