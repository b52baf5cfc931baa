//! What one file says. What it leaves out is `None`, as only written keys constrain other layers.
use std::{net::SocketAddr, sync::Arc, time::Duration};

use super::{DnsServer, Place};
use crate::policy::{Layer, Mode, Origin, Rule, UnixRule};

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
    /// `network_access`.
    pub network_access: Option<Written<bool>>,
    /// `enabled`.
    pub enabled: Option<Written<bool>>,
    /// `mode`.
    pub mode: Option<Written<Mode>>,
    /// `allow_local_binding`.
    pub allow_local_binding: Option<Written<bool>>,
    /// `allow_own_loopback`.
    pub allow_own_loopback: Option<Written<bool>>,
    /// `allow_inbound`.
    pub allow_inbound: Option<Written<bool>>,
    /// `allow_upstream_proxy`.
    pub allow_upstream_proxy: Option<Written<bool>>,
    /// `enable_socks5`.
    pub enable_socks5: Option<Written<bool>>,
    /// `enable_socks5_udp`.
    pub enable_socks5_udp: Option<Written<bool>>,
    /// `proxy_url`.
    pub proxy_url: Option<Written<ListenUrl>>,
    /// `socks_url`.
    pub socks_url: Option<Written<ListenUrl>>,
    /// `proxy_env`.
    pub proxy_env: Option<Written<bool>>,
    /// `dangerously_allow_non_loopback_proxy`.
    pub dangerously_allow_non_loopback_proxy: Option<Written<bool>>,
    /// `dangerously_allow_all_unix_sockets`.
    pub dangerously_allow_all_unix_sockets: Option<Written<bool>>,
    /// `unix_enforcement = "required"`.
    pub unix_required: Option<Written<bool>>,
    /// `ech = "allow"`.
    pub allow_ech: Option<Written<bool>>,
    /// `drain`.
    pub drain: Option<Written<Duration>>,
    /// `managed_allowed_domains_only`.
    pub managed_allowed_domains_only: Option<Written<bool>>,
    /// `presets`; the reader has looked the names up.
    pub presets: Option<Written<Vec<&'static str>>>,
    /// `[network.domains]` and `[network.addresses]`, in the order of the file.
    pub rules: Vec<Rule>,
    /// `[network.unix_sockets]`, in the order of the file.
    pub unix_rules: Vec<UnixRule>,
    /// `[network.dns]`.
    pub dns: DnsWritten,
    /// `[network.upstream]`.
    pub upstream: UpstreamWritten,
}

/// `[network.dns]`.
#[derive(Clone, Debug, Default)]
pub struct DnsWritten {
    /// `servers`.
    pub servers: Option<Written<Vec<DnsServer>>>,
    /// `forward`.
    pub forward: Option<Written<Vec<Forward>>>,
    /// `timeout`.
    pub timeout: Option<Written<Duration>>,
    /// `min_ttl`.
    pub min_ttl: Option<Written<Duration>>,
    /// `max_ttl`.
    pub max_ttl: Option<Written<Duration>>,
    /// `record_types`, by number.
    pub record_types: Option<Written<Vec<RecordType>>>,
    /// `refusal`.
    pub refusal: Option<Written<RefusalCode>>,
    /// `dnssec`.
    pub dnssec: Option<Written<bool>>,
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

/// `[network.upstream]`.
#[derive(Clone, Debug, Default)]
pub struct UpstreamWritten {
    /// `url`.
    pub url: Option<Written<UpstreamUrl>>,
    /// `no_proxy`: names, suffixes, addresses and blocks that are dialled directly.
    pub no_proxy: Option<Written<Vec<String>>>,
    /// `resolve = "proxy"`: the upstream proxy looks names up.
    pub resolve_at_proxy: Option<Written<bool>>,
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
