//! Settings of other tools, as a policy.
//!
//! What comes out is the same or stricter, never wider: an allow that cannot be said here is left
//! out, and what closes and cannot be said becomes the nearest thing that covers it, or an error.
//! Every difference is told, with its line and why.
//!
//! Read are Codex's `config.toml` and `requirements.toml`, the JSON settings of sandbox-runtime, also
//! inside of those of programs that use it, lists of hosts, firewall scripts, squid.conf, and the YAML
//! of harden-runner, smokescreen and Cilium. Another format needs a reader from its text or `tree` to
//! the `page`; both know nothing of formats.
mod cilium;
mod codex;
mod format;
mod harden_runner;
mod list;
mod page;
mod patterns;
mod rules;
mod runtime;
mod script;
mod smokescreen;
mod sockets;
mod squid;
#[cfg(test)]
mod tests;
mod tree;
mod write;

use std::path::Path;

pub use self::format::Format;
use self::{
    codex::Codex,
    page::{Page, one_line},
};
use crate::{
    config::{ConfigError, ConfigErrors},
    policy::Action,
};

/// Most bytes of a file.
pub const MOST_BYTES: usize = 4 << 20;

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

/// What a file does not say.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// What `~` in the paths of sockets stands for.
    pub home: Option<&'a Path>,
    /// What a list of hosts does with them.
    pub lists: Action,
}

/// Reads the files as one set of settings; of a key that several write, the narrower value counts.
///
/// # Errors
/// A file of more than [`MOST_BYTES`], or of none of the known formats; a value that its own tool
/// would not take, or that closes something and cannot be read; files that are not one policy:
/// requirements together with other settings, or settings of two tools.
pub fn import(sources: &[Source<'_>], options: &Options<'_>) -> Result<Imported, ConfigErrors> {
    let mut page = Page::new(options.home);
    let mut codex = Codex::default();
    let mut errors = ConfigErrors::default();
    // A mark of the order of bytes, which editors of other systems write.
    let sources: Vec<Source<'_>> = sources
        .iter()
        .map(|source| Source { text: without_mark(source.text), ..*source })
        .collect();
    let named = named_lists(&sources);
    let lists: Vec<_> = sources.iter().filter(|source| is_named(source, &named)).copied().collect();
    let mut formats: Vec<(Format, &str)> = Vec::new();
    for &source in sources.iter().filter(|source| !is_named(source, &named)) {
        match read(source, &lists, options, &mut page, &mut codex) {
            Ok(format) => formats.push((format, source.name)),
            Err(error) => errors.push(error),
        }
    }
    if let Some((first, rest)) = formats.split_first() {
        for other in rest.iter().filter(|other| other.0 != first.0) {
            let message = format!(
                "{} is of {} and {} of {}: settings of two tools, and two policies",
                first.1,
                first.0.tool(),
                other.1,
                other.0.tool()
            );
            errors.push(of_file(other.1, message, "import each by itself"));
        }
        // Each of these is a policy by itself: together they would open more than any of them.
        if let Some(second) = rest.first()
            && !matches!(first.0, Format::Codex | Format::Runtime | Format::List)
            && second.0 == first.0
        {
            let message = "a second file of this kind, which is a policy by itself";
            errors.push(of_file(second.1, message, "import each by itself"));
        }
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
    write::write(page, &sources)
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The files that a squid.conf among them names.
fn named_lists(sources: &[Source<'_>]) -> Vec<String> {
    let confs =
        sources.iter().filter(|source| Format::of(source.name, source.text) == Format::Squid);
    confs.flat_map(|source| squid::named_files(source.text)).collect()
}

fn is_named(source: &Source<'_>, named: &[String]) -> bool {
    let name = Path::new(source.name).file_name().map(|name| name.to_string_lossy());
    name.is_some_and(|name| named.iter().any(|other| *other == name))
}

/// Reads one file, and says of which tool it is.
fn read(
    source: Source<'_>,
    lists: &[Source<'_>],
    options: &Options<'_>,
    page: &mut Page<'_>,
    codex: &mut Codex,
) -> Result<Format, ConfigError> {
    if source.text.len() > MOST_BYTES {
        let message = format!("more than {MOST_BYTES} bytes, which no settings have");
        return Err(of_file(source.name, message, "give the settings alone"));
    }
    let format = Format::of(source.name, source.text);
    match format {
        Format::Codex => codex.read(source, &tree::of_toml(source)?, page)?,
        Format::Runtime => {
            let root = tree::of_json(source)?;
            if cilium::is_policy(&root) {
                cilium::read(source, &[root], page)?;
                return Ok(Format::Cilium);
            }
            runtime::read(source, &root, page)?;
        }
        Format::List => list::read(source, options.lists, page)?,
        Format::Script => script::read(source, page)?,
        Format::Squid => squid::read(source, lists, page)?,
        Format::Yaml | Format::HardenRunner | Format::Smokescreen | Format::Cilium => {
            return read_yaml(source, page);
        }
    }
    Ok(format)
}

fn read_yaml(source: Source<'_>, page: &mut Page<'_>) -> Result<Format, ConfigError> {
    let documents = tree::of_yaml(source)?;
    if documents.iter().any(cilium::is_policy) {
        cilium::read(source, &documents, page)?;
        return Ok(Format::Cilium);
    }
    if let [root] = documents.as_slice() {
        if harden_runner::is_workflow(root) {
            harden_runner::read(source, root, page)?;
            return Ok(Format::HardenRunner);
        }
        if smokescreen::is_acl(root) {
            smokescreen::read(source, root, page)?;
            return Ok(Format::Smokescreen);
        }
    }
    Err(of_file(
        source.name,
        "is YAML of none of the known tools",
        "give a workflow with harden-runner, an ACL of smokescreen, or policies of Cilium",
    ))
}

/// An error of a line.
fn failed(file: &str, line: usize, message: impl Into<String>, suggestion: &str) -> ConfigError {
    of_file(&format!("{file}:{line}"), message, suggestion)
}

fn of_file(file: &str, message: impl Into<String>, suggestion: &str) -> ConfigError {
    let (message, suggestion) = (one_line(&message.into()), one_line(suggestion));
    ConfigError { file: file.to_owned(), place: None, message, suggestion }
}
