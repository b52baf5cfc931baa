//! `egress check`: what the policy says about one target, and why.
pub(super) mod lookup;
mod target;

use std::{fmt::Write, net::IpAddr, process::ExitCode, str::FromStr};

use anyhow::bail;
use clap::Args;
use egress_common::Reason;
use egress_user::{
    config::Assembled,
    policy::{Decision, Host, Payload, Refusal, Request, Rule, Transport},
};
use serde_json::{Value, json};

use self::{
    lookup::{Answers, CheckLookup, RealLookup},
    target::Target,
};
use super::{
    policy_args::{PolicyArgs, describe},
    printable,
};

/// Say whether the policy lets a target be reached, and which rule decides
///
/// Exits with 0 when allowed, 1 when refused, 2 when the policy or the command line is wrong.
/// Needs no root.
#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Answer for the lookup of NAME instead of a real one; NAME may be `*`, and ADDR one of
    /// SERVFAIL, NXDOMAIN, TIMEOUT, EMPTY
    #[arg(long, value_name = "NAME=ADDR[,ADDR]")]
    resolve: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// HTTP method of an http:// or https:// target
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    /// What to judge.
    #[arg(
        value_name = "TARGET",
        help = "host:port, [v6]:port, tcp://host:port, udp://host:port, http://host/path, https://host/path"
    )]
    target: String,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let assembled = match self.policy.read() {
            Ok(assembled) => assembled,
            Err(errors) => bail!(describe(&errors, !self.json)),
        };
        let target = Target::from_str(&self.target)?;
        let mut lookup = if self.resolve.is_empty() {
            CheckLookup::Real(RealLookup::new(assembled.dns.clone()))
        } else {
            CheckLookup::Given(Answers::parse(&self.resolve)?)
        };
        let mut verdict = Verdict::of(&assembled, &target, &mut lookup);
        if self.method.is_some() && verdict.note.is_none() {
            verdict.note =
                Some("rules for methods are not built yet: every method is judged alike");
        }
        let text = if self.json {
            format!("{}\n", verdict.json())
        } else {
            verdict.text(&self.target, &assembled)
        };
        super::print(&text)?;
        Ok(if verdict.refusal.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// A decision with all that is shown of it.
struct Verdict {
    host: String,
    rule: Option<Value>,
    rule_text: Option<String>,
    refusal: Option<Refusal>,
    /// Where it may be dialled; none when refused.
    addresses: Vec<IpAddr>,
    /// What a lookup gave, whatever was made of it.
    looked_up: Vec<IpAddr>,
    note: Option<&'static str>,
}

impl Verdict {
    fn of(assembled: &Assembled, target: &Target, lookup: &mut CheckLookup) -> Self {
        let host = match &target.host {
            Ok(host) => host,
            Err(error) => {
                let fix = format!("write a name or an address: {error}");
                let reason = Reason::InvalidHost;
                return Self::refused(target, Refusal { reason, rule: None, fix: Some(fix) });
            }
        };
        let Target { port, transport, .. } = *target;
        let request = Request { host: host.clone(), port, transport, payload: Payload::Unknown };
        match assembled.policy.decide(&request, lookup) {
            Decision::Allow { grant, addresses } => Self {
                host: host.to_string(),
                rule: Some(rule_json(grant.rule())),
                rule_text: Some(grant.rule().to_string()),
                refusal: None,
                addresses,
                looked_up: lookup.seen().to_vec(),
                note: note(target),
            },
            Decision::Refuse(refusal) => {
                Self { looked_up: lookup.seen().to_vec(), ..Self::refused(target, refusal) }
            }
        }
    }

    fn refused(target: &Target, refusal: Refusal) -> Self {
        Self {
            host: target.host.as_ref().map_or_else(|_| target.host_text.clone(), Host::to_string),
            rule: refusal.rule.as_deref().map(rule_json),
            rule_text: refusal.rule.as_deref().map(Rule::to_string),
            refusal: Some(refusal),
            addresses: Vec::new(),
            looked_up: Vec::new(),
            note: None,
        }
    }

    fn json(&self) -> Value {
        let reason = self.refusal.as_ref().map(|refusal| refusal.reason.name());
        let mut fields = json!({
            "decision": if reason.is_none() { "allow" } else { "deny" },
            "reason": reason,
            "rule": self.rule,
            "host": self.host,
            "addresses": self.addresses,
        });
        if let Some(fix) = self.refusal.as_ref().and_then(|refusal| refusal.fix.as_ref()) {
            fields["fix"] = json!(fix);
        }
        if let Some(note) = self.note {
            fields["note"] = json!(note);
        }
        fields
    }

    fn text(&self, target: &str, assembled: &Assembled) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{label:<10}{value}");
        };
        let decision = if self.refusal.is_none() { "allow" } else { "deny" };
        line(decision, &printable(target));
        if let Some(refusal) = &self.refusal {
            line("reason", &format!("{}: {}", refusal.reason.name(), refusal.reason.text()));
        }
        line("rule", self.rule_text.as_deref().unwrap_or("none"));
        line("host", &printable(&self.host));
        let list = |addresses: &[IpAddr]| {
            addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
        };
        match (&self.refusal, self.addresses.as_slice(), self.looked_up.as_slice()) {
            (None, addresses, _) => line("addresses", &list(addresses)),
            (Some(_), _, []) => {}
            (Some(_), _, looked_up) => line("looked up", &list(looked_up)),
        }
        if let Some(fix) = self.refusal.as_ref().and_then(|refusal| refusal.fix.as_ref()) {
            line("to change", &printable(fix));
        }
        if let Some(note) = self.note {
            line("note", note);
        }
        for warning in &assembled.warnings {
            line("warning", &warning.to_string());
        }
        text
    }
}

fn rule_json(rule: &Rule) -> Value {
    json!({
        "pattern": rule.text,
        "file": &*rule.origin.file,
        "line": rule.origin.line,
        "layer": rule.origin.layer.as_str(),
    })
}

/// Where the policy allows more than this version forwards.
fn note(target: &Target) -> Option<&'static str> {
    match (target.transport, target.port) {
        (_, 53) => {
            Some("queries to port 53 are answered by the DNS proxy, whatever server is asked")
        }
        (Transport::Udp, _) => Some(
            "this version forwards no UDP but DNS: egress run refuses it, whatever the policy says",
        ),
        (Transport::Tcp, _) => None,
    }
}
