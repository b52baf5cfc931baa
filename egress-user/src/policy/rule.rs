//! Rules, patterns, and what a matching rule opens.
use std::sync::Arc;

/// Allow or deny.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opens.
    Allow,
    /// Closes, whatever else opens.
    Deny,
}

/// Transport protocol of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Ports that a rule opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSet {
    /// Every port but 0.
    All,
    /// These ports, sorted.
    Only(Box<[u16]>),
}

/// A pattern of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {}

/// Why a pattern is refused at load, with what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {suggestion}")]
pub struct PatternError {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub suggestion: String,
}

/// Where a rule was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file, or the flag (`--allow`).
    pub file: String,
    /// 1-based line; none for flags.
    pub line: Option<u32>,
    /// Name of the layer (`user` today).
    pub layer: String,
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

/// What the most specific matching allow rule opens. Cheap to clone; kept with pins.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The rule.
    pub rule: Arc<Rule>,
}

impl Grant {
    /// Row 4: whether the port (never 0) and transport are opened.
    pub fn opens(&self, _port: u16, _transport: Transport) -> bool {
        unimplemented!()
    }
    /// Whether payloads that are neither TLS nor HTTP pass on web ports.
    pub fn any_protocol(&self) -> bool {
        self.rule.options.any_protocol
    }
}

impl std::fmt::Display for Rule {
    /// `pattern (file:line)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` ({}", self.text, self.origin.file)?;
        match self.origin.line {
            Some(line) => write!(f, ":{line})"),
            None => write!(f, ")"),
        }
    }
}
