//! Which tool's file it is.
use super::{list, script, squid};

/// A format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Codex, in TOML.
    Codex,
    /// sandbox-runtime and programs that use it, in JSON.
    Runtime,
    /// A list of hosts: one a line, squid's `dstdomain` or harden-runner's endpoints.
    List,
    /// A shell script that sets up a firewall.
    Script,
    /// squid.conf.
    Squid,
    /// A workflow or action of GitHub with harden-runner.
    HardenRunner,
    /// smokescreen's ACL.
    Smokescreen,
    /// Cilium's network policies.
    Cilium,
    /// YAML, of which the content says whose it is.
    Yaml,
}

impl Format {
    /// The tool, for messages.
    pub(super) const fn tool(self) -> &'static str {
        match self {
            Format::Codex => "Codex",
            Format::Runtime => "sandbox-runtime",
            Format::List => "a list of hosts",
            Format::Script => "a firewall script",
            Format::Squid => "squid",
            Format::HardenRunner => "harden-runner",
            Format::Smokescreen => "smokescreen",
            Format::Cilium => "Cilium",
            Format::Yaml => "YAML",
        }
    }

    /// The format of a text, by its name and what is in it. What is nothing else is TOML.
    pub(super) fn of(name: &str, text: &str) -> Self {
        let first = first_character(text);
        if first == Some('{') {
            return Format::Runtime;
        }
        if script::is_script(name, text) {
            return Format::Script;
        }
        if [".yml", ".yaml"].iter().any(|end| name.ends_with(end)) || is_list_of_json(text) {
            return Format::Yaml;
        }
        if name.ends_with(".toml") {
            return Format::Codex;
        }
        if squid::is_conf(text) {
            return Format::Squid;
        }
        if first != Some('[') && list::is_list(text) {
            return Format::List;
        }
        if is_yaml(text) { Format::Yaml } else { Format::Codex }
    }
}

/// The first character that is no blank and in no comment of JSON.
fn first_character(text: &str) -> Option<char> {
    let mut rest = text.trim_start();
    loop {
        rest = match rest.split_at_checked(2) {
            Some(("//", line)) => line.split_once('\n').map_or("", |(_, rest)| rest),
            Some(("/*", comment)) => comment.split_once("*/").map_or("", |(_, rest)| rest),
            _ => return rest.chars().next(),
        }
        .trim_start();
    }
}

/// `[{`: a table of TOML has a name.
fn is_list_of_json(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('[');
    inside.is_some_and(|inside| inside.trim_start().starts_with('{'))
}

/// Whether the first line that says something begins a document or is `key:`.
fn is_yaml(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim_end);
    let first = lines.find(|line| !line.is_empty() && !line.trim_start().starts_with('#'));
    first.is_some_and(|line| {
        let key = line.split(':').next().unwrap_or_default();
        line.starts_with("---")
            || line.starts_with("- ")
            || (line.contains(':') && !key.contains(['=', '[']))
    })
}
