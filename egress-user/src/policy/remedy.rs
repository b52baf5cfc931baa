//! What would change a refusal, as data: a person reads it as a sentence (`record`), a program can act on it.

use std::{net::IpAddr, sync::Arc};

use super::{HostError, Name, Rule, Transport, UnixAddress, UnixRule};

/// The next thing that has to change before the answer can. Once it has, this refusal does not come again: the
/// target is allowed, or refused further on in the order of checks, with the remedy for that. Where no change
/// leads to an allow there is none.
///
/// It says what the policy lacks, not who may change it: an administrator's bounds may forbid the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// `network_access = true` in `[network]`.
    NetworkAccess,
    /// `enabled = true` in `[network]`.
    Enable,
    /// An allow of the name. Where it was claimed at an address, the name has to resolve to that as well.
    AllowName(Name),
    /// An allow of the address.
    AllowAddress {
        /// The address.
        address: IpAddr,
        /// The interface of this machine that has it, where one has.
        own: Option<Arc<str>>,
    },
    /// An allow of the unix socket.
    AllowUnixSocket(UnixAddress),
    /// This deny taken away, which no allow overrides.
    RemoveDeny(Arc<Rule>),
    /// The same of a unix socket.
    RemoveUnixDeny(Box<UnixRule>),
    /// `resolves_to` of a rule of the name, which resolves to addresses that are not public.
    ResolvesTo {
        /// The name.
        name: Name,
        /// What it resolves to and the rule does not accept.
        addresses: Vec<IpAddr>,
        /// The interface of this machine that has the first of them, where one has.
        own: Option<Arc<str>>,
        /// The rule; of the name alone, or of others too.
        rule: Arc<Rule>,
    },
    /// No change of the policy: a name server answers `0.0.0.0` or `::` for what it blocks.
    Unblock {
        /// The name.
        name: Name,
        /// What it was answered with.
        address: IpAddr,
    },
    /// The port, added to those of the rule.
    AddPort {
        /// Never 0.
        port: u16,
        /// The rule.
        rule: Arc<Rule>,
    },
    /// The transport, added to those of the rule.
    AddTransport {
        /// The transport.
        transport: Transport,
        /// The rule.
        rule: Arc<Rule>,
    },
    /// The HTTP method, added to those of the rule.
    AddMethod {
        /// As sent.
        method: Box<str>,
        /// The rule.
        rule: Arc<Rule>,
    },
    /// A prefix of the path, added to those of the rule.
    AddPath {
        /// As sent, without its query.
        path: Box<str>,
        /// The rule.
        rule: Arc<Rule>,
    },
    /// `methods` and `paths` taken from the rule: what is tried hides its requests, or has none.
    ReadNoRequests(Arc<Rule>),
    /// `protocol = "any"` of the rule.
    AnyProtocol(Arc<Rule>),
    /// `mode = "full"` in `[network]`.
    FullMode {
        /// What is tried hides its requests, or has none; a method is all that is amiss otherwise.
        unread: bool,
    },
    /// `queries_per_second` of `[network.dns]`, at least this many.
    QueriesPerSecond(u16),
    /// `ech = "allow"` of the rule; or a program that sends none.
    AllowEch(Arc<Rule>),
    /// No change of the policy: the path of the request, without what servers read differently.
    PlainPath,
    /// No change of the policy: a name or an address in place of what is neither.
    WriteHost(HostError),
}
