//! Policy files: TOML text in, a [`Policy`] out, or every error with its line.
//!
//! A file is understood whole or not at all. A key that this version does not know, or does not act
//! on yet, is an error: a rule that is silently left out would be a hole.

mod assemble;
mod error;
mod flag;
mod read;
mod schema;
mod value;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use error::{ConfigError, ConfigErrors, Place};
pub use flag::Flags;

use crate::policy::{Origin, Policy, Rule};

/// Reads a policy file.
pub fn load(path: &Path) -> Result<Loaded, ConfigErrors> {
    let file_name = path.display().to_string();
    let bytes = std::fs::read(path)
        .map_err(|error| ConfigError::of_file(&file_name, format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = error.as_bytes().iter().take(error.utf8_error().valid_up_to());
        let line = 1 + line.filter(|&&b| b == b'\n').count();
        ConfigError::of_file(&file_name, format!("is not UTF-8 text (line {line})"))
    })?;
    parse(&text, &file_name)
}

/// Reads the text of a policy file; the name is for messages.
pub fn parse(text: &str, file_name: &str) -> Result<Loaded, ConfigErrors> {
    read::read(text, file_name)
}

/// The policy of these files, the highest layer first, and of the flags, which belong to the
/// lowest.
pub fn assemble(files: &[PathBuf], flags: &Flags) -> Result<Assembled, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let mut layers = Vec::new();
    for path in files {
        match load(path) {
            Ok(layer) => layers.push(layer),
            Err(more) => errors.extend(more),
        }
    }
    match assemble_layers(layers, flags) {
        Ok(assembled) if errors.is_empty() => Ok(assembled),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// As [`assemble`], of files that were read already.
pub fn assemble_layers(layers: Vec<Loaded>, flags: &Flags) -> Result<Assembled, ConfigErrors> {
    Ok(assemble::assemble(layers, flags.rules()?))
}

/// What one file says. What it leaves out is `None`, as only written keys constrain other layers.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// `network_access`.
    pub network_access: Option<bool>,
    /// `enabled`.
    pub enabled: Option<bool>,
    /// `allow_local_binding`.
    pub allow_local_binding: Option<bool>,
    /// Rules, in the order of the file.
    pub rules: Vec<Rule>,
    /// `[network.dns]`.
    pub dns: DnsWritten,
}

/// What one file says about DNS.
#[derive(Clone, Debug, Default)]
pub struct DnsWritten {
    /// `servers`.
    pub servers: Option<Vec<DnsServer>>,
    /// `timeout`.
    pub timeout: Option<Duration>,
    /// `min_ttl`.
    pub min_ttl: Option<Duration>,
    /// `max_ttl`.
    pub max_ttl: Option<Duration>,
}

/// Files and flags, put together.
#[derive(Clone, Debug)]
pub struct Assembled {
    /// The policy. Its filter is on unless a file turns it off.
    pub policy: Policy,
    /// How names are looked up, and how long pins live.
    pub dns: DnsSettings,
    /// `enabled`, where a file has it.
    pub enabled_written: Option<bool>,
    /// Lines that do not do what they seem to.
    pub warnings: Vec<Warning>,
}

/// `[network.dns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Asked in this order. Default: the system's.
    pub servers: Vec<DnsServer>,
    /// Time for one lookup; at its end the lookup has failed. Default 2 s.
    pub timeout: Duration,
    /// A pin lives at least this long, even when the record does not. Default 5 min.
    pub min_ttl: Duration,
    /// A pin lives at most this long without another lookup. Default 1 h.
    pub max_ttl: Duration,
}

impl Default for DnsSettings {
    fn default() -> Self {
        Self {
            servers: vec![DnsServer::System],
            timeout: Duration::from_secs(2),
            min_ttl: Duration::from_secs(5 * 60),
            max_ttl: Duration::from_secs(60 * 60),
        }
    }
}

/// A DNS server to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DnsServer {
    /// Those of the host's resolver configuration.
    System,
    /// This one, by UDP and TCP.
    Address(SocketAddr),
}

/// A line that does not do what it seems to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What, and why.
    pub message: String,
    /// Where.
    pub origin: Origin,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

#[cfg(test)]
mod tests;
