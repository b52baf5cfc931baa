//! Rules, and what a matching rule opens.
use std::{fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;

use super::{Pattern, PortSet};

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opens.
    Allow,
    /// Closes, whatever else opens.
    Deny,
}

impl Action {
    /// The word of the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Action::Allow => "allow",
            Action::Deny => "deny",
        }
    }
}

/// Transport protocol of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Transport {
    /// The word of the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        }
    }
}

/// Who wrote a line, from the lowest to the highest (docs/policy.md, "Layers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Layer {
    /// The user's file, and flags.
    #[default]
    User,
    /// Managed defaults: `egress.toml` of the machine.
    Managed,
    /// The administrator's bounds: `requirements.toml` of the machine.
    Requirements,
}

impl Layer {
    /// The word that messages and `--json` use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Layer::User => "user",
            Layer::Managed => "managed",
            Layer::Requirements => "requirements",
        }
    }
}

/// Where a rule or a key was written. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The file, or the flag (`--allow`).
    pub file: Arc<str>,
    /// 1-based line; none for flags.
    pub line: Option<u32>,
    /// Whose it is.
    pub layer: Layer,
    /// The profile of the file that it stands in, where it stands in one.
    pub profile: Option<Arc<str>>,
    /// The preset that it comes with; file and line are then those of the key `presets`.
    pub preset: Option<Arc<str>>,
}

impl Origin {
    /// A line of a file, or a flag, of the user's layer.
    pub fn new(file: impl Into<Arc<str>>, line: Option<u32>) -> Self {
        Self { file: file.into(), line, layer: Layer::User, profile: None, preset: None }
    }
}

/// `policy.toml:4`, or the flag.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.file),
            None => f.write_str(&self.file),
        }
    }
}

/// `mode`: what HTTP methods pass at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// GET, HEAD and OPTIONS only.
    Limited,
    /// Every method.
    #[default]
    Full,
}

impl Mode {
    /// The word of the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Mode::Limited => "limited",
            Mode::Full => "full",
        }
    }
}

/// `via`: the way that bytes take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Judged in the kernel, then straight to the destination.
    Kernel,
    /// Through the proxy.
    Proxy,
}

impl Route {
    /// The word of the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Route::Kernel => "kernel",
            Route::Proxy => "proxy",
        }
    }
}

/// `ech`: whether TLS hellos with Encrypted ClientHello may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ech {
    /// None passes, real or for show.
    Refuse,
    /// They pass by their outer name.
    Allow,
}

impl Ech {
    /// The word of the policy file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Ech::Refuse => "refuse",
            Ech::Allow => "allow",
        }
    }
}

/// Options of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleOptions {
    /// Ports that it opens.
    pub ports: PortSet,
    /// Transports; none = TCP for names, TCP and UDP for addresses.
    pub transport: Option<Vec<Transport>>,
    /// `protocol = "any"`.
    pub any_protocol: bool,
    /// HTTP methods, case-sensitive; none = every method that `mode` permits.
    pub methods: Option<Box<[Box<str>]>>,
    /// Path prefixes of HTTP requests, each ending on a segment's boundary; none = every path.
    pub paths: Option<Box<[Box<str>]>>,
    /// The way of the bytes; none = what suits the port.
    pub via: Option<Route>,
    /// Encrypted ClientHello; none = as `ech` of `[network]` says.
    pub ech: Option<Ech>,
    /// Where the names of the rule may resolve to beside public addresses; empty = nowhere.
    pub resolves_to: Box<[IpNet]>,
}

/// Every port, the transports that fit the pattern, and no other payload than TLS and HTTP.
impl Default for RuleOptions {
    fn default() -> Self {
        Self {
            ports: PortSet::All,
            transport: None,
            any_protocol: false,
            methods: None,
            paths: None,
            via: None,
            ech: None,
            resolves_to: Box::default(),
        }
    }
}

/// One line of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As the user wrote it.
    pub text: String,
    /// Parsed.
    pub pattern: Pattern,
    /// Allow or deny.
    pub action: Action,
    /// Options of an allow.
    pub options: RuleOptions,
    /// Where.
    pub origin: Origin,
}

impl Rule {
    /// Whether it says the same as the other, wherever the two are written.
    pub fn says_as(&self, other: &Self) -> bool {
        self.pattern == other.pattern
            && self.action == other.action
            && self.options == other.options
    }
}

impl Rule {
    /// Whether the transport is one of the rule's.
    pub fn permits_transport(&self, transport: Transport) -> bool {
        match &self.options.transport {
            Some(written) => written.contains(&transport),
            None => transport == Transport::Tcp || self.pattern.is_address(),
        }
    }

    /// Whether the port (never 0) and transport are opened.
    pub fn opens(&self, port: u16, transport: Transport) -> bool {
        self.permits_transport(transport) && self.options.ports.contains(port)
    }

    /// Whether an answer of its names may be this address, which is not public. `alone`: only where the
    /// address is written by itself, and not for a block around it.
    pub(super) fn resolves_to(&self, address: IpAddr, alone: bool) -> bool {
        let address = address.to_canonical();
        let is_alone = |block: &IpNet| block.prefix_len() == block.max_prefix_len();
        let blocks = self.options.resolves_to.iter();
        blocks.filter(|block| !alone || is_alone(block)).any(|block| block.contains(&address))
    }

    /// The TCP ports that an allow opens.
    pub fn tcp_ports(&self) -> PortSet {
        if self.permits_transport(Transport::Tcp) {
            self.options.ports.clone()
        } else {
            PortSet::only([])
        }
    }
}

/// `example.com (policy.toml:4)`.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        cite(f, &self.text, &self.origin)
    }
}

/// The one form in which a line of a policy is cited: `example.com (policy.toml:4)`, `example.com (--allow)`.
pub(super) fn cite(f: &mut fmt::Formatter<'_>, text: &str, origin: &Origin) -> fmt::Result {
    write!(f, "{text} ({origin})")
}
