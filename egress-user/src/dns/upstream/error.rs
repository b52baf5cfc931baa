//! Why there are no name servers.
use std::{net::IpAddr, path::PathBuf};

use hickory_resolver::net::NetError;

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// The system's configuration is cannot be read.
    #[error(
        "read name servers from {path}; write `servers = [\"ADDRESS\"]` under [network.dns] to \
         name your own"
    )]
    System {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: std::io::Error,
    },
    /// An empty list.
    #[error("`servers` under [network.dns] is empty; write \"system\" or an address")]
    Empty,
    /// A server by TLS, and no certificate that the system trusts.
    #[error(
        "no certificate authorities found for DNS servers by tls:// and https:// ({0}); install \
         the package ca-certificates, or set SSL_CERT_FILE"
    )]
    NoRoots(String),
    /// The HTTP client takes no bare IPv6 address for the name of a server.
    #[error(
        "the DNS server https://[{0}] needs the name in its certificate; write \
         `https://[{0}]/dns-query#NAME`"
    )]
    NeedsName(IpAddr),
    /// The client could not be made.
    #[error("make a DNS client")]
    Client(#[source] NetError),
}
