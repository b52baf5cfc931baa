//! Direct connections whose first payload the kernel side did not let pass: the same judgement as the
//! proxy's, by the same evidence, so that a refusal has the same reason and remedy on both ways.

use std::net::SocketAddr;

use egress_common::{Reason, hello::Finding};

use super::accept::Transparent;
use crate::{
    clock::boottime_ns,
    judge::Evidence,
    record::{Event, Seen, Subject},
    sniff::Hello,
};

impl Transparent {
    /// Judges what the kernel side found at a connection to `to`, and notes a refusal. `name` is the
    /// server name, where one was read.
    ///
    /// What is refused for another reason than its name can be a good connection in a form that the
    /// kernel side does not read: the next connection to the address takes the proxy, which reads it.
    pub fn direct_refused(&self, to: SocketAddr, finding: Finding, name: Option<String>) {
        self.sandbox.journal.note_attempt(to.port());
        match self.ruling(to, finding, name) {
            Ok(by_name) if by_name => {}
            Ok(_) => self.send_to_proxy(to),
            Err((refused, by_name)) => {
                if !by_name {
                    self.send_to_proxy(to);
                }
                self.sandbox.journal.refused(*refused);
            }
        }
    }

    fn send_to_proxy(&self, to: SocketAddr) {
        tracing::debug!(%to, "next connections take the proxy");
        self.pins().send_to_proxy(self.sink(), to.ip(), boottime_ns());
    }

    /// The refusal, if the proxy would refuse as well, and whether the name alone decides.
    fn ruling(
        &self,
        to: SocketAddr,
        finding: Finding,
        name: Option<String>,
    ) -> Result<bool, (Box<Event>, bool)> {
        if let Some(refused) = self.became_own(to) {
            return Err((refused, true));
        }
        let policy = self.sandbox.policy();
        let evidence = Evidence::gather(&policy, &self.pins(), to, boottime_ns());
        let evidence = evidence.map_err(|refused| (refused, true))?;
        let hello = |ech| Hello { server_name: name.clone(), ech, alpn: Vec::new() };
        let judged = |ech| evidence.judge_hello(&policy, &hello(ech)).map(drop);
        let odd = |seen| Err((evidence.refused(seen, Reason::ProtocolNotAllowed), false));
        match finding {
            Finding::NotPinned | Finding::NoName => match judged(false) {
                Err(refused) => Err((refused, true)),
                // Pinned since, or a rule that the kernel side does not know.
                Ok(()) => Ok(false),
            },
            Finding::Encrypted => judged(true).map_err(|refused| (refused, true)).map(|()| false),
            // It may be HTTP, which the proxy judges by its requests.
            Finding::NotTls => match evidence.judge_opaque(&policy) {
                Ok(_) => Ok(false),
                Err(mut refused) => {
                    refused.subject = Subject::payload(to, Seen::NoHello);
                    Err((refused, false))
                }
            },
            Finding::Malformed => odd(Seen::MalformedHello(None)),
            Finding::Urgent => odd(Seen::UrgentData),
            Finding::OutOfOrder => odd(Seen::HelloOutOfOrder),
            Finding::Incomplete | Finding::Unreadable => odd(Seen::HelloInPieces),
            Finding::Diverted => odd(Seen::ChangedPackets),
            Finding::SharedPages => odd(Seen::HelloInSharedPages),
        }
    }
}
