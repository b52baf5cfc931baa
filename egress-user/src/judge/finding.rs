//! What the kernel side found at a direct connection: the same verdict as the proxy's, by the same evidence, so that
//! a refusal has the same reason and remedy on both ways.

use egress_common::{Reason, hello::Finding};

use super::evidence::Evidence;
use crate::{
    policy::Policy,
    record::{Event, Seen, Subject},
    sniff::Hello,
};

/// What a direct connection that is ended is told as.
#[derive(Debug)]
pub(crate) struct Ruling {
    /// The refusal; none of a name that passes by now.
    pub(crate) refused: Option<Box<Event>>,
    /// The name alone decides. Else it can be a good connection in a form that the kernel side does not read: the
    /// next connection to the address is to take the proxy, which reads it.
    pub(crate) by_name: bool,
}

impl Evidence {
    /// Judges what the kernel side found. `name` is the server name, where one was read.
    pub(crate) fn judge_finding(
        &self,
        policy: &Policy,
        finding: Finding,
        name: Option<String>,
    ) -> Ruling {
        let hello = |ech| Hello { server_name: name, ech };
        let odd = |seen| {
            let refused = Some(self.refused(seen, Reason::ProtocolNotAllowed));
            Ruling { refused, by_name: false }
        };
        match finding {
            Finding::NotPinned | Finding::NoName => {
                self.judge_hello(policy, &hello(false)).map_or_else(Ruling::by_name, |_| {
                    // Pinned since, or a rule that the kernel side does not know.
                    Ruling { refused: None, by_name: false }
                })
            }
            Finding::Encrypted => self
                .judge_hello(policy, &hello(true))
                .map_or_else(Ruling::by_name, |_| Ruling { refused: None, by_name: false }),
            // It may be HTTP, which the proxy judges by its requests.
            Finding::NotTls => match self.judge_opaque(policy) {
                // Ended all the same, and not without a word.
                Ok(_) => odd(Seen::NoHello),
                Err(mut refused) => {
                    refused.subject = Subject::payload(self.target(), Seen::NoHello);
                    Ruling { refused: Some(refused), by_name: false }
                }
            },
            Finding::Malformed => odd(Seen::MalformedHello(None)),
            Finding::Urgent => odd(Seen::UrgentData),
            Finding::OutOfOrder => odd(Seen::HelloOutOfOrder),
            Finding::Incomplete | Finding::Unreadable => odd(Seen::HelloInPieces),
            Finding::Request => odd(Seen::BeginningOfRequest),
            Finding::Undecided => odd(Seen::TooShort),
            Finding::Diverted => odd(Seen::ChangedPackets),
            Finding::SharedPages => odd(Seen::HelloInSharedPages),
        }
    }
}

impl Ruling {
    /// A refusal that the proxy would repeat.
    pub(crate) fn by_name(refused: Box<Event>) -> Self {
        Self { refused: Some(refused), by_name: true }
    }
}

#[cfg(test)]
mod tests;
