//! What a connection shows, put to the policy, with the decision noted: refusals by whoever ends the connection,
//! what may pass here.

use egress_common::Reason;

use super::connection::Connection;
use crate::{
    judge::{Admitted, Evidence},
    policy::{Name, Policy},
    record::{Event, Journal, Seen, Subject},
    sniff::{Hello, RequestHead},
};

/// What one connection is judged by. Of what may pass it gives the name that it is for, where there is evidence
/// of one.
#[derive(Clone, Copy)]
pub(super) struct Judging<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) policy: &'a Policy,
    pub(super) journal: &'a Journal,
}

impl Connection<'_> {
    /// What its payloads are judged by.
    pub(super) fn judging(&self) -> Judging<'_> {
        let journal = &self.proxy.sandbox.journal;
        Judging { evidence: &self.evidence, policy: &self.policy, journal }
    }
}

impl Judging<'_> {
    pub(super) fn hello(self, hello: &Hello) -> Result<Option<Name>, Box<Event>> {
        let admitted = self.evidence.judge_hello(self.policy, hello)?;
        Ok(self.admit(admitted, || self.evidence.hello_subject(hello)))
    }

    pub(super) fn request(self, head: &RequestHead) -> Result<Option<Name>, Box<Event>> {
        let admitted = self.evidence.judge_request(self.policy, head)?;
        Ok(self.admit(admitted, || self.evidence.request_subject(head)))
    }

    pub(super) fn opaque(self) -> Result<Option<Name>, Box<Event>> {
        let admitted = self.evidence.judge_opaque(self.policy)?;
        Ok(self.admit(admitted, || self.payload(Seen::Opaque)))
    }

    /// Of a client of HTTP/2: each of its requests is judged by itself.
    pub(super) fn http2(self) -> Result<(), Box<Event>> {
        self.evidence.judge_http2(self.policy)
    }

    /// The refusal of a client that would have more held for it than there is room for.
    pub(super) fn too_much_unjudged(self) -> Box<Event> {
        self.evidence.refused(Seen::TooMuchUnjudged, Reason::RateLimited)
    }

    /// Notes that a payload may pass of which the policy was asked before.
    pub(super) fn passes(self, seen: Seen) {
        self.journal.allowed(|| self.evidence.admits(self.payload(seen), None));
    }

    fn admit(
        self,
        Admitted { name, rule }: Admitted,
        subject: impl FnOnce() -> Subject,
    ) -> Option<Name> {
        self.journal.allowed(|| self.evidence.admits(subject(), rule));
        name
    }

    fn payload(self, seen: Seen) -> Subject {
        Subject::payload(self.evidence.target(), seen)
    }
}

#[cfg(test)]
mod tests;
