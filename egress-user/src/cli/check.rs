//! `egress check`: what the policy says about one target, and why.
pub(super) mod lookup;

use std::{fmt::Write, net::IpAddr, process::ExitCode, str::FromStr};

use anyhow::bail;
use clap::Args;
use egress_common::Reason;
use egress_user::{
    config::{Assembled, resolve_links},
    dns::{RESOLV_CONF, search_domains},
    own,
    policy::{Host, Layer, Name, Origin, Payload, Policy, Transport},
    record::Advice,
    target::{Line, NetworkTarget, Target, Verdict, judge},
};
use serde_json::{Value, json};

use self::lookup::{Answers, CheckLookup, RealLookup};
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
    /// SERVFAIL, NXDOMAIN, TIMEOUT, EMPTY; of one family alone: A:SERVFAIL, AAAA:TIMEOUT
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
        help = "host:port, [v6]:port, tcp://host:port, udp://host:port, http://host/path, https://host/path, unix:/path, unix:@name"
    )]
    target: String,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let target = self.target()?;
        let assembled = match self.policy.read() {
            Ok(assembled) => assembled,
            Err(errors) => bail!(describe(&errors, !self.json)),
        };
        let mut lookup = if self.resolve.is_empty() {
            CheckLookup::Real(RealLookup::new(assembled.dns.clone()))
        } else {
            CheckLookup::Given(Answers::parse(&self.resolve)?)
        };
        // What `egress run` would know. Without any network to speak of (`--resolve` in a container) as well.
        let unread = match own::read() {
            Ok(own) => {
                assembled.policy.set_own_addresses(own);
                None
            }
            Err(error) => Some(error),
        };
        assembled.policy.set_search_domains(search_domains(RESOLV_CONF.as_ref()));
        let mut shown = Shown::of(&assembled, &target, &mut lookup);
        shown.notes.extend(unread.map(|error| {
            format!(
                "the machine's own addresses cannot be read ({error}): they are judged as anybody's"
            )
        }));
        let text = if self.json {
            super::json_text(&shown.json(), false)?
        } else {
            shown.text(&self.target, &assembled)
        };
        super::print(&text)?;
        Ok(if shown.verdict.is_allow() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }

    /// What to judge, with the method that the command line gives.
    fn target(&self) -> anyhow::Result<Target> {
        let mut target = Target::from_str(&self.target)?;
        match (&mut target, &self.method) {
            (
                Target::Network(NetworkTarget { payload: Payload::Http(request), .. }),
                Some(method),
            ) => {
                request.method = method.as_str().into();
            }
            // TLS hides it, and what hides it is judged so.
            (Target::Network(NetworkTarget { payload: Payload::Tls, .. }), Some(_)) | (_, None) => {
            }
            (_, Some(_)) => bail!("--method is of http:// and https:// targets"),
        }
        Ok(match target {
            Target::Unix(address) => Target::Unix(resolve_links(address)),
            target => target,
        })
    }
}

/// A decision with all that is shown of it.
struct Shown {
    verdict: Verdict,
    host: String,
    evidence: Option<&'static str>,
    /// What a lookup gave, whatever was made of it.
    looked_up: Vec<IpAddr>,
    notes: Vec<String>,
    /// Why `egress run` of this version does otherwise.
    unheld: Option<String>,
    /// The port that was asked for.
    port: Option<u16>,
}

impl Shown {
    fn of(assembled: &Assembled, target: &Target, lookup: &mut CheckLookup) -> Self {
        let verdict = judge(&assembled.policy, target, lookup);
        let host = match target {
            Target::Unix(address) => address.to_string(),
            Target::Network(target) => {
                target.host.as_ref().map_or_else(|_| target.host_text.clone(), Host::to_string)
            }
        };
        let mut notes = Vec::new();
        if verdict.is_allow() {
            notes.extend(note(target).map(str::to_owned));
        }
        notes.extend(lookup.note());
        let not_built = assembled.not_built.iter();
        notes.extend(not_built.map(|line| format!("egress run refuses this policy: {line}")));
        let evidence = target.evidence();
        let unheld = unheld(target, verdict.is_allow(), !assembled.not_built.is_empty());
        let mut unheld = unheld.map(str::to_owned);
        if let Some((long, rule)) = completed(&assembled.policy, &verdict, target, lookup) {
            notes.push(format!(
                "programs that complete short names by the search domains of {RESOLV_CONF} look up {long}, \
                 which {rule} allows, and may then say {host}"
            ));
            unheld =
                unheld.or_else(|| Some(format!("completed to {long} it is allowed: see the note")));
        }
        let port = match target {
            Target::Network(target) => Some(target.port),
            Target::Unix(_) => None,
        };
        let looked_up = lookup.seen().to_vec();
        Self { verdict, host, evidence, looked_up, notes, unheld, port }
    }

    fn json(&self) -> Value {
        let reason = self.verdict.reason.map(Reason::name);
        let mut fields = json!({
            "decision": if reason.is_none() { "allow" } else { "deny" },
            "reason": reason,
            "rule": self.verdict.line.as_ref().map(line_json),
            "host": self.host,
            "evidence": self.evidence,
            "addresses": self.verdict.addresses,
        });
        if let Some(remedy) = &self.verdict.remedy {
            fields["fix"] = json!(Advice::new(remedy, self.port).to_string());
        }
        if let Some((route, why)) = self.verdict.route {
            fields["via"] = json!(route.as_str());
            fields["via_reason"] = json!(why.to_string());
        }
        if !self.notes.is_empty() {
            fields["note"] = json!(self.notes.join("; "));
        }
        fields
    }

    fn text(&self, target: &str, assembled: &Assembled) -> String {
        let mut text = String::new();
        let mut line = |label: &str, value: &str| {
            // Writing to a String does not fail.
            let _ = writeln!(text, "{label:<10}{}", printable(value));
        };
        let what = match &self.unheld {
            Some(unheld) => format!("{target} ({unheld})"),
            None => target.to_owned(),
        };
        line(if self.verdict.is_allow() { "allow" } else { "deny" }, &what);
        if let Some(reason) = self.verdict.reason {
            line("reason", &format!("{}: {}", reason.name(), reason.text()));
        }
        let rule = self.verdict.line.as_ref().map(described);
        line("rule", rule.as_deref().unwrap_or("none"));
        line("host", &self.host);
        if let Some(evidence) = self.evidence {
            line("evidence", evidence);
        }
        if let Some((route, why)) = self.verdict.route {
            line("via", &format!("{} ({why})", route.as_str()));
        }
        let list = |addresses: &[IpAddr]| {
            addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
        };
        match (self.verdict.addresses.as_slice(), self.looked_up.as_slice()) {
            ([], []) => {}
            ([], looked_up) => line("looked up", &list(looked_up)),
            (addresses, _) => line("addresses", &list(addresses)),
        }
        if let Some(remedy) = &self.verdict.remedy {
            line("to change", &Advice::new(remedy, self.port).to_string());
        }
        for note in &self.notes {
            line("note", note);
        }
        for warning in &assembled.warnings {
            line("warning", &warning.to_string());
        }
        text
    }
}

/// The line that decides; profile and preset where it has them.
fn line_json(line: &Line) -> Value {
    let Origin { file, line: number, layer, profile, preset } = line.origin();
    let mut fields = json!({
        "pattern": line.text(),
        "file": &**file,
        "line": number,
        "layer": layer.as_str(),
    });
    for (key, value) in [("profile", profile), ("preset", preset)] {
        if let Some(value) = value {
            fields[key] = json!(&**value);
        }
    }
    fields
}

fn described(line: &Line) -> String {
    let mut text = line.to_string();
    let Origin { layer, profile, preset, .. } = line.origin();
    if *layer != Layer::User {
        text.push_str(&format!(", {}", layer.as_str()));
    }
    for (what, name) in [("profile", profile), ("preset", preset)] {
        if let Some(name) = name {
            text.push_str(&format!(", {what} {name}"));
        }
    }
    text
}

/// Of a refused short name, the one that a search domain makes of it and that is allowed as it stands, with the
/// line that allows it.
fn completed(
    policy: &Policy,
    verdict: &Verdict,
    target: &Target,
    lookup: &mut CheckLookup,
) -> Option<(Name, Line)> {
    let Target::Network(NetworkTarget { host: Ok(Host::Name(name)), .. }) = target else {
        return None;
    };
    // A deny of the short name closes it, whatever it stands for.
    (!verdict.is_allow() && verdict.reason != Some(Reason::Denied)).then_some(())?;
    policy.search_domains().completed(name).into_iter().find_map(|long| {
        let mut target = target.clone();
        if let Target::Network(target) = &mut target {
            target.host = Ok(Host::Name(long.clone()));
        }
        let verdict = judge(policy, &target, lookup);
        let passes = verdict.is_allow() && policy.short_forms(&long).contains(name);
        Some((long, verdict.line?)).filter(|_| passes)
    })
}

/// Where `egress run` of this version does not do as the policy says, for the first line.
fn unheld(target: &Target, is_allowed: bool, refuses_policy: bool) -> Option<&'static str> {
    match target {
        _ if refuses_policy => Some("egress run refuses this policy: see the notes"),
        Target::Unix(_) if !is_allowed => Some("egress run does not hold this yet"),
        Target::Network(target)
            if is_allowed && target.transport == Transport::Udp && target.port != 53 =>
        {
            Some("egress run does not forward this yet")
        }
        _ => None,
    }
}

/// Where the policy allows more than this version forwards.
fn note(target: &Target) -> Option<&'static str> {
    let Target::Network(target) = target else { return None };
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
