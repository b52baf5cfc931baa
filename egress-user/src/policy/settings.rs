//! The settings that decisions depend on, beside the rules.
use super::Mode;

/// Settings of `[network]` that decisions depend on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `network_access`.
    pub network_access: bool,
    /// `enabled`.
    pub enabled: bool,
    /// `allow_local_binding`.
    pub allow_local_binding: bool,
    /// `mode`.
    pub mode: Mode,
    /// `ech = "allow"`.
    pub allow_ech: bool,
    /// `dangerously_allow_all_unix_sockets`.
    pub all_unix_sockets: bool,
    /// `allow_own_loopback`. The kernel side alone knows whose a listener is.
    pub own_loopback: bool,
    /// `allow_inbound`.
    pub inbound: bool,
    /// `refusal_errno`. No verdict depends on it.
    pub refusal_errno: RefusalErrno,
}

/// What a program gets for a destination that is refused where it asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RefusalErrno {
    /// EPERM.
    #[default]
    NotPermitted,
    /// ECONNREFUSED.
    Refused,
    /// EHOSTUNREACH.
    HostUnreachable,
}

impl RefusalErrno {
    /// Every one, by the word of the policy.
    pub const ALL: [(&'static str, Self); 3] = [
        ("eperm", Self::NotPermitted),
        ("econnrefused", Self::Refused),
        ("ehostunreach", Self::HostUnreachable),
    ];
}

impl Settings {
    /// Whether there is a filter and a network that it lets something through to.
    pub fn has_network(&self) -> bool {
        self.network_access && self.enabled
    }

    /// Whether every verdict is the same under both.
    pub fn judges_as(&self, other: &Self) -> bool {
        let Self { refusal_errno, .. } = *self;
        *self == Self { refusal_errno, ..other.clone() }
    }
}

/// As an empty `[network]` says, with the filter on.
impl Default for Settings {
    fn default() -> Self {
        Self {
            network_access: true,
            enabled: true,
            allow_local_binding: false,
            mode: Mode::Full,
            allow_ech: false,
            all_unix_sockets: false,
            own_loopback: true,
            inbound: false,
            refusal_errno: RefusalErrno::NotPermitted,
        }
    }
}
