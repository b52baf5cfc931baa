//! The ways from client to server that are compared.
use std::net::SocketAddr;

use super::load::via::Via;

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Direct,
    EgressKernel,
    EgressProxy,
    Squid,
    Haproxy,
    Nginx,
    Tinyproxy,
    Redsocks,
}

impl Variant {
    pub(crate) const ALL: [Self; 8] = [
        Self::Direct,
        Self::EgressKernel,
        Self::EgressProxy,
        Self::Squid,
        Self::Haproxy,
        Self::Nginx,
        Self::Tinyproxy,
        Self::Redsocks,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::EgressKernel => "egress, kernel path",
            Self::EgressProxy => "egress, proxy path",
            Self::Squid => "squid CONNECT",
            Self::Haproxy => "haproxy TCP",
            Self::Nginx => "nginx stream",
            Self::Tinyproxy => "tinyproxy CONNECT",
            Self::Redsocks => "redsocks + squid",
        }
    }

    /// Its colour in plots, red, green, blue: egress in strong ones.
    pub(crate) fn colour(self) -> (u8, u8, u8) {
        match self {
            Self::Direct => (60, 60, 60),
            Self::EgressKernel => (200, 60, 20),
            Self::EgressProxy => (240, 150, 60),
            Self::Squid => (40, 90, 150),
            Self::Haproxy => (90, 160, 120),
            Self::Nginx => (130, 190, 70),
            Self::Tinyproxy => (160, 110, 180),
            Self::Redsocks => (110, 170, 210),
        }
    }

    /// The program and the words that make it tell its version.
    pub(crate) fn version(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Direct | Self::EgressKernel | Self::EgressProxy => None,
            Self::Squid => Some(("squid", "-v")),
            Self::Haproxy => Some(("haproxy", "-v")),
            Self::Nginx => Some(("nginx", "-v")),
            Self::Tinyproxy => Some(("tinyproxy", "-v")),
            Self::Redsocks => Some(("redsocks", "-v")),
        }
    }

    /// The path that a rule of egress asks for.
    pub(crate) fn path(self) -> Option<&'static str> {
        match self {
            Self::EgressKernel => Some("kernel"),
            Self::EgressProxy => Some("proxy"),
            _ => None,
        }
    }

    pub(crate) fn via(self) -> Via {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        match self {
            // redsocks gets what the kernel redirects.
            Self::Direct | Self::EgressKernel | Self::EgressProxy | Self::Redsocks => Via::Target,
            Self::Squid => Via::Connect(at(3128)),
            Self::Tinyproxy => Via::Connect(at(8888)),
            Self::Haproxy => Via::Forward(at(9443)),
            Self::Nginx => Via::Forward(at(9444)),
        }
    }

    /// What has to run for it, in this order.
    pub(crate) fn servers(self) -> &'static [Server] {
        match self {
            Self::Direct | Self::EgressKernel | Self::EgressProxy => &[],
            Self::Squid => &[SQUID],
            Self::Haproxy => &[HAPROXY],
            Self::Nginx => &[NGINX],
            Self::Tinyproxy => &[TINYPROXY],
            Self::Redsocks => &[SQUID, REDSOCKS],
        }
    }
}

/// A server of a peer's, with its best documented settings.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Server {
    /// The configuration's file, and its text.
    pub(crate) file: &'static str,
    pub(crate) config: &'static str,
    /// Program and words; `CONFIG` and `FOLDER` stand for paths.
    pub(crate) words: &'static [&'static str],
    /// Where it listens, on loopback.
    pub(crate) port: u16,
    /// A ruleset of nft(8) that leads connections to it.
    pub(crate) redirect: Option<&'static str>,
}

const SQUID: Server = Server {
    file: "squid.conf",
    config: include_str!("squid.conf"),
    words: &["squid", "-N", "-f", "CONFIG"],
    port: 3128,
    redirect: None,
};
const HAPROXY: Server = Server {
    file: "haproxy.cfg",
    config: include_str!("haproxy.cfg"),
    words: &["haproxy", "-f", "CONFIG"],
    port: 9443,
    redirect: None,
};
const NGINX: Server = Server {
    file: "nginx.conf",
    config: include_str!("nginx.conf"),
    words: &["nginx", "-e", "stderr", "-p", "FOLDER", "-c", "CONFIG"],
    port: 9444,
    redirect: None,
};
const TINYPROXY: Server = Server {
    file: "tinyproxy.conf",
    config: include_str!("tinyproxy.conf"),
    words: &["tinyproxy", "-d", "-c", "CONFIG"],
    port: 8888,
    redirect: None,
};
const REDSOCKS: Server = Server {
    file: "redsocks.conf",
    config: include_str!("redsocks.conf"),
    words: &["redsocks", "-c", "CONFIG"],
    port: 12345,
    redirect: Some(include_str!("redirect.nft")),
};
