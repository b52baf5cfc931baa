//! HTTP requests, and payloads that are neither those nor TLS.

use egress_common::Reason;

use super::evidence::{Admitted, Evidence, Named};
use crate::{
    policy::{Host, HttpRequest, Mode, Payload, Policy, Refusal},
    record::{Event, Seen, Subject},
    sniff::RequestHead,
};

impl Evidence {
    /// Judges one request by its Host. CONNECT is for proxies: to an origin it would open a tunnel
    /// whose target nobody judged.
    pub(crate) fn judge_request(
        &self,
        policy: &Policy,
        head: &RequestHead,
    ) -> Result<Admitted, Box<Event>> {
        if head.is_connect() {
            let refusal = Refusal::new(Reason::ProtocolNotAllowed);
            return Err(self.refused_by(self.request_subject(head), refusal));
        }
        let Some(text) = head.host.as_deref() else {
            return self
                .judge_without_host(policy)
                .and_then(|named| self.judge_payload(policy, named, &self.carried(policy, head)))
                .map_err(|refusal| self.refused_by(self.request_subject(head), refusal));
        };
        let by_host = |refusal| {
            // Its path had no part in it.
            let mut subject = self.request_subject(head);
            if let Subject::Http { path, .. } = &mut subject {
                *path = None;
            }
            self.refused_by(subject, refusal)
        };
        let Ok((host, _)) = Host::parse_with_port(text) else {
            return Err(by_host(Refusal::new(Reason::InvalidHost)));
        };
        let name = self.judge_host(policy, &host, Reason::HostMismatch).map_err(by_host)?;
        self.judge_payload(policy, Some((host, name)), &self.carried(policy, head))
            .map_err(|refusal| self.refused_by(self.request_subject(head), refusal))
    }

    /// Whom a request of HTTP/1.0 is for that says no host: where one name alone vouches for the
    /// connection, the server's only site that the program can mean.
    fn judge_without_host(&self, policy: &Policy) -> Result<Option<Named>, Refusal> {
        let Some(name) = self.only_name() else {
            return self.judge_unnamed(Reason::HostMismatch).map(|()| None);
        };
        let host = Host::Name(name.clone());
        let name = self.judge_host(policy, &host, Reason::HostMismatch)?;
        Ok(Some((host, name)))
    }

    /// A request to the original destination.
    pub(crate) fn request_subject(&self, head: &RequestHead) -> Subject {
        Subject::Http {
            to: self.target(),
            method: head.method.as_str().into(),
            host: head.host.as_deref().map(Into::into),
            path: Some(shortened(&head.path).into()),
        }
    }

    /// Judges a payload that is neither TLS nor HTTP.
    pub(crate) fn judge_opaque(&self, policy: &Policy) -> Result<Admitted, Box<Event>> {
        let judged = if !self.is_web() || self.any_protocol() {
            self.judge_payload(policy, None, &Payload::Opaque)
        } else {
            let remedy = self.any_protocol_remedy();
            Err(Refusal { remedy, ..Refusal::new(Reason::ProtocolNotAllowed) })
        };
        let subject = || Subject::payload(self.target(), Seen::Opaque);
        judged.map_err(|refusal| self.refused_by(subject(), refusal))
    }

    /// Judges a client of HTTP/2 without TLS before its requests, each of which is judged then:
    /// limited mode reads none of them.
    pub(crate) fn judge_http2(&self, policy: &Policy) -> Result<(), Box<Event>> {
        if policy.settings().mode != Mode::Limited {
            return Ok(());
        }
        let subject = || Subject::payload(self.target(), Seen::Http2);
        self.judge_payload(policy, None, &Payload::Opaque)
            .map(drop)
            .map_err(|refusal| self.refused_by(subject(), refusal))
    }

    /// Whether [`Self::judge_opaque`] lets such a payload pass.
    pub(crate) fn passes_opaque(&self, policy: &Policy) -> bool {
        (!self.is_web() || self.any_protocol())
            && self.judge_payload(policy, None, &Payload::Opaque).is_ok()
    }

    fn carried(&self, policy: &Policy, head: &RequestHead) -> Payload {
        // Another protocol would follow, in which nothing can be judged.
        if may_upgrade(head) && self.reads_requests(policy) {
            return Payload::Opaque;
        }
        let (method, path) = (head.method.as_str().into(), head.path.as_str().into());
        Payload::Http(HttpRequest { method, path })
    }
}

/// A path as the summary shows it: queries may hold what is nobody's business, and paths anything.
fn shortened(path: &str) -> String {
    const SHOWN: usize = 60;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    match path.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}...", path.get(..at).unwrap_or_default()),
        None => path.to_owned(),
    }
}

/// Whether the request offers to upgrade, to what may pass. h2c would carry later requests that nobody
/// judges, and TLS (RFC 2817) a server name: there the offer is withdrawn, and the server answers in HTTP/1.
pub(crate) fn may_upgrade(head: &RequestHead) -> bool {
    head.upgrade.as_deref().is_some_and(|offer| {
        !offer.split(',').any(|protocol| {
            let name = protocol.trim().split('/').next().unwrap_or_default();
            ["h2c", "h2", "tls"].iter().any(|never| name.eq_ignore_ascii_case(never))
        })
    })
}
