//! What to do about a refusal, as lines to paste: a flag of the next run, and the line of a file.

use std::{fmt, net::IpAddr};

use egress_common::Reason;

use super::remedy::ECH_ADVICE;
use crate::policy::{Origin, Remedy, Rule};

/// A remedy, as a person can follow it; for the port that was tried, where that is known.
#[derive(Clone, Copy, Debug)]
pub struct Advice<'a> {
    remedy: &'a Remedy,
    port: Option<u16>,
}

impl<'a> Advice<'a> {
    /// Of a remedy; port 0 is none.
    pub fn new(remedy: &'a Remedy, port: Option<u16>) -> Self {
        Self { remedy, port: port.filter(|&port| port != 0) }
    }
}

impl fmt::Display for Advice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { remedy, port } = self;
        match (remedy, port) {
            (Remedy::AllowName(name), Some(port)) => {
                let line = format!("\"{name}\" = {{ action = \"allow\", ports = [{port}] }}");
                return write!(f, "--allow {name}:{port}, or in [network.domains]: {line}");
            }
            (Remedy::AllowAddress { address, own }, Some(port)) => {
                let host = match address {
                    IpAddr::V4(address) => address.to_string(),
                    IpAddr::V6(address) => format!("[{address}]"),
                };
                let line = format!("\"{address}\" = {{ action = \"allow\", ports = [{port}] }}");
                write!(f, "--allow {host}:{port}, or in [network.addresses]: {line}")?;
                return match own {
                    Some(interface) => {
                        write!(f, " ({address} is an address of this machine, on {interface})")
                    }
                    None => Ok(()),
                };
            }
            _ => {}
        }
        if let Some(key) = key(remedy) {
            return write!(f, "--set {key}, or {remedy}");
        }
        match rule_line(remedy) {
            // Before what is said about it, which is long for some.
            Some(line) => {
                let text = remedy.to_string();
                let behind_rule = text.rfind(" }").map(|at| at + " }".len());
                let end = text.find(ECH_ADVICE).or(behind_rule).unwrap_or(text.len());
                let (what, about) = text.split_at(end);
                write!(f, "{what}, or --set '{line}'{about}")
            }
            None => remedy.fmt(f),
        }
    }
}

/// The key of `[network]` that changes it, as `--set` takes it.
fn key(remedy: &Remedy) -> Option<&'static str> {
    match remedy {
        Remedy::NetworkAccess => Some("network.network_access=true"),
        Remedy::Enable => Some("network.enabled=true"),
        Remedy::FullMode { .. } => Some("network.mode=full"),
        _ => None,
    }
}

/// The whole line of a rule that changes it, as `--set` takes it between single quotes.
fn rule_line(remedy: &Remedy) -> Option<String> {
    let mut remedy = remedy.clone();
    let rule = match &mut remedy {
        Remedy::AddPort { rule, .. }
        | Remedy::AddTransport { rule, .. }
        | Remedy::AddMethod { rule, .. }
        | Remedy::AddPath { rule, .. }
        | Remedy::ReadNoRequests(rule)
        | Remedy::AnyProtocol(rule)
        | Remedy::AllowEch(rule)
        | Remedy::ResolvesTo { rule, .. } => rule,
        _ => return None,
    };
    // A flag is nothing to edit: there the whole line is written.
    let origin = Origin::new("--set", None);
    *rule = std::sync::Arc::new(Rule { origin, ..Rule::clone(rule) });
    let text = remedy.to_string();
    let (_, line) = text.split_once("in [network.")?;
    let (table, line) = line.split_once("]: ")?;
    let (line, _) = line.rsplit_once(" }")?;
    let (pattern, value) = line.split_once(" = ")?;
    // A quote would end the word of a shell.
    let line = format!("network.{table}.{pattern}={value} }}");
    Some(line.replace('\'', "'\\''"))
}

/// What to do where no line of a policy changes a refusal.
pub(super) const fn without_line(reason: Reason) -> &'static str {
    match reason {
        Reason::DnsFailed => "look at the name, and at the name servers",
        Reason::RateLimited => "try later, or fewer at once",
        Reason::DeviceNotAllowed => "no rule opens a device that leads to a network",
        Reason::SniMismatch | Reason::HostMismatch => {
            "let the program look up the name that it claims"
        }
        Reason::NotPinned => "let the program look the name up again",
        Reason::ProtocolNotAllowed => "programs fall back to TCP, where they can",
        _ => "another program would have to ask for it otherwise",
    }
}
