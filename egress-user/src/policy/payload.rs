//! What a connection carries, and whether a rule lets it pass (rows 5 and 11).
use egress_common::Reason;

use super::{Ech, HTTP_PORTS, Mode, Rule, Settings, TLS_PORTS, Transport, path};

/// Methods that `mode = "limited"` lets pass.
pub const LIMITED_METHODS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

/// What is known of the bytes of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Payload {
    /// Nothing but the port.
    #[default]
    Unknown,
    /// TLS, which hides methods and paths.
    Tls,
    /// TLS whose hello has another one in it, encrypted or for show, with a name of its own.
    TlsWithEch,
    /// A request of plain HTTP.
    Http(HttpRequest),
    /// Neither: nothing in it can be judged.
    Opaque,
}

/// A request of plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Case-sensitive.
    pub method: Box<str>,
    /// As sent, with the query or without.
    pub path: Box<str>,
}

impl Rule {
    /// Whether requests have to be read before they may pass.
    pub fn reads_requests(&self, mode: Mode) -> bool {
        mode == Mode::Limited || self.options.methods.is_some() || self.options.paths.is_some()
    }

    /// Whether Encrypted ClientHello passes by it.
    pub fn allows_ech(&self, settings: &Settings) -> bool {
        self.options.ech.map_or(settings.allow_ech, |ech| ech == Ech::Allow)
    }

    /// Rows 5, 10 (as far as ECH goes) and 11 for a port and transport that the rule opens.
    pub(super) fn judge_payload(
        &self,
        settings: &Settings,
        port: u16,
        transport: Transport,
        payload: &Payload,
    ) -> Result<(), Reason> {
        let mode = settings.mode;
        if !self.reads_requests(mode) {
            let is_hidden = *payload == Payload::TlsWithEch && !self.allows_ech(settings);
            return if is_hidden { Err(Reason::EchRefused) } else { Ok(()) };
        }
        match payload {
            _ if transport == Transport::Udp => Err(Reason::ProtocolNotAllowed),
            Payload::Http(request) => self.judge_request(mode, request),
            Payload::Tls | Payload::TlsWithEch => Err(Reason::InspectionRequired),
            Payload::Unknown if TLS_PORTS.contains(&port) => Err(Reason::InspectionRequired),
            // Each request is judged when it comes.
            Payload::Unknown if HTTP_PORTS.contains(&port) => Ok(()),
            Payload::Unknown | Payload::Opaque => Err(Reason::ProtocolNotAllowed),
        }
    }

    fn judge_request(&self, mode: Mode, request: &HttpRequest) -> Result<(), Reason> {
        let HttpRequest { method, path } = request;
        if mode == Mode::Limited && !LIMITED_METHODS.contains(&&**method) {
            return Err(Reason::MethodNotAllowed);
        }
        if self.options.methods.as_ref().is_some_and(|methods| !methods.contains(method)) {
            return Err(Reason::MethodNotAllowed);
        }
        match &self.options.paths {
            Some(prefixes) if !path::is_covered(prefixes, path) => Err(Reason::PathNotAllowed),
            Some(_) | None => Ok(()),
        }
    }
}
