//! The tables of servers and programs.

use serde::Deserialize;

/// What the names of all servers end in.
pub(crate) const ZONE: &str = "web.test";

/// A server, started once for all programs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Its name in DNS.
    pub(crate) name: String,
    /// Its ports: it is ready once all of them are open.
    pub(crate) ports: Vec<u16>,
    /// Debian packages, for xtask.
    #[serde(default, rename = "debian")]
    _debian: Vec<String>,
    /// The line of shell that starts it.
    pub(crate) start: String,
}

/// A program, run once without the filter and once with it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Program {
    /// What the report calls it.
    pub(crate) name: String,
    /// `server`, or `server = RULE`.
    pub(crate) allow: Vec<String>,
    /// Run before, without the filter: what has to be compiled.
    pub(crate) build: Option<String>,
    /// The line of shell.
    pub(crate) run: String,
    /// Who runs it; `nobody` unless told.
    #[serde(default = "nobody")]
    pub(crate) user: String,
    /// What it exits with, without the filter.
    #[serde(default)]
    pub(crate) exit: i32,
    /// The word for `--capabilities`.
    pub(crate) capabilities: Option<String>,
    /// Packages, for xtask.
    #[serde(default, rename = "debian")]
    _debian: Vec<String>,
    #[serde(default, rename = "npm")]
    _npm: Vec<String>,
    #[serde(default, rename = "pypi")]
    _pypi: Vec<String>,
    #[serde(default, rename = "npm_served")]
    _npm_served: Vec<String>,
    #[serde(default, rename = "pypi_served")]
    _pypi_served: Vec<String>,
    #[serde(default, rename = "crates_served")]
    _crates_served: Vec<String>,
}

fn nobody() -> String {
    "nobody".to_owned()
}

impl Program {
    /// The policy that allows its servers, and nothing else.
    pub(crate) fn policy(&self) -> String {
        let rule = |allowed: &String| {
            let (server, rule) = allowed.split_once(" = ").unwrap_or((allowed, "\"allow\""));
            format!("\"{server}.{ZONE}\" = {rule}\n")
        };
        let rules: String = self.allow.iter().map(rule).collect();
        format!("[network.domains]\n{rules}")
    }
}

/// The servers.
pub(crate) fn servers() -> Vec<Server> {
    #[derive(Deserialize)]
    struct Table {
        server: Vec<Server>,
    }
    toml::from_str::<Table>(include_str!("servers.toml")).expect("read servers.toml").server
}

/// The programs whose name contains one of `only`; all of them where it is empty.
pub(crate) fn programs(only: &[String]) -> Vec<Program> {
    #[derive(Deserialize)]
    struct Table {
        program: Vec<Program>,
    }
    let table: Table = toml::from_str(include_str!("programs.toml")).expect("read programs.toml");
    let wanted = |program: &Program| {
        only.is_empty() || only.iter().any(|part| program.name.contains(part.as_str()))
    };
    table.program.into_iter().filter(wanted).collect()
}
