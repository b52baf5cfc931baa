//! Codex's `config.toml` and `requirements.toml`, in every form that they have had.
//!
//! What decides there is whether commands have a network at all; the rules only narrow it. So the
//! reader collects the keys that decide, and closes what they leave closed.
use std::collections::BTreeMap;

use super::{
    Source, failed, of_file,
    page::{Line, Page, quoted},
    tree::{Entry, Node, get},
};
use crate::config::ConfigError;

mod decide;
mod network;
mod profiles;

/// Keys of the file that only requirements have.
const OF_REQUIREMENTS: [&str; 12] = [
    "experimental_network",
    "allowed_approval_policies",
    "allowed_approvals_reviewers",
    "allowed_sandbox_modes",
    "allowed_permission_profiles",
    "allowed_web_search_modes",
    "allowed_login_methods",
    "allow_managed_hooks_only",
    "enforce_residency",
    "guardian_policy_config",
    "remote_sandbox_config",
    "application",
];
/// Tables that hold the settings of the proxy by themselves, in older versions.
const OLD_TABLES: [&str; 2] = ["network_proxy", "network"];
/// Keys of the proxy's table, in any version: what has one of them is such a table.
const OF_PROXY: [&str; 10] = [
    "enabled",
    "mode",
    "domains",
    "policy",
    "allowed_domains",
    "denied_domains",
    "unix_sockets",
    "allow_unix_sockets",
    "proxy_url",
    "allow_local_binding",
];
/// Keys of a profile of permissions.
const OF_PROFILE: [&str; 5] =
    ["network", "filesystem", "extends", "description", "workspace_roots"];

/// A value that decides, and where it stands.
#[derive(Clone, Debug)]
struct Said<T> {
    value: T,
    place: String,
}

/// What decides over the network, of all files; of two words the narrower one counts.
#[derive(Debug, Default)]
pub(super) struct Codex {
    settings: Option<String>,
    requirements: Option<String>,
    sandbox_mode: Option<Said<String>>,
    network_access: Option<Said<bool>>,
    /// `features.network_proxy`; the value is whether the proxy is on.
    feature: Option<Said<Option<bool>>>,
    /// A table of an older version; the value is its `enabled`.
    old: Option<Said<Option<bool>>>,
    /// `enabled` of `[experimental_network]`.
    bounds: Option<Said<Option<bool>>>,
    default_permissions: Option<Said<String>>,
    /// Profiles that may be taken, where requirements say so.
    allowed_profiles: Option<Said<BTreeMap<String, bool>>>,
    allowed_modes: Option<Said<Vec<String>>>,
    profiles: BTreeMap<String, profiles::Profile>,
    /// Whether the proxy's own table has a mode.
    has_mode: bool,
}

/// One file being read.
struct File<'a, 'p> {
    source: Source<'a>,
    page: &'a mut Page<'p>,
    codex: &'a mut Codex,
    is_requirements: bool,
}

/// Keeps the word that comes first in the order.
fn narrow<T>(slot: &mut Option<Said<T>>, said: Said<T>, order: impl Fn(&T) -> u8) {
    if slot.as_ref().is_none_or(|standing| order(&said.value) < order(&standing.value)) {
        *slot = Some(said);
    }
}

/// Keeps the one word that all files have to say.
fn one_word(
    slot: &mut Option<Said<String>>,
    said: Said<String>,
    key: &str,
) -> Result<(), ConfigError> {
    let standing = slot.get_or_insert_with(|| said.clone());
    if standing.value == said.value {
        return Ok(());
    }
    let message = format!("{key} is another one at {}", standing.place);
    Err(of_file(&said.place, message, "keep the one that is meant"))
}

/// `sandbox_mode`, the narrowest first.
const MODES: [&str; 3] = ["read-only", "workspace-write", "danger-full-access"];

/// Whether one of these values of `sandbox_mode` may have a network.
fn have_network(modes: &[String]) -> bool {
    modes.iter().any(|mode| mode != "read-only")
}

impl Codex {
    /// Modes that requirements allow; of several such lists the narrowest holds.
    fn allow_modes(&mut self, said: Said<Vec<String>>) {
        narrow(&mut self.allowed_modes, said, |modes| u8::from(have_network(modes)));
    }

    pub(super) fn read(
        &mut self,
        source: Source<'_>,
        root: &Node,
        page: &mut Page<'_>,
    ) -> Result<(), ConfigError> {
        let table = root.table().unwrap_or_default();
        let is_requirements = table.iter().any(|entry| OF_REQUIREMENTS.contains(&&*entry.key));
        let mut file = File { source, page, codex: self, is_requirements };
        let found = file.file(table)?;
        if !found {
            return Err(of_file(
                source.name,
                "has no network settings that are known",
                "give Codex's config.toml or requirements.toml, or sandbox-runtime's JSON",
            ));
        }
        let slot = if is_requirements { &mut self.requirements } else { &mut self.settings };
        slot.get_or_insert_with(|| source.name.to_owned());
        page.is_requirements |= is_requirements;
        Ok(())
    }
}

impl File<'_, '_> {
    /// Whether there is anything about network in it.
    fn file(&mut self, table: &[Entry]) -> Result<bool, ConfigError> {
        let mut found = false;
        let mut unrelated = Vec::new();
        for entry in table {
            let Entry { key, line, node } = entry;
            let place = self.place(*line);
            match key.as_str() {
                "features" => {
                    self.table(entry)?;
                    found |= self.features(node)?;
                }
                "experimental_network" => {
                    found = true;
                    self.codex.bounds.get_or_insert(Said { value: None, place });
                    self.page.section("");
                    self.network("", node, network::Form::Bounds)?;
                }
                name if OLD_TABLES.contains(&name) => {
                    found = true;
                    self.old_table(entry)?;
                }
                "permissions" => {
                    self.table(entry)?;
                    found |= self.permissions(node)?;
                }
                "profiles" => {
                    self.table(entry)?;
                    self.config_profiles(node)?;
                }
                "default_permissions" => {
                    let value = self.text(entry)?.to_owned();
                    let slot = &mut self.codex.default_permissions;
                    one_word(slot, Said { value, place }, "default_permissions")?;
                }
                "sandbox_mode" => {
                    let value = self.text(entry)?;
                    if !MODES.contains(&value) {
                        return Err(self.failed(
                            *line,
                            format!("{value:?} is no sandbox_mode"),
                            "write \"read-only\", \"workspace-write\" or \"danger-full-access\"",
                        ));
                    }
                    let value = value.to_owned();
                    narrow(&mut self.codex.sandbox_mode, Said { value, place }, |mode| {
                        u8::try_from(MODES.iter().position(|known| known == mode).unwrap_or(0))
                            .unwrap_or(0)
                    });
                }
                "sandbox_workspace_write" => found |= self.workspace(entry)?,
                "allowed_permission_profiles" => self.allowed_profiles(entry)?,
                "allowed_sandbox_modes" => {
                    let value = self.texts(entry)?;
                    self.codex.allow_modes(Said { value, place });
                }
                "remote_sandbox_config" => self.remote(entry)?,
                "extends" | "extend" | "include" => self.page.lose(
                    &place,
                    format!(
                        "{key}: rules stand elsewhere; import that file together with this one"
                    ),
                ),
                "application" => self.page.leave_out(
                    &place,
                    "application: about the program's own connections, not those of its commands",
                ),
                _ => unrelated.push((key.clone(), *line)),
            }
        }
        if found {
            for (key, line) in unrelated {
                let place = self.place(line);
                self.page.leave_out(&place, format!("not about network: {key}"));
            }
        }
        Ok(found)
    }

    /// `network_proxy = true`, or its table. In requirements it is a pin of the feature.
    fn features(&mut self, node: &Node) -> Result<bool, ConfigError> {
        let Some(entry) = get(node.table().unwrap_or_default(), "network_proxy") else {
            return Ok(false);
        };
        let place = self.place(entry.line);
        if self.is_requirements && entry.node.boolean().is_some() {
            self.page.leave_out(&place, "features.network_proxy: the filter is always on here");
            return Ok(true);
        }
        self.page.section("");
        let value = match entry.node.table() {
            Some(_) => {
                self.codex.feature.get_or_insert(Said { value: None, place });
                self.network("", &entry.node, network::Form::Feature)?;
                return Ok(true);
            }
            None => Some(self.boolean(entry)?),
        };
        self.codex.feature.get_or_insert(Said { value, place });
        Ok(true)
    }

    /// The proxy's table of an older version.
    fn old_table(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let place = self.place(entry.line);
        self.codex.old.get_or_insert(Said { value: None, place });
        self.page.section("");
        let form = match self.is_requirements {
            true => network::Form::Bounds,
            false => network::Form::Old,
        };
        self.network("", &entry.node, form)
    }

    fn workspace(&mut self, entry: &Entry) -> Result<bool, ConfigError> {
        let mut found = false;
        for entry in self.table(entry)? {
            let place = self.place(entry.line);
            match entry.key.as_str() {
                "network_access" => {
                    let value = self.boolean(entry)?;
                    narrow(&mut self.codex.network_access, Said { value, place }, |&on| {
                        u8::from(on)
                    });
                    self.page.section("");
                    found = true;
                }
                key => self.page.leave_out(&place, format!("not about network: {key}")),
            }
        }
        Ok(found)
    }

    fn allowed_profiles(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let place = self.place(entry.line);
        let mut value = BTreeMap::new();
        for entry in self.table(entry)? {
            value.insert(entry.key.clone(), self.boolean(entry)?);
        }
        match &mut self.codex.allowed_profiles {
            // What another file does not allow is not allowed.
            Some(standing) => {
                for (name, may) in &mut standing.value {
                    *may &= value.get(name) == Some(&true);
                }
            }
            none => *none = Some(Said { value, place }),
        }
        Ok(())
    }

    /// Modes for the machines of some names. Which machine the policy is for is not known here, so
    /// that the narrowest ones hold for all.
    fn remote(&mut self, entry: &Entry) -> Result<(), ConfigError> {
        let no_list = || {
            self.failed(
                entry.line,
                "remote_sandbox_config is no list",
                "write [[remote_sandbox_config]]",
            )
        };
        for node in entry.node.list().ok_or_else(no_list)? {
            let no_table = || {
                let message = "an entry of remote_sandbox_config is no table";
                self.failed(node.line, message, "write its keys below [[remote_sandbox_config]]")
            };
            for entry in node.table().ok_or_else(no_table)? {
                let place = self.place(entry.line);
                match entry.key.as_str() {
                    "allowed_sandbox_modes" => {
                        let value = self.texts(entry)?;
                        self.codex.allow_modes(Said { value, place });
                    }
                    // What it is for, not what it closes.
                    "hostname_patterns" => self.page.leave_out(
                        &place,
                        "hostname_patterns: the narrowest modes hold on every machine here",
                    ),
                    key => self.page.leave_out(&place, format!("not about network: {key}")),
                }
            }
        }
        Ok(())
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.source.name)
    }

    fn failed(&self, line: usize, message: impl Into<String>, suggestion: &str) -> ConfigError {
        failed(self.source.name, line, message, suggestion)
    }

    fn text<'e>(&self, entry: &'e Entry) -> Result<&'e str, ConfigError> {
        let error = || self.failed(entry.line, format!("{} is no text", entry.key), "write a text");
        entry.node.text().ok_or_else(error)
    }

    fn boolean(&self, entry: &Entry) -> Result<bool, ConfigError> {
        let message = format!("{} is neither true nor false", entry.key);
        let error = || self.failed(entry.line, message, "write true or false");
        entry.node.boolean().ok_or_else(error)
    }

    fn table<'e>(&self, entry: &'e Entry) -> Result<&'e [Entry], ConfigError> {
        let error = || {
            self.failed(entry.line, format!("{} is no table", entry.key), "write its keys below")
        };
        entry.node.table().ok_or_else(error)
    }

    /// A list of texts.
    fn texts(&self, entry: &Entry) -> Result<Vec<String>, ConfigError> {
        Ok(self.lined_texts(entry)?.into_iter().map(|(text, _)| text.to_owned()).collect())
    }

    /// A list of texts, each with its line.
    fn lined_texts<'e>(&self, entry: &'e Entry) -> Result<Vec<(&'e str, usize)>, ConfigError> {
        let Some(list) = entry.node.list() else {
            let message = format!("{} is no list", entry.key);
            return Err(self.failed(entry.line, message, "write it as [\"example.com\"]"));
        };
        let text = |node: &'e Node| match node.text() {
            Some(text) => Ok((text, node.line)),
            None => {
                let message = format!("an entry of {} is no text", entry.key);
                Err(self.failed(node.line, message, "write each as a text"))
            }
        };
        list.iter().map(text).collect()
    }
}
