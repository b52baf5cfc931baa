//! Direct connections whose first payload the kernel side did not let pass: the same judgement as the
//! proxy's, by the same evidence, so that a refusal has the same reason and remedy on both ways.

use std::net::SocketAddr;

use egress_common::hello::Finding;

use crate::{
    clock::boottime_ns,
    judge::{Evidence, Ruling},
    sandbox::SandboxState,
};

/// Judges what the kernel side found at a connection to `to`, and notes a refusal. `name` is the server name,
/// where one was read.
///
/// What is refused for another reason than its name can be a good connection in a form that the kernel side
/// does not read: the next connection to the address takes the proxy, which reads it.
pub(crate) fn note(sandbox: &SandboxState, to: SocketAddr, finding: Finding, name: Option<String>) {
    sandbox.journal.note_attempt(to.port());
    let Ruling { refused, by_name } = ruling(sandbox, to, finding, name);
    if !by_name {
        tracing::debug!(%to, "next connections take the proxy");
        sandbox.pins().send_to_proxy(to.ip(), boottime_ns());
    }
    if let Some(refused) = refused {
        sandbox.journal.refused(*refused);
    }
}

fn ruling(
    sandbox: &SandboxState,
    to: SocketAddr,
    finding: Finding,
    name: Option<String>,
) -> Ruling {
    if let Some(refused) = sandbox.became_own(to) {
        return Ruling::by_name(refused);
    }
    let policy = sandbox.policy();
    match Evidence::gather(&policy, sandbox.pins(), to, boottime_ns()) {
        Ok(evidence) => evidence.judge_finding(&policy, finding, name),
        Err(refused) => Ruling::by_name(refused),
    }
}
