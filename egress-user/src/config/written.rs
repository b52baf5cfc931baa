//! What one file says. What it leaves out is `None`, as only written keys constrain other layers.
use std::{net::SocketAddr, sync::Arc};

use super::{DnsServer, Place, values::Values};
use crate::policy::{Layer, Origin, Rule, UnixRule};

/// A value with the line that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written<T> {
    /// The value.
    pub value: T,
    /// Where it was written.
    pub origin: Origin,
    /// The text, for messages; none for flags.
    pub place: Option<Place>,
}

/// One file.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Whose file it is.
    pub layer: Layer,
    /// Its name, as messages have it.
    pub file: Arc<str>,
    /// Its text, for the excerpts of messages.
    pub text: Arc<str>,
    /// `[network]`.
    pub network: NetworkWritten,
    /// `[profiles.NAME]`, in the order of the file.
    pub profiles: Vec<ProfileWritten>,
    /// `default_profile`; `default` is `[network]`.
    pub default_profile: Option<Written<String>>,
    /// `[[attach]]`, in the order of the file.
    pub attach: Vec<AttachWritten>,
}

/// `[network]`, of the file or of one of its profiles.
#[derive(Clone, Debug, Default)]
pub struct NetworkWritten {
    /// Its keys, those of `[network.dns]` and `[network.upstream]` among them.
    pub values: Values,
    /// `[network.domains]` and `[network.addresses]`, in the order of the file.
    pub rules: Vec<Rule>,
    /// `[network.unix_sockets]`, in the order of the file.
    pub unix_rules: Vec<UnixRule>,
}

/// The servers of the names at and below one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The name.
    pub domain: crate::policy::Name,
    /// Asked in this order.
    pub servers: Vec<DnsServer>,
}

/// A type of DNS records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordType(pub u16);

/// How DNS says no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefusalCode {
    /// NXDOMAIN.
    #[default]
    NxDomain,
    /// REFUSED.
    Refused,
}

/// Where an explicit listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenUrl {
    /// As written.
    pub text: String,
    /// Port 0 is any free port.
    pub address: SocketAddr,
}

/// A proxy to leave by.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamUrl {
    /// As written, the password included: never print it.
    pub text: String,
}

impl std::fmt::Debug for UpstreamUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("UpstreamUrl(..)")
    }
}

/// `[profiles.NAME]`.
#[derive(Clone, Debug)]
pub struct ProfileWritten {
    /// Its name.
    pub name: Arc<str>,
    /// Where its table begins.
    pub origin: Origin,
    /// `extends`; `default` is the `[network]` of the files.
    pub extends: Option<Written<String>>,
    /// Its `network`.
    pub network: NetworkWritten,
}

/// `[[attach]]`.
#[derive(Clone, Debug)]
pub struct AttachWritten {
    /// `cgroup`: a path below the cgroup root; `*` in it stands for any text but a slash.
    pub cgroup: Written<String>,
    /// `profile`.
    pub profile: Written<String>,
}
