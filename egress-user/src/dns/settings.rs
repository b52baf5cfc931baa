//! What the DNS of a sandbox can be told.

use std::time::Duration;

use super::answer::Refuse;
use crate::config::DnsSettings;

/// Settings of `[network.dns]`, and what the daemon knows of its own network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A pin lives at least this long. Default five minutes.
    pub min_ttl: Duration,
    /// A pin lives at most this long, whatever the TTL; wins over `min_ttl`. Default one hour.
    pub max_ttl: Duration,
    /// How refused names are answered.
    pub refuse: Refuse,
    /// Whether the daemon has an IPv6 route. Without one AAAA records are judged, but neither
    /// answered nor pinned, as nothing could be dialled there.
    pub has_ipv6: bool,
    /// For how long after a lookup those who ask for the same name get its outcome. Default
    /// half a second: longer than a stub resolver takes for its second query, shorter than
    /// anybody's patience with a stale failure.
    pub reuse: Duration,
}

impl Settings {
    /// The settings as configured, with the rest at its default.
    pub fn new(dns: &DnsSettings) -> Self {
        Self {
            min_ttl: dns.min_ttl,
            max_ttl: dns.max_ttl,
            refuse: Refuse::default(),
            has_ipv6: true,
            reuse: Duration::from_millis(500),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(&DnsSettings::default())
    }
}
