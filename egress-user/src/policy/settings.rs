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
        }
    }
}
