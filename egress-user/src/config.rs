//! Policy files: TOML text in, a [`Policy`] out, or every error with its line.
//!
//! A file is understood whole or not at all. A key that this version does not know, or does not act
//! on yet, is an error: a rule that is silently left out would be a hole.

mod assemble;
mod effective;
mod error;
mod flag;
mod json_schema;
pub mod keys;
mod links;
mod merge;
mod overrides;
pub mod presets;
mod read;
mod reference;
mod schema;
mod show;
mod value;
mod values;
mod written;

use std::{
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use effective::{Effective, EffectiveValues};
pub(crate) use error::Source;
pub use error::{ConfigError, ConfigErrors, Place};
pub use flag::Flags;
pub use json_schema::json_schema;
pub use keys::{KEYS, Key, Keys};
pub use links::resolve_links;
pub use reference::reference;
pub use show::{show, show_json};
pub use values::{Value, Values};
pub use written::{
    AttachWritten, Forward, ListenUrl, Loaded, NetworkWritten, ProfileWritten, RecordType,
    RefusalCode, UpstreamUrl, Written,
};

use crate::policy::{Layer, Origin, Policy};

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
    parse_by(KEYS, text, file_name)
}

/// As [`parse`], by another table of keys.
pub fn parse_by(keys: Keys, text: &str, file_name: &str) -> Result<Loaded, ConfigErrors> {
    let loaded = read::read(keys, text, file_name)?;
    Ok(Loaded { file: file_name.into(), text: text.into(), ..loaded })
}

/// The policy of these files, the highest layer first, and of the flags, which belong to the
/// lowest. The files of the machine are left out: see [`assemble_below`].
pub fn assemble(files: &[PathBuf], flags: &Flags) -> Result<Assembled, ConfigErrors> {
    assemble_files(given(files), flags)
}

/// As [`assemble`], of files that were read already: the last is the user's, the one above managed
/// defaults, all above that requirements.
pub fn assemble_layers(layers: Vec<Loaded>, flags: &Flags) -> Result<Assembled, ConfigErrors> {
    assemble_layers_by(KEYS, layers, flags)
}

/// As [`assemble_layers`], by another table of keys.
pub fn assemble_layers_by(
    keys: Keys,
    mut layers: Vec<Loaded>,
    flags: &Flags,
) -> Result<Assembled, ConfigErrors> {
    for (height, layer) in layers.iter_mut().rev().enumerate() {
        layer.layer = assemble::layer_of(height);
    }
    let errors = overrides::apply(keys, &mut layers, flags).err().unwrap_or_default();
    complete(keys, layers, flags, errors)
}

/// The policy of these layers, or every error: those that are known already and its own.
fn complete(
    keys: Keys,
    layers: Vec<Loaded>,
    flags: &Flags,
    mut errors: ConfigErrors,
) -> Result<Assembled, ConfigErrors> {
    match assemble::assemble(keys, layers, flags) {
        Ok(assembled) if errors.is_empty() => Ok(assembled),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// Where the administrator's files stand.
pub const SYSTEM_FOLDER: &str = "/etc/egress";

/// As [`assemble`], below the files of the machine: `requirements.toml` and `egress.toml` of
/// `system`, each where it exists. Requirements bound every file below them, requirements among
/// `files` included.
///
/// # Errors
/// Also where one of these is there and cannot be read: it is not taken for absent.
pub fn assemble_below(
    system: &Path,
    files: &[PathBuf],
    flags: &Flags,
) -> Result<Assembled, ConfigErrors> {
    let of_system =
        [("requirements.toml", Layer::Requirements), ("egress.toml", Layer::Managed)].into_iter();
    let folder_is_lost = !is_absent(system) && system.metadata().is_err();
    let of_system = of_system
        .map(|(name, layer)| (system.join(name), layer))
        .filter(|(path, _)| folder_is_lost || !is_absent(path));
    assemble_files(of_system.chain(given(files)), flags)
}

/// A link that leads nowhere is not absent.
fn is_absent(path: &Path) -> bool {
    let kind = path.symlink_metadata().map_err(|error| error.kind());
    matches!(kind, Err(std::io::ErrorKind::NotFound))
}

fn given(files: &[PathBuf]) -> impl Iterator<Item = (PathBuf, Layer)> {
    let height = |at: usize| files.len().saturating_sub(at + 1);
    files.iter().enumerate().map(move |(at, path)| (path.clone(), assemble::layer_of(height(at))))
}

fn assemble_files(
    files: impl Iterator<Item = (PathBuf, Layer)>,
    flags: &Flags,
) -> Result<Assembled, ConfigErrors> {
    let mut errors = ConfigErrors::default();
    let mut layers = Vec::new();
    for (path, layer) in files {
        match load(&path) {
            Ok(mut loaded) => {
                loaded.layer = layer;
                layers.push(loaded);
            }
            Err(more) => errors.extend(more),
        }
    }
    if let Err(more) = overrides::apply(KEYS, &mut layers, flags) {
        errors.extend(more);
    }
    for loaded in &mut layers {
        let profiles = loaded.profiles.iter_mut().map(|profile| &mut profile.network);
        for network in std::iter::once(&mut loaded.network).chain(profiles) {
            for rule in &mut network.unix_rules {
                rule.address = resolve_links(rule.address.clone());
            }
        }
    }
    if errors.is_empty() {
        return complete(KEYS, layers, flags, errors);
    }
    // What the files come to together cannot be said without all of them.
    if let Err(more) = flags.rules() {
        errors.extend(more);
    }
    Err(errors)
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
    /// The keys of `[network]` that no decision depends on.
    pub network: NetworkSettings,
    /// Every key of `[network]` and its tables: what holds, and which line says so.
    pub values: EffectiveValues,
    /// `[[attach]]`, of every file.
    pub attach: Vec<AttachWritten>,
    /// Lines that do not do what they seem to.
    pub warnings: Vec<Warning>,
    /// Lines that `egress run` of this version does not act on: it refuses to start with them.
    pub not_built: Vec<Warning>,
}

/// The keys of `[network]` that no decision depends on, each with its default where no file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Take a proxy to leave by from the environment. Default true.
    pub allow_upstream_proxy: bool,
    /// The explicit SOCKS5 listener. Default true.
    pub enable_socks5: bool,
    /// UDP ASSOCIATE there. Default true.
    pub enable_socks5_udp: bool,
    /// The explicit HTTP listener. Default none until it is written.
    pub proxy_url: Option<ListenUrl>,
    /// The explicit SOCKS5 listener's place. Default none until it is written.
    pub socks_url: Option<ListenUrl>,
    /// Set proxy variables for children. Default false.
    pub proxy_env: bool,
    /// Default false.
    pub dangerously_allow_non_loopback_proxy: bool,
    /// `unix_enforcement = "required"`. Default true.
    pub unix_required: bool,
    /// How long a relay may make no progress after the command's end. Default 30 s.
    pub drain: Duration,
    /// `[network.upstream] url`.
    pub upstream: Option<UpstreamUrl>,
    /// `[network.upstream] no_proxy`.
    pub no_proxy: Vec<String>,
    /// `[network.upstream] resolve = "proxy"`. Default false.
    pub resolve_at_proxy: bool,
}

/// What the table of keys says.
impl Default for NetworkSettings {
    fn default() -> Self {
        EffectiveValues::defaults(KEYS).network()
    }
}

/// `[network.dns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsSettings {
    /// Asked in this order. Default: the system's.
    pub servers: Vec<DnsServer>,
    /// Servers of single domains; the longest domain wins. Default none.
    pub forward: Vec<Forward>,
    /// Time for one lookup; at its end the lookup has failed. Default 5 s.
    pub timeout: Duration,
    /// A pin lives at least this long, even when the record does not. Default 5 min.
    pub min_ttl: Duration,
    /// A pin lives at most this long without another lookup. Default 1 h.
    pub max_ttl: Duration,
    /// Types that are answered beyond A, AAAA, HTTPS, SVCB and PTR of pins. Default none.
    pub record_types: Vec<RecordType>,
    /// How refused names are answered. Default NXDOMAIN.
    pub refusal: RefusalCode,
    /// Questions per second that one sandbox may ask for long. Default 1000.
    pub queries_per_second: u16,
    /// Whether answers are validated. Default false.
    pub dnssec: bool,
}

/// What the table of keys says.
impl Default for DnsSettings {
    fn default() -> Self {
        EffectiveValues::defaults(KEYS).dns()
    }
}

/// A DNS server to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DnsServer {
    /// Those of the host's resolver configuration.
    System,
    /// This one, by UDP and TCP.
    Address(SocketAddr),
    /// DNS over TLS (RFC 7858): `tls://9.9.9.9#dns.quad9.net`, port 853 unless written.
    Tls {
        /// Where.
        address: SocketAddr,
        /// The name in its certificate; none = the address.
        name: Option<crate::policy::Name>,
    },
    /// DNS over HTTPS (RFC 8484): `https://9.9.9.9/dns-query#dns.quad9.net`, port 443 unless
    /// written.
    Https {
        /// Where.
        address: SocketAddr,
        /// The name in its certificate; none = the address.
        name: Option<crate::policy::Name>,
        /// The path of the query; `/dns-query` unless written.
        path: Box<str>,
    },
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
        let [origin, message] =
            [self.origin.to_string(), self.message.clone()].map(crate::text::Printable::from);
        write!(f, "{origin}: {message}")
    }
}

#[cfg(test)]
mod tests;
