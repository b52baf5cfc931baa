//! What the DNS of a sandbox can be told.

use std::time::Duration;

use hickory_proto::rr::RecordType;

use super::answer::Refuse;
use crate::config::{DnsSettings, RefusalCode};

/// Settings of `[network.dns]`, and what the daemon knows of its own network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A pin lives at least this long. Default five minutes.
    pub min_ttl: Duration,
    /// A pin lives at most this long, whatever the TTL; wins over `min_ttl`. Default one hour.
    pub max_ttl: Duration,
    /// How refused names are answered.
    pub refuse: Refuse,
    /// Queries per second that the sandbox may ask for long. Default 1000.
    pub queries_per_second: u16,
    /// Types answered beyond A, AAAA, HTTPS, SVCB and the PTR of pins. Default none.
    pub record_types: Vec<RecordType>,
    /// Whether the daemon has an IPv6 route. Without one AAAA records are judged, but neither
    /// answered nor pinned, as nothing could be dialled there.
    pub has_ipv6: bool,
}

impl Settings {
    /// The settings as configured, with the rest at its default.
    pub fn new(dns: &DnsSettings) -> Self {
        Self {
            min_ttl: dns.min_ttl,
            max_ttl: dns.max_ttl,
            refuse: match dns.refusal {
                RefusalCode::NxDomain => Refuse::NxDomain,
                RefusalCode::Refused => Refuse::Refused,
            },
            queries_per_second: dns.queries_per_second,
            record_types: dns.record_types.iter().map(|number| number.0.into()).collect(),
            has_ipv6: true,
        }
    }

    /// Whether records of this type, which is not A nor AAAA, are looked up for allowed names.
    pub(super) fn answers(&self, record_type: RecordType) -> bool {
        matches!(record_type, RecordType::HTTPS | RecordType::SVCB)
            || self.record_types.contains(&record_type) && !is_of_questions(record_type)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(&DnsSettings::default())
    }
}

/// Types that no record has (RFC 6895 section 3.1), whatever a list says: ANY and transfers among
/// them, and OPT.
fn is_of_questions(record_type: RecordType) -> bool {
    matches!(u16::from(record_type), 0 | 41 | 128..=255)
}
