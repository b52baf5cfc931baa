//! TLS hellos: whom they are for.

use egress_common::Reason;

use super::evidence::{Admitted, Evidence};
use crate::{
    policy::{Host, LABEL_LIMIT_BYTES, NAME_LIMIT_BYTES, Payload, Policy, Refusal},
    record::{Event, Subject},
    sniff::{Hello, tls},
};

// What is read as a server name is a name of the policy's.
const _: () = assert!(tls::NAME_LIMIT_BYTES == NAME_LIMIT_BYTES);
const _: () = assert!(tls::LABEL_LIMIT_BYTES == LABEL_LIMIT_BYTES);

impl Evidence {
    /// Judges a TLS hello.
    pub(crate) fn judge_hello(
        &self,
        policy: &Policy,
        hello: &Hello,
    ) -> Result<Admitted, Box<Event>> {
        self.hello(policy, hello)
            .map_err(|refusal| self.refused_by(self.hello_subject(hello), refusal))
    }

    /// A TLS hello to the original destination.
    pub(crate) fn hello_subject(&self, hello: &Hello) -> Subject {
        let server_name = hello.server_name.as_deref().map(Into::into);
        Subject::Tls { to: self.target(), server_name, ech: hello.ech }
    }

    fn hello(&self, policy: &Policy, hello: &Hello) -> Result<Admitted, Refusal> {
        let payload = if hello.ech { Payload::TlsWithEch } else { Payload::Tls };
        let Some(text) = &hello.server_name else {
            self.judge_unnamed(Reason::SniMismatch)?;
            return self.judge_payload(policy, None, &payload);
        };
        let Ok(host) = Host::parse(text) else { return Err(Refusal::new(Reason::InvalidHost)) };
        let name = self.judge_host(policy, &host, Reason::SniMismatch)?;
        self.judge_payload(policy, Some((host, name)), &payload)
    }
}

#[cfg(test)]
mod tests;
