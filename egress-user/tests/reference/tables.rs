//! The tables of docs/policy.md, made from the code's own.
use std::fmt::Write;

use egress_common::Reason;
use egress_user::{
    config::{
        self, Flags,
        keys::{KEYS, Key, Table},
        presets,
    },
    policy::{OPAQUE_PORTS, OpaquePort},
};

/// Each by the name of its mark.
pub(crate) fn all() -> [(&'static str, String); 5] {
    [
        ("keys", config::reference(KEYS)),
        ("reasons", reasons()),
        ("opaque ports", opaque_ports()),
        ("presets", presets()),
        ("not built", not_built()),
    ]
}

/// A file with the example of the key, and what it needs around it.
pub(crate) fn file_of(key: &Key) -> String {
    let example = key.example;
    match (key.table, key.name) {
        // Headings.
        _ if example.starts_with("[[") => {
            format!("{example}\ncgroup = \"/a\"\nprofile = \"ci\"\n[profiles.ci]\n")
        }
        _ if example.starts_with('[') => format!("{example}\n"),
        (Table::Network, name @ ("domains" | "addresses" | "unix_sockets")) => {
            format!("[network.{name}]\n{example}\n")
        }
        (Table::Rule, "action") => rule(example),
        (Table::Rule, _) => rule(&format!("action = \"allow\", {example}")),
        (Table::Top, _) => format!("{example}\n[profiles.ci]\n"),
        (Table::Network, _) => format!("[network]\n{example}\n"),
        (Table::Dns, _) => format!("[network.dns]\n{example}\n"),
        (Table::Upstream, _) => format!("[network.upstream]\n{example}\n"),
        (Table::Profile, _) => format!("[profiles.ci]\n{example}\n"),
        (Table::Attach, "cgroup") => {
            format!("[[attach]]\n{example}\nprofile = \"ci\"\n[profiles.ci]\n")
        }
        (Table::Attach, _) => format!("[[attach]]\ncgroup = \"/a\"\n{example}\n[profiles.ci]\n"),
    }
}

fn rule(options: &str) -> String {
    format!("[network.domains]\n\"example.com\" = {{ {options} }}\n")
}

fn presets() -> String {
    let mut text = "| preset | version | rules | what |\n|---|---|---|---|\n".to_owned();
    for preset in presets::all() {
        let presets::Preset { name, version, summary, entries } = preset;
        writeln!(text, "| `\"{name}\"` | {version} | {} | {summary} |", entries.len()).unwrap();
    }
    text
}

/// The keys whose example is noted as not built.
fn not_built() -> String {
    let mut text = "| line | why |\n|---|---|\n".to_owned();
    for key in KEYS.iter() {
        let Ok(layer) = config::parse(&file_of(key), key.name) else { continue };
        let Ok(assembled) = config::assemble_layers(vec![layer], &Flags::default()) else {
            continue;
        };
        for note in assembled.not_built {
            let row = format!("| `{}` | {} |\n", key.example, note.message.replace('|', "\\|"));
            if !text.contains(&row) {
                text.push_str(&row);
            }
        }
    }
    text
}

fn opaque_ports() -> String {
    let mut text = "| port | protocol | how a client begins |\n|---|---|---|\n".to_owned();
    for OpaquePort { port, protocol, begins } in OPAQUE_PORTS {
        writeln!(text, "| {port} | {protocol} | {begins} |").unwrap();
    }
    text
}

fn reasons() -> String {
    let mut text = "| reason | meaning | what to do |\n|---|---|---|\n".to_owned();
    for &reason in Reason::ALL {
        let (name, meaning, advice) = (reason.name(), reason.text(), advice(reason));
        writeln!(text, "| `{name}` | {meaning} | {advice} |").unwrap();
    }
    text
}

fn advice(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidHost => {
            "Correct the host: a name of letters, digits, `-` and `_` in labels of at most 63 bytes, or an address."
        }
        Reason::Denied => {
            "Remove the deny rule that is named, if the target is meant to be reached: no allow overrides it. The rule may be \
             about an address, or about a name in the CNAME chain."
        }
        Reason::NotAllowedLocal => {
            "If it is meant, name the address in `[network.addresses]`; for a name that resolves inside, `resolves_to` of its rule, as the refusal says. \
             If it is not, somebody's DNS leads inside."
        }
        Reason::NotAllowed => "Allow the name or the address; the refusal says the line.",
        Reason::PortNotAllowed => {
            "Add the port to the `ports`, or the transport to the `transport`, of the rule that is named. A more specific rule may hide a wider one."
        }
        Reason::InspectionRequired => {
            "Methods and paths cannot be read in TLS: take `methods` and `paths` off the rule, or `mode = \"full\"`, or use plain HTTP."
        }
        Reason::ProtocolNotAllowed => {
            "`protocol = \"any\"` for what is neither TLS nor HTTP on a web port. UDP but DNS, raw sockets and other families are not opened by any rule."
        }
        Reason::DnsFailed => {
            "Look at the name and at the servers of `[network.dns]`; nothing was opened."
        }
        Reason::NotPinned => {
            "Let the program look the name up again and connect to what it gets; for an address without a name, write an address rule."
        }
        Reason::SniMismatch => {
            "The program says another name in TLS than the one it looked up. Allow that name, if it is meant."
        }
        Reason::HostMismatch => {
            "The request is for another host than the one that was looked up. Allow that host, if it is meant."
        }
        Reason::EchRefused => {
            "Browsers send Encrypted ClientHello with every hello, as grease: turn it off there ([browsers.md](browsers.md)), or write `ech = \"allow\"` into the rule, with which only the outer name is checked."
        }
        Reason::MethodNotAllowed => {
            "Add the method to the `methods` of the rule; in limited mode only GET, HEAD and OPTIONS pass."
        }
        Reason::PathNotAllowed => {
            "Add a prefix of the path to the `paths` of the rule. A path with dot segments or escaped slashes matches none."
        }
        Reason::NetworkDisabled => {
            "`network_access = true` and `enabled = true`, if there is to be a network."
        }
        Reason::UnixSocketNotAllowed => "Name the socket in `[network.unix_sockets]`.",
        Reason::ApprovalDenied => "Ask the person; a rule makes the question needless.",
        Reason::ApprovalTimeout => "Ask again, or write a rule.",
        Reason::RateLimited => "Try later; fewer at once.",
        Reason::DeviceNotAllowed => {
            "No rule opens it ([devices.md](devices.md)). A driver that was loaded later is known to the next run."
        }
    }
}
