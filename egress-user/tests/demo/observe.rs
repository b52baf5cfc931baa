//! What came of an attempt: from the program's own words, from what `egress` says at its end, and
//! from what the far side saw.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use egress_common::Reason;
use serde_json::Value;

use super::attempts::{Attempt, Outcome};
use super::support::{Finished, World};
use super::table::NO_CAPABILITY;

/// How much the far side, and the client's own service, had seen at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    queries: usize,
    requests: usize,
    own_contacts: usize,
    packets: usize,
    payload: usize,
    ssh_packets: usize,
}

impl Mark {
    pub(crate) fn now(world: &World) -> Mark {
        // The tripwire first: it waits until all that was sent has arrived.
        let arrived = world.arrived().besides_lookups();
        Mark {
            packets: arrived.count(),
            payload: arrived.payload(),
            ssh_packets: arrived.on_port(22).count(),
            queries: world.queries().len(),
            requests: world.requests().len(),
            own_contacts: world.host_contacts().len(),
        }
    }

    /// What arrived since, in a few words; lookups are named where nothing followed them.
    fn arrived_since(&self, world: &World, is_allowed: bool) -> String {
        let now = Mark::now(world);
        let hosts = world.requests().split_off(self.requests).into_iter().map(|asked| asked.host);
        let names = world.queries().split_off(self.queries).into_iter().map(|query| query.name);
        let list = |words: &mut dyn Iterator<Item = String>| {
            words.collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(", ")
        };
        let (hosts, names) = (list(&mut hosts.into_iter()), list(&mut names.into_iter()));
        if !hosts.is_empty() {
            format!("request for {hosts}")
        } else if now.ssh_packets > self.ssh_packets {
            "connection to port 22".to_owned()
        } else if now.own_contacts > self.own_contacts {
            "connection to this machine".to_owned()
        } else if now.payload > self.payload {
            format!("{} bytes", now.payload - self.payload)
        } else if !names.is_empty() {
            format!("lookup of {names}{}", if is_allowed { "" } else { ", 0 bytes" })
        } else if now.packets > self.packets {
            format!("{} packets without payload", now.packets - self.packets)
        } else {
            "nothing".to_owned()
        }
    }
}

/// What came of `attempt`, begun at `mark`.
pub(crate) fn outcome(
    attempt: &Attempt,
    policy: &str,
    finished: &Finished<'_>,
    mark: &Mark,
) -> Outcome {
    let happened = happened(finished);
    let reasons = reasons(&finished.complaints());
    let why = match (reasons.is_empty(), attempt.target) {
        (false, _) => reasons.into_iter().collect::<Vec<_>>().join(", "),
        (true, Some(target)) => rule(policy, target),
        (true, None) if happened == REFUSED => NO_CAPABILITY.to_owned(),
        (true, None) => "egress does not say".to_owned(),
    };
    Outcome { happened, why, arrived: mark.arrived_since(finished.world, attempt.target.is_some()) }
}

const REFUSED: &str = "refused at once";
/// Longer than a run takes on a slow machine, shorter than any of the programs waits for an answer.
const AT_ONCE: Duration = Duration::from_secs(8);
const NO_NAME: &str = "no such name";

/// What the program saw, by its exit code and its words.
fn happened(finished: &Finished<'_>) -> String {
    let (code, text, complaints) = (finished.status.code(), finished.text(), finished.complaints());
    let is = |program: &str| finished.words.iter().any(|word| word == program);
    let in_words = match code {
        _ if complaints.contains("SSH-2.0-") || text.contains("SSH-2.0-") => "the banner",
        _ if text.contains("refs/heads/") => "the branches",
        _ if text.contains("host=") => "the page",
        _ if text.contains("status: NXDOMAIN") => NO_NAME,
        // Before Linux 5.18 every refusal is the first of these.
        _ if text.contains("=> EPERM") || text.contains("=> EPROTONOSUPPORT") => REFUSED,
        Some(0) if is("dig") && !text.trim().is_empty() => "the address",
        // curl(1) and getent(1) have codes for these.
        Some(6) if is("curl") => NO_NAME,
        Some(7) if is("curl") => REFUSED,
        Some(35 | 56) if is("curl") => "connection reset",
        Some(2) if is("getent") => NO_NAME,
        _ => "",
    };
    match (in_words, code) {
        (REFUSED, _) if finished.took > AT_ONCE => "refused late".to_owned(),
        ("", Some(code)) => format!("exit code {code}"),
        ("", None) => "killed".to_owned(),
        _ => in_words.to_owned(),
    }
}

/// The reasons in what `egress run` prints at its end: `  WHAT: REASON ...` below a heading.
fn reasons(complaints: &str) -> BTreeSet<&'static str> {
    let Some((_, summary)) = complaints.split_once("egress: refused:\n") else {
        return BTreeSet::new();
    };
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    summary
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .map(|(_, rest)| rest.split(|c| !is_name(c)).next().unwrap_or(""))
        .filter_map(Reason::from_name)
        .map(Reason::name)
        .collect()
}

/// The rule that `egress check` names for a target.
fn rule(policy: &str, target: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_egress"))
        .args(["check", "--json", "--policy", policy, "--resolve", "*=93.184.216.34", target])
        .output()
        .expect("start egress check");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    format!("rule {}", answer["rule"]["pattern"].as_str().unwrap_or("?"))
}
