//! Why something was refused: one table for the kernel, the proxy, DNS and every message.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $number:literal, $name:literal;)+) => {
        /// The named reason of a refusal. Numbers and names are never reused or renumbered.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant = $number,)+
        }

        impl Reason {
            /// Every reason, in the order of its number.
            pub const ALL: &[Reason] = &[$(Reason::$variant,)+];

            /// The name that logs, answers and `egress check` show.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)+ }
            }

            /// One sentence for a person.
            pub const fn text(self) -> &'static str {
                match self { $(Reason::$variant => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// The reason with this number, as an event record carries it.
            pub const fn from_number(number: u8) -> Option<Reason> {
                match number { $($number => Some(Reason::$variant),)+ _ => None }
            }

            /// The reason with this name.
            pub fn from_name(name: &str) -> Option<Reason> {
                match name { $($name => Some(Reason::$variant),)+ _ => None }
            }
        }
    };
}

reasons! {
    /// The host is neither a valid name nor an address.
    InvalidHost = 1, "invalid_host";
    /// A deny rule matches.
    Denied = 2, "denied";
    /// The destination is local, private or otherwise not public, and no exact rule opens it.
    NotAllowedLocal = 3, "not_allowed_local";
    /// No allow rule matches.
    NotAllowed = 4, "not_allowed";
    /// The rule that matches does not open this port or transport.
    PortNotAllowed = 5, "port_not_allowed";
    /// Only an inspected request could be judged, and inspection is not on.
    InspectionRequired = 6, "inspection_required";
    /// The protocol or socket family is not one that the policy can judge here.
    ProtocolNotAllowed = 7, "protocol_not_allowed";
    /// The name could not be looked up.
    DnsFailed = 8, "dns_failed";
    /// The address was given by no lookup of this sandbox that still lives.
    NotPinned = 9, "not_pinned";
    /// The TLS server name is not a name that this address was looked up for.
    SniMismatch = 10, "sni_mismatch";
    /// The HTTP host is not a name that this address was looked up for.
    HostMismatch = 11, "host_mismatch";
    /// Encrypted ClientHello hides the name that the rule is about.
    EchRefused = 12, "ech_refused";
    /// The request's method is not permitted.
    MethodNotAllowed = 13, "method_not_allowed";
    /// The request's path is not permitted.
    PathNotAllowed = 14, "path_not_allowed";
    /// The policy gives no network at all.
    NetworkDisabled = 15, "network_disabled";
    /// No rule allows this unix socket.
    UnixSocketNotAllowed = 16, "unix_socket_not_allowed";
    /// A person said no.
    ApprovalDenied = 17, "approval_denied";
    /// Nobody answered in time.
    ApprovalTimeout = 18, "approval_timeout";
    /// Too many at once, or a table is full.
    RateLimited = 19, "rate_limited";
    /// The device is a network or leads to one, or was not known when the sandbox started.
    DeviceNotAllowed = 20, "device_not_allowed";
}
