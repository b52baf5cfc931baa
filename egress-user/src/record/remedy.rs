//! What would change a refusal, as a person reads it: a line of a policy, or what to do to one.

use std::{fmt, net::IpAddr};

use ipnet::IpNet;

use crate::{
    policy::{
        Ech, HostError, Name, Pattern, PortRange, PortSet, Refusal, Remedy, Rule, RuleOptions,
        Transport,
    },
    text,
};

/// Who sends ECH, how that is turned off, and what a rule that lets it pass risks.
pub(super) const ECH_ADVICE: &str = " (then the outer name alone is checked, and a server that holds ECH keys, as a CDN's \
    that many sites share, serves whichever site the hidden name says). Browsers send ECH with every hello, \
    as grease where there is nothing to hide; turned off there, no rule has to change: in Chromium by the \
    managed policy EncryptedClientHelloEnabled = false, in Firefox by \
    security.tls.ech.grease_probability = 0 and network.dns.echconfig.enabled = false";

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NetworkAccess => f.write_str("network_access = true in [network]"),
            Self::Enable => f.write_str("enabled = true in [network]"),
            Self::AllowName(name) => allow(f, "domains", name),
            Self::AllowAddress { address, own } => {
                allow(f, "addresses", address)?;
                match own {
                    Some(interface) => {
                        write!(f, " ({address} is an address of this machine, on {interface})")
                    }
                    None => Ok(()),
                }
            }
            Self::AllowUnixSocket(address) => {
                write!(f, "in [network.unix_sockets]: \"{address}\" = \"allow\"")
            }
            Self::RemoveDeny(rule) => without_deny(f, rule),
            Self::RemoveUnixDeny(rule) => without_deny(f, rule),
            Self::ResolvesTo { name, addresses, own, rule } => {
                resolves_to(f, name, addresses, rule)?;
                let [first, ..] = addresses.as_slice() else { return Ok(()) };
                write!(f, " ({name} resolves to {first}, which ")?;
                match own {
                    Some(interface) => {
                        write!(f, "is an address of this machine, on {interface})")
                    }
                    None => f.write_str("is not public)"),
                }
            }
            Self::Unblock { name, address } => write!(
                f,
                "no line of a policy: the name server blocks {name}, as it answers {address}, \
                 which is nowhere"
            ),
            Self::AddPort { port, rule } => {
                edit(f, rule, format_args!("add {port} to the ports of"), "", |options| {
                    options.ports = options.ports.clone().union(&PortSet::only([*port]));
                })
            }
            Self::AddTransport { transport, rule } => {
                let what = format_args!("add \"{}\" to the transport of", transport.as_str());
                edit(f, rule, what, "", |options| {
                    // None: TCP, which names have by themselves.
                    let mut transports = options.transport.take().unwrap_or(vec![Transport::Tcp]);
                    transports.push(*transport);
                    options.transport = Some(transports);
                })
            }
            Self::AddMethod { method, rule } => {
                let what = format_args!("add \"{method}\" to the methods of");
                edit(f, rule, what, "", |options| {
                    let methods = options.methods.iter().flatten().chain([method]);
                    options.methods = Some(methods.cloned().collect());
                })
            }
            Self::AddPath { path, rule } => {
                edit(f, rule, "add a prefix of the path to the paths of", "", |options| {
                    let paths = options.paths.iter().flatten().chain([path]);
                    options.paths = Some(paths.cloned().collect());
                })
            }
            Self::ReadNoRequests(rule) => {
                let why = ": only requests of plain HTTP can be read";
                edit(f, rule, "remove methods and paths from", why, |options| {
                    (options.methods, options.paths) = (None, None);
                })
            }
            Self::AnyProtocol(rule) => edit(f, rule, "add protocol = \"any\" to", "", |options| {
                options.any_protocol = true;
            }),
            Self::FullMode { unread: false } => f.write_str("mode = \"full\" in [network]"),
            Self::FullMode { unread: true } => f.write_str(
                "mode = \"full\" in [network] (only requests of plain HTTP can be read)",
            ),
            Self::QueriesPerSecond(least) => {
                write!(f, "queries_per_second = {least} in [network.dns]")
            }
            Self::AllowEch(rule) => {
                edit(f, rule, "add ech = \"allow\" to", "", |options| {
                    options.ech = Some(Ech::Allow);
                })?;
                f.write_str(ECH_ADVICE)
            }
            Self::PlainPath => {
                f.write_str("send the path without dot segments and without escaped slashes")
            }
            Self::WriteHost(HostError(why)) => write!(f, "write a name or an address: {why}"),
        }
    }
}

/// The shortest that helps, for where there is little room: `egress: not_allowed: --allow a.test, ...`.
pub fn short(refusal: &Refusal) -> String {
    let (name, text) = (refusal.reason.name(), refusal.reason.text());
    match &refusal.remedy {
        Some(remedy) => format!("egress: {name}: {remedy}"),
        None => format!("egress: {name}: {text}"),
    }
}

/// One line: the reason's name and sentence, the rule, and what would change it.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.reason.text())?;
        if let Some(rule) = &self.rule {
            write!(f, " Rule: {rule}.")?;
        }
        match &self.remedy {
            Some(remedy) => write!(f, " To change it: {remedy}."),
            None => Ok(()),
        }
    }
}

fn allow(f: &mut fmt::Formatter<'_>, table: &str, host: &impl fmt::Display) -> fmt::Result {
    write!(f, "--allow {host}, or in [network.{table}]: \"{host}\" = \"allow\"")
}

fn without_deny(f: &mut fmt::Formatter<'_>, deny: &impl fmt::Display) -> fmt::Result {
    write!(f, "remove the deny of {deny}: no allow rule overrides it")
}

/// What to do to a line of a file. A flag takes no options, and a preset is nobody's to edit: there it is the line
/// that says the same and what is lacking.
fn edit(
    f: &mut fmt::Formatter<'_>,
    rule: &Rule,
    what: impl fmt::Display,
    why: &str,
    change: impl FnOnce(&mut RuleOptions),
) -> fmt::Result {
    let is_preset = rule.origin.preset.is_some();
    if rule.origin.line.is_some() && !is_preset {
        return write!(f, "{what} {rule}{why}");
    }
    let mut options = rule.options.clone();
    change(&mut options);
    // A second line of a preset's pattern adds to it.
    let place = if is_preset { "beside" } else { "instead of" };
    write!(f, "{place} {rule}, ")?;
    write_line(f, &rule.pattern, &options)
}

/// A line with these addresses added: in the place of the rule, or where that is about other names too, for this one
/// beside it.
fn resolves_to(
    f: &mut fmt::Formatter<'_>,
    name: &Name,
    addresses: &[IpAddr],
    rule: &Rule,
) -> fmt::Result {
    let mut options = rule.options.clone();
    let added = addresses.iter().copied().map(IpNet::from);
    options.resolves_to = options.resolves_to.iter().copied().chain(added).collect();
    let pattern = Pattern::Exact(name.clone());
    if rule.pattern == pattern {
        let place = if rule.origin.preset.is_some() { "beside" } else { "instead of" };
        write!(f, "{place} {rule}, ")?;
    }
    write_line(f, &pattern, &options)
}

fn write_line(f: &mut fmt::Formatter<'_>, pattern: &Pattern, options: &RuleOptions) -> fmt::Result {
    let table = if pattern.is_address() { "addresses" } else { "domains" };
    let pattern = text::toml(&pattern.to_string());
    write!(f, "in [network.{table}]: {pattern} = {{ action = \"allow\"")?;
    write_options(f, options)?;
    f.write_str(" }")
}

/// As a file has them. The way of the bytes is not among them: it refuses nothing.
fn write_options(f: &mut fmt::Formatter<'_>, options: &RuleOptions) -> fmt::Result {
    if let ports @ PortSet::Only(_) = &options.ports {
        let quote = |entry: PortRange| match entry.is_one() {
            true => entry.to_string(),
            false => text::toml(&entry.to_string()),
        };
        let ports: Vec<_> = ports.entries().map(quote).collect();
        write!(f, ", ports = [{}]", ports.join(", "))?;
    }
    if let Some(transports) = &options.transport {
        list(f, "transport", transports.iter().map(|transport| transport.as_str()))?;
    }
    if options.any_protocol {
        f.write_str(", protocol = \"any\"")?;
    }
    if let Some(ech) = options.ech {
        write!(f, ", ech = \"{}\"", ech.as_str())?;
    }
    for (key, values) in [("methods", &options.methods), ("paths", &options.paths)] {
        if let Some(values) = values {
            list(f, key, values.iter().map(|value| &**value))?;
        }
    }
    if !options.resolves_to.is_empty() {
        let blocks: Vec<_> = options.resolves_to.iter().map(IpNet::to_string).collect();
        list(f, "resolves_to", blocks.iter().map(String::as_str))?;
    }
    Ok(())
}

fn list<'a>(
    f: &mut fmt::Formatter<'_>,
    key: &str,
    values: impl Iterator<Item = &'a str>,
) -> fmt::Result {
    let values: Vec<_> = values.map(text::toml).collect();
    write!(f, ", {key} = [{}]", values.join(", "))
}

#[cfg(test)]
mod tests;
