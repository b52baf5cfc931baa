//! Which way a connection's bytes take: straight out, the kernel judging its first payload, or
//! through the proxy.

use std::{fmt, net::IpAddr};

use super::{
    HTTP_PORTS, Host, MatchedRules, Mode, OpaquePort, Payload, Policy, Request, Route, TLS_PORTS,
    Transport, opaque_port,
};

/// Why a connection takes its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteReason {
    /// Straight out: TLS is expected on the port.
    TlsPort(u16),
    /// Straight out: HTTP is not expected on the port.
    OpaquePort(&'static OpaquePort),
    /// A rule says so.
    Rule(Route),
    /// By the proxy: HTTP is expected on the port.
    HttpPort(u16),
    /// By the proxy: HTTP may be spoken on the port.
    OtherPort(u16),
    /// By the proxy: a rule lets other protocols than TLS pass on a port of TLS.
    AnyProtocol,
    /// By the proxy: a rule has a word of its own on Encrypted ClientHello.
    Ech,
    /// By the proxy: methods or paths are asked for, or the mode is limited.
    ReadsRequests,
    /// By the proxy: it is a request of plain HTTP.
    Request,
    /// By the proxy: the address is opened by itself, so that names may be named there that nobody looked up.
    OpenAddress,
    /// By the proxy: the address is this machine's own.
    ThisMachine,
}

impl Policy {
    /// The way of a target that is allowed, at these addresses, and why. Another name of the same address may
    /// still need the proxy, and then all of them take it.
    pub fn route(
        &self,
        request: &Request,
        grant: &MatchedRules,
        addresses: &[IpAddr],
    ) -> (Route, RouteReason) {
        let proxy = |why| (Route::Proxy, why);
        // What a rule for the address, or `*`, lets pass names nobody, or names that no pin knows.
        let is_open = |address: &IpAddr| {
            self.address(*address).is_ok_and(|own| own.opens(request.port, Transport::Tcp))
        };
        if addresses.iter().any(|address| self.is_this_machine(*address)) {
            return proxy(RouteReason::ThisMachine);
        }
        if !matches!(request.host, Host::Name(_)) || addresses.iter().any(is_open) {
            return proxy(RouteReason::OpenAddress);
        }
        match request.payload {
            Payload::Http(_) => proxy(RouteReason::Request),
            Payload::TlsWithEch => proxy(RouteReason::Ech),
            Payload::Unknown | Payload::Tls | Payload::Opaque => {
                grant.route(self.settings().mode, request.port)
            }
        }
    }
}

impl MatchedRules {
    /// The way that connections to a name's address take on a TCP port that the lines open, as far as they say,
    /// and why.
    pub fn route(&self, mode: Mode, port: u16) -> (Route, RouteReason) {
        let opening = || self.opening(port, Transport::Tcp);
        let written = |route| opening().any(|rule| rule.options.via == Some(route));
        let proxy = |why| (Route::Proxy, why);
        if HTTP_PORTS.contains(&port) {
            return proxy(RouteReason::HttpPort(port));
        }
        if written(Route::Proxy) {
            return proxy(RouteReason::Rule(Route::Proxy));
        }
        if mode == Mode::Limited || self.reads_requests(mode, port) {
            return proxy(RouteReason::ReadsRequests);
        }
        // To the kernel side ECH is a matter of the sandbox, not of a name.
        if opening().any(|rule| rule.options.ech.is_some()) {
            return proxy(RouteReason::Ech);
        }
        match opaque_port(port) {
            _ if written(Route::Kernel) => (Route::Kernel, RouteReason::Rule(Route::Kernel)),
            Some(port) => (Route::Kernel, RouteReason::OpaquePort(port)),
            None if !TLS_PORTS.contains(&port) => proxy(RouteReason::OtherPort(port)),
            None if self.any_protocol(port) => proxy(RouteReason::AnyProtocol),
            None => (Route::Kernel, RouteReason::TlsPort(port)),
        }
    }
}

/// `port 5432 is PostgreSQL's`, as a clause.
impl fmt::Display for RouteReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TlsPort(port) => write!(f, "port {port} is of TLS, whose server name is read"),
            Self::OpaquePort(OpaquePort { port, protocol, begins }) => {
                write!(f, "port {port} is of {protocol}: {begins}")
            }
            Self::Rule(route) => write!(f, "its rule says via = \"{}\"", route.as_str()),
            Self::HttpPort(port) => write!(f, "port {port} is of HTTP, whose requests are read"),
            Self::OtherPort(port) => write!(f, "HTTP may be spoken on port {port}"),
            Self::AnyProtocol => f.write_str("its rule says protocol = \"any\" on a port of TLS"),
            Self::Ech => f.write_str("Encrypted ClientHello is judged by its rule"),
            Self::ReadsRequests => f.write_str("its requests are read"),
            Self::Request => f.write_str("a request is read"),
            Self::OpenAddress => {
                f.write_str("the address is open by itself, whatever is named there")
            }
            Self::ThisMachine => f.write_str("the address is this machine's own"),
        }
    }
}
