//! Settings of other tools, as a policy.
//!
//! What comes out is the same or stricter, never wider: an allow that cannot be said here is left
//! out, and a deny that cannot be said becomes the nearest one that covers it. Everything left out
//! is told, with its place and why.
//!
//! Read are Codex's `config.toml` and `requirements.toml`, and the JSON settings of
//! sandbox-runtime, also inside of those of programs that use it.
mod codex;
mod page;
mod patterns;
mod runtime;
#[cfg(test)]
mod tests;

use self::page::Page;
use crate::config::{ConfigError, ConfigErrors};

/// A file to import.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// For comments and messages.
    pub name: &'a str,
    /// What is in it.
    pub text: &'a str,
}

/// A policy, and what is not in it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The policy file.
    pub text: String,
    /// What was left out.
    pub left_out: Vec<LeftOut>,
    /// Whether the file is to be the administrator's: `/etc/egress/requirements.toml`.
    pub is_requirements: bool,
}

/// Something that could not be carried over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// File and line, or the key in JSON.
    pub place: String,
    /// What, and why.
    pub why: String,
}

/// Reads the files as one set of settings; of a key that several write, the first file's counts.
///
/// # Errors
/// A file that is neither TOML nor JSON, or none of the known formats; requirements together with
/// other settings, which would be two policies.
pub fn import(sources: &[Source<'_>]) -> Result<Imported, ConfigErrors> {
    let mut page = Page::default();
    let mut errors = ConfigErrors::default();
    for source in sources {
        let read = if source.text.trim_start().starts_with('{') {
            runtime::read(*source, &mut page)
        } else {
            codex::read(*source, &mut page)
        };
        if let Err(error) = read {
            errors.push(error);
        }
    }
    if page.requirements && page.settings {
        errors.push(failed(
            sources.first().map_or("", |source| source.name),
            "requirements and settings are two policies",
            "import requirements.toml by itself",
        ));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(page.finish(sources))
}

fn failed(file: &str, message: impl Into<String>, suggestion: &str) -> ConfigError {
    let (message, suggestion) = (message.into(), suggestion.to_owned());
    ConfigError { file: file.to_owned(), place: None, message, suggestion }
}
