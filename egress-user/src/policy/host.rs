//! Hosts: one normaliser for every spelling.
use std::net::IpAddr;

/// A normalised DNS name: A-labels, lower case, no trailing dot.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Box<str>);

impl Name {
    /// Parses any text spelling; addresses are an error here.
    pub fn parse(_text: &str) -> Result<Self, HostError> {
        unimplemented!()
    }
    /// The normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A name or a canonical address (v4-mapped addresses are IPv4).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// A DNS name.
    Name(Name),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Parses a host without a port: section 2.
    pub fn parse(_text: &str) -> Result<Self, HostError> {
        unimplemented!()
    }
    /// Parses `host`, `host:port`, `[v6]:port` (a Host header, a CONNECT target).
    pub fn parse_with_port(_text: &str) -> Result<(Self, Option<u16>), HostError> {
        unimplemented!()
    }
}

/// Why a text is no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HostError(pub String);
