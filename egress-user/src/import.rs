//! Settings of other tools, as a policy.
//!
//! What comes out is the same or stricter, never wider: an allow that cannot be said here is left
//! out, and what closes and cannot be said becomes the nearest thing that covers it, or an error.
//! Every difference is told, with its line and why.
//!
//! Read are Codex's `config.toml` and `requirements.toml`, and the JSON settings of
//! sandbox-runtime, also inside of those of programs that use it. Another format needs a reader
//! from its `tree` to the `page`; both know nothing of formats.
mod codex;
mod page;
mod patterns;
mod rules;
mod runtime;
mod sockets;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::path::Path;

use self::{
    codex::Codex,
    page::{Page, one_line},
};
use crate::config::{ConfigError, ConfigErrors};

/// A file to import.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// For comments and messages.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// A policy, and how it differs from what it was made of.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The policy file. It loads, and `egress run` starts with it.
    pub text: String,
    /// Every difference.
    pub told: Vec<Told>,
    /// Whether the file is to be the administrator's: `/etc/egress/requirements.toml`.
    pub is_requirements: bool,
}

impl Imported {
    /// Whether rules are lost, so that the file is not what its author asked for.
    pub fn has_losses(&self) -> bool {
        self.told.iter().any(|told| told.difference == Difference::Lost)
    }
}

/// A difference between the settings and the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// `FILE:LINE`.
    pub place: String,
    /// What, and why.
    pub why: String,
    /// What became of the line.
    pub difference: Difference,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It opens nothing here, or is about something else.
    LeftOut,
    /// It stands in the policy, as something narrower.
    Changed,
    /// Rules are lost: they stand elsewhere, or cannot be said. What is written is closed instead.
    Lost,
}

impl Difference {
    /// How a message begins.
    pub const fn as_str(self) -> &'static str {
        match self {
            Difference::LeftOut => "not carried over",
            Difference::Changed => "carried over otherwise",
            Difference::Lost => "lost",
        }
    }
}

/// Reads the files as one set of settings; of a key that several write, the narrower value counts.
/// `home` stands for `~` in the paths of sockets.
///
/// # Errors
/// A file that is neither TOML nor JSON, or none of the known formats; a value that its own tool
/// would not take, or that closes something and cannot be read; files that are not one policy:
/// requirements together with other settings, or settings of two tools.
pub fn import(sources: &[Source<'_>], home: Option<&Path>) -> Result<Imported, ConfigErrors> {
    let mut page = Page::new(home);
    let mut codex = Codex::default();
    let mut errors = ConfigErrors::default();
    let mut formats = [None, None];
    for source in sources {
        // A mark of the order of bytes, which editors of other systems write.
        let text = source.text.strip_prefix('\u{feff}').unwrap_or(source.text);
        let source = Source { text, ..*source };
        let is_json = is_json(text);
        let read = match is_json {
            true => tree::of_json(source).map(|root| runtime::read(source, &root, &mut page)),
            false => tree::of_toml(source).map(|root| codex.read(source, &root, &mut page)),
        };
        let (Ok(Err(error)) | Err(error)) = read else {
            formats[usize::from(is_json)] = Some(source.name);
            continue;
        };
        errors.push(error);
    }
    if let [Some(toml), Some(json)] = formats {
        let message = format!("{toml} and {json} are settings of two tools, and two policies");
        errors.push(of_file(json, message, "import each by itself"));
    }
    if let Some(place) = page.only_file.as_deref().filter(|_| sources.len() > 1) {
        let message = "allowManagedDomainsOnly: what other files allow does not count beside it";
        errors.push(of_file(place, message, "import this file by itself"));
    }
    if errors.is_empty()
        && let Err(error) = codex.decide(&mut page)
    {
        errors.push(error);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    page.settle();
    write::write(page, sources)
}

/// Whether the first thing that is no blank and no comment is a bracket of JSON. `[a]` is a table of
/// TOML.
fn is_json(text: &str) -> bool {
    let mut rest = text.trim_start();
    loop {
        rest = match rest.split_at_checked(2) {
            Some(("//", line)) => line.split_once('\n').map_or("", |(_, rest)| rest),
            Some(("/*", comment)) => comment.split_once("*/").map_or("", |(_, rest)| rest),
            _ => return rest.starts_with('{'),
        }
        .trim_start();
    }
}

/// An error of a line.
fn failed(file: &str, line: usize, message: impl Into<String>, suggestion: &str) -> ConfigError {
    of_file(&format!("{file}:{line}"), message, suggestion)
}

fn of_file(file: &str, message: impl Into<String>, suggestion: &str) -> ConfigError {
    let (message, suggestion) = (one_line(&message.into()), one_line(suggestion));
    ConfigError { file: file.to_owned(), place: None, message, suggestion }
}
