//! What a sandbox asked for.

use std::{fmt, net::SocketAddr};

use egress_common::device::kind;
use hickory_proto::rr::RecordType;

use super::socket;
use crate::{policy::Name, text::Printable};

/// What a decision is about. What others wrote is [`Printable`] in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A lookup by DNS.
    Lookup {
        /// As a person would write it; a name that is none is escaped.
        name: Printable,
        /// The type that was asked for; A or AAAA stand for both.
        record_type: RecordType,
    },
    /// A connection, or a datagram, by its destination alone.
    Address {
        /// IP protocol number.
        protocol: u16,
        /// As the program gave it.
        to: SocketAddr,
    },
    /// A TLS hello.
    Tls {
        /// The original destination of its connection.
        to: SocketAddr,
        /// The server name that it claims.
        server_name: Option<Printable>,
        /// It has an encrypted hello, real or for show: the server name is the outer one.
        ech: bool,
    },
    /// An HTTP request that was read.
    Http {
        /// The original destination of its connection.
        to: SocketAddr,
        /// As sent.
        method: Printable,
        /// The host that it claims.
        host: Option<Printable>,
        /// Its beginning, without the query, which may hold what is nobody's business. Where the host decided
        /// there is none.
        path: Option<Printable>,
    },
    /// Another payload, or one that could not be read.
    Payload {
        /// The original destination of its connection.
        to: SocketAddr,
        /// What was seen of it.
        seen: Seen,
    },
    /// A socket that was to be made: arguments of socket(2).
    Socket {
        /// `AF_INET`, ...
        family: i32,
        /// `SOCK_STREAM`, ...
        kind: i32,
        /// IP protocol number.
        protocol: i32,
    },
    /// A socket option that was to be set: arguments of setsockopt(2).
    SocketOption {
        /// `SOL_SOCKET`, ...
        level: u8,
        /// The option's number.
        option: u16,
    },
    /// A packet that no socket's hook had let pass.
    Packet {
        /// IP protocol number.
        protocol: u16,
        /// Destination; port 0 where there is none.
        to: SocketAddr,
    },
    /// A device that was to be opened.
    Device {
        /// [`kind`].
        kind: u32,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
        /// Its node below /dev, where the kernel tells it.
        node: Option<Printable>,
    },
    /// Nothing of its own: a limit of the sandbox was met.
    Limit(Limit),
}

/// What was seen of a payload that is no TLS hello and no HTTP request, or that cannot be judged as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// Neither TLS nor HTTP.
    Opaque,
    /// Not a byte, from a client that has ended its stream.
    Silence,
    /// The preface of HTTP/2 without TLS.
    Http2,
    /// HTTP/2 without TLS that is broken, and how.
    BadHttp2(&'static str),
    /// An HTTP/1 request that can be read in two ways, and why.
    BadHttp(&'static str),
    /// An HTTP/1 request whose end does not come.
    UnfinishedHttp,
    /// What may become TLS or HTTP, and does not.
    BeginningOfAny,
    /// What may become a TLS hello, and does not.
    BeginningOfHello,
    /// A TLS hello whose end does not come.
    UnfinishedHello,
    /// A TLS hello that is broken, and how, where that is told.
    MalformedHello(Option<&'static str>),
    /// More TLS hellos than a server asks for.
    OneMoreHello,
    /// A TLS hello behind another, for a name whose server is not the one that was dialled.
    HelloForElsewhere,
    /// Before the server's answer to a TLS hello, something that is no TLS record.
    NoRecord,
    /// Before the server's answer to a TLS hello, a record whose end does not come.
    UnfinishedRecord,
    /// Data behind an offer to upgrade that is not answered, and what of it is too much.
    EarlyData(&'static str),
    /// More than the sandbox may hold at once of what waits to be judged.
    TooMuchUnjudged,
    /// No TLS hello where the kernel looked for one.
    NoHello,
    /// Urgent data before a TLS hello, on the kernel's path.
    UrgentData,
    /// A TLS hello whose packets came in another order, on the kernel's path.
    HelloOutOfOrder,
    /// A TLS hello in packets that the kernel's path does not read.
    HelloInPieces,
    /// A TLS hello in pages that the program may still write to, on the kernel's path.
    HelloInSharedPages,
    /// What may be a request, where the kernel's path lets other protocols pass.
    BeginningOfRequest,
    /// There, too little to tell.
    TooShort,
    /// Packets that this machine changes behind the kernel's path.
    ChangedPackets,
}

/// A limit of a sandbox. Each takes one line, however often it is met.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Connections by the proxy at once.
    Connections,
    /// DNS queries per second.
    QueriesPerSecond,
    /// DNS queries at once.
    QueriesAtOnce,
    /// DNS connections at once.
    DnsConnections,
    /// New names below a domain.
    NewNames(Printable),
    /// Live pins of names at once.
    Pins,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lookup { name, .. } => f.write_str(name),
            Self::Address { protocol, to } => write!(f, "{} {to}", protocol_word(*protocol)),
            Self::Tls { to, server_name: Some(name), .. } => write!(f, "tls {name} at {to}"),
            Self::Tls { to, server_name: None, ech: true } => write!(f, "tls {to}"),
            Self::Tls { to, server_name: None, ech: false } => {
                write!(f, "tls without a server name to {to}")
            }
            Self::Http { to, method, .. } if **method == *"CONNECT" => {
                write!(f, "http CONNECT to tcp {to}")
            }
            Self::Http { to, method, host: None, .. } => {
                write!(f, "http {method} without a host to {to}")
            }
            Self::Http { to, host: Some(host), path: None, .. } => write!(f, "http {host} at {to}"),
            Self::Http { to, method, host: Some(host), path: Some(path) } => {
                write!(f, "http {method} {host}{path} at {to}")
            }
            Self::Payload { to, seen } => seen.fmt_at(*to, f),
            Self::Socket { family, kind, protocol } => socket::fmt(*family, *kind, *protocol, f),
            Self::SocketOption { level, option } => {
                write!(f, "setsockopt level {level} option {option}")
            }
            Self::Packet { protocol, to } => write!(f, "packet of protocol {protocol} to {to}"),
            Self::Device { kind, major, minor, node } => {
                let word = if *kind == kind::BLOCK { "block" } else { "character" };
                write!(f, "{word} device {major}:{minor}")?;
                node.as_ref().map_or(Ok(()), |node| write!(f, " (/dev/{node})"))
            }
            Self::Limit(limit) => limit.fmt(f),
        }
    }
}

impl Seen {
    fn fmt_at(self, to: SocketAddr, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::Opaque => "neither TLS nor HTTP",
            Self::Silence => "nothing",
            Self::Http2 => "HTTP/2 without TLS",
            Self::BadHttp2(why) => return write!(f, "HTTP/2 to tcp {to} ({why})"),
            Self::BadHttp(why) => return write!(f, "http request to tcp {to} ({why})"),
            Self::UnfinishedHttp => "an unfinished HTTP request",
            Self::BeginningOfAny => "the beginning of a TLS hello or HTTP request",
            Self::BeginningOfHello => "the beginning of a TLS hello",
            Self::UnfinishedHello => "an unfinished TLS hello",
            Self::MalformedHello(None) => "a malformed TLS hello",
            Self::MalformedHello(Some(why)) => {
                return write!(f, "a malformed TLS hello ({why}) to tcp {to}");
            }
            Self::OneMoreHello => "one more TLS hello than a server asks for",
            Self::HelloForElsewhere => {
                return write!(f, "a TLS hello for a name that is elsewhere than {to}");
            }
            Self::NoRecord => "no TLS record before the server's answer",
            Self::UnfinishedRecord => "an unfinished TLS record before the server's answer",
            Self::EarlyData(why) => {
                return write!(f, "data before the answer to an upgrade to tcp {to} ({why})");
            }
            Self::TooMuchUnjudged => {
                "the beginning of a request or a hello (too many long ones at once)"
            }
            Self::NoHello => {
                return write!(f, "no TLS hello to tcp {to} (the next one takes the proxy)");
            }
            Self::UrgentData => "urgent data before a TLS hello",
            Self::HelloOutOfOrder => "a TLS hello out of order",
            Self::HelloInPieces => {
                "a TLS hello in pieces (the next one takes the proxy, which reads it)"
            }
            Self::HelloInSharedPages => {
                "a TLS hello in shared pages (the next one takes the proxy, which copies it)"
            }
            Self::BeginningOfRequest => {
                return write!(
                    f,
                    "what may be HTTP to tcp {to} (the next one takes the proxy, which reads it)"
                );
            }
            Self::TooShort => {
                return write!(
                    f,
                    "too little to tell from HTTP to tcp {to} (the next one takes the proxy)"
                );
            }
            Self::ChangedPackets => "packets that this machine changes (all take the proxy now)",
        };
        write!(f, "{what} to tcp {to}")
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connections => {
                f.write_str("connections at once: some had to wait for others to end")
            }
            Self::QueriesPerSecond => f.write_str("DNS queries per second"),
            Self::QueriesAtOnce => f.write_str("DNS queries at once"),
            Self::DnsConnections => f.write_str("DNS connections at once"),
            Self::NewNames(domain) => write!(f, "new names below {domain}"),
            Self::Pins => f.write_str("live pins of names at once"),
        }
    }
}

fn protocol_word(protocol: u16) -> &'static str {
    match i32::from(protocol) {
        libc::IPPROTO_TCP => "tcp",
        libc::IPPROTO_UDP => "udp",
        _ => "other",
    }
}

impl Subject {
    /// A lookup of a name of the policy's kind.
    pub fn lookup(name: &Name, record_type: RecordType) -> Self {
        Self::Lookup { name: name.as_str().into(), record_type }
    }

    /// A TCP connection by its destination alone.
    pub fn tcp(to: SocketAddr) -> Self {
        // A number of eight bits.
        Self::Address { protocol: libc::IPPROTO_TCP as u16, to }
    }

    /// A payload.
    pub fn payload(to: SocketAddr, seen: Seen) -> Self {
        Self::Payload { to, seen }
    }

    /// Where it was to go, where it names an address.
    pub fn to(&self) -> Option<SocketAddr> {
        match self {
            Self::Address { to, .. }
            | Self::Tls { to, .. }
            | Self::Http { to, .. }
            | Self::Payload { to, .. }
            | Self::Packet { to, .. } => Some(*to),
            Self::Lookup { .. }
            | Self::Socket { .. }
            | Self::SocketOption { .. }
            | Self::Device { .. }
            | Self::Limit(_) => None,
        }
    }
}
