//! `[permissions.NAME]`, and the profiles of whole configurations.
use super::{File, OF_PROFILE, OF_PROXY, OLD_TABLES, Said, network::Form};
use crate::{
    config::ConfigError,
    import::tree::{Entry, Node, get},
};

/// A profile of permissions.
#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Where it begins.
    pub(super) place: String,
    pub(super) enabled: Option<Said<bool>>,
    /// As written there.
    pub(super) extends: Option<Said<String>>,
}

impl super::Codex {
    /// The profile of this name here.
    pub(super) fn profile(&mut self, name: &str) -> &mut Profile {
        self.profiles.entry(name.to_owned()).or_default()
    }
}

impl File<'_, '_> {
    /// Whether there is a profile, or the network's table itself.
    pub(super) fn permissions(&mut self, node: &Node) -> Result<bool, ConfigError> {
        let mut found = false;
        for entry in node.table().unwrap_or_default() {
            let place = self.place(entry.line);
            let has = |keys: &[&str]| {
                let table = entry.node.table().unwrap_or_default();
                table.iter().any(|entry| keys.contains(&entry.key.as_str()))
            };
            let is_table = has(&OF_PROXY) && !has(&OF_PROFILE);
            if entry.key == "network" && (self.is_requirements || is_table) {
                self.old_table(entry)?;
                found = true;
            } else if has(&OF_PROFILE) {
                self.profile(entry, place)?;
                found = true;
            } else if entry.key == "network" || is_table {
                let message = format!("the profile {:?} has keys of a network table", entry.key);
                let suggestion = "write them below [permissions.NAME.network]";
                return Err(self.failed(entry.line, message, suggestion));
            } else if entry.key != "filesystem" {
                // Without network a profile has none.
                self.page.section(&name_of(&entry.key));
                self.codex.profile(&name_of(&entry.key)).place = place;
            }
        }
        Ok(found)
    }

    fn profile(&mut self, entry: &Entry, place: String) -> Result<(), ConfigError> {
        let name = name_of(&entry.key);
        if name != entry.key {
            self.page
                .change(&place, format!("the profile {:?} is called {name:?} here", entry.key));
        }
        let profile = self.codex.profile(&name);
        if profile.place.is_empty() {
            profile.place.clone_from(&place);
        }
        self.page.section(&name);
        for entry in self.table(entry)? {
            let place = self.place(entry.line);
            match entry.key.as_str() {
                "network" => self.network(&name, &entry.node, Form::Profile)?,
                "extends" => {
                    let value = self.text(entry)?.to_owned();
                    let slot = &mut self.codex.profile(&name).extends;
                    super::one_word(slot, Said { value, place }, "extends")?;
                }
                key => self.page.leave_out(&place, format!("{key} is not about network")),
            }
        }
        Ok(())
    }

    /// `[profiles.NAME]` of older versions: a whole configuration, of which each may narrow.
    pub(super) fn config_profiles(&mut self, node: &Node) -> Result<(), ConfigError> {
        for entry in node.table().unwrap_or_default() {
            let table = entry.node.table().unwrap_or_default();
            let decides = table.iter().find(|inner| {
                OLD_TABLES.contains(&inner.key.as_str())
                    || ["sandbox_mode", "sandbox_workspace_write", "permissions"]
                        .contains(&inner.key.as_str())
                    || inner.key == "default_permissions"
                    || inner.key == "features"
                        && get(inner.node.table().unwrap_or_default(), "network_proxy").is_some()
            });
            if let Some(inner) = decides {
                let message = format!("profiles.{} has network settings of its own", entry.key);
                let suggestion = "write them in a file of its own, which is how Codex reads them \
                                  now, and import that one";
                return Err(self.failed(inner.line, message, suggestion));
            }
            let place = self.place(entry.line);
            self.page.leave_out(&place, format!("not about network: profiles.{}", entry.key));
        }
        Ok(())
    }
}

/// The profile's name here, where fewer characters are allowed.
pub(super) fn name_of(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let plain: String = name.chars().map(plain).take(64).collect();
    match plain.as_str() {
        "" => "unnamed".to_owned(),
        // That is [network] here.
        "default" => "default-permissions".to_owned(),
        _ => plain,
    }
}
