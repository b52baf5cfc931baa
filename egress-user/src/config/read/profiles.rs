//! `[profiles.NAME]` and `[[attach]]`.
use super::{Node, Reader, in_order};
use crate::{
    config::{AttachWritten, ProfileWritten, keys::Table, value},
    policy::PatternError,
};

/// The profile that every file has: its `[network]`.
const DEFAULT: &str = "default";

impl Reader<'_> {
    pub(super) fn profiles(&mut self, node: Node<'_, '_>) -> Vec<ProfileWritten> {
        let mut profiles = Vec::new();
        let Some(table) = self.table(node) else { return profiles };
        for (key, node) in in_order(table) {
            let name = key.get_ref().as_ref();
            if let Err(error) = profile_name(name) {
                self.report(key.span(), error);
            }
            let Some(inner) = self.table(node) else { continue };
            let mut profile = ProfileWritten {
                name: name.into(),
                origin: self.origin(&key.span()),
                extends: None,
                network: Default::default(),
            };
            for (key, node) in self.known(inner, Table::Profile) {
                match key.get_ref().as_ref() {
                    "extends" => profile.extends = self.written(node, value::profile),
                    "network" => profile.network = self.network(node),
                    _ => {}
                }
            }
            for rule in &mut profile.network.rules {
                rule.origin.profile = Some(profile.name.clone());
            }
            for rule in &mut profile.network.unix_rules {
                rule.origin.profile = Some(profile.name.clone());
            }
            profiles.push(profile);
        }
        profiles
    }

    pub(super) fn attach(&mut self, node: Node<'_, '_>) -> Vec<AttachWritten> {
        let Some(array) = node.get_ref().as_array() else {
            let error = PatternError::new(
                "attach is a list of tables",
                "write [[attach]] with cgroup = \"/...\" and profile = \"...\" below",
            );
            self.report(node.span(), error);
            return Vec::new();
        };
        let mut attach = Vec::new();
        for node in array.iter() {
            let Some(table) = self.table(node) else { continue };
            let (mut cgroup, mut profile) = (None, None);
            for (key, node) in self.known(table, Table::Attach) {
                match key.get_ref().as_ref() {
                    "cgroup" => cgroup = self.written(node, value::cgroup),
                    "profile" => profile = self.written(node, value::profile),
                    _ => {}
                }
            }
            for key in ["cgroup", "profile"] {
                if table.get(key).is_none() && !self.has_slips {
                    let error = PatternError::new(
                        format!("[[attach]] has no {key}"),
                        "write cgroup = \"/system.slice/docker-*.scope\" and profile = \"ci\"",
                    );
                    self.report(node.span(), error);
                }
            }
            attach.extend(
                cgroup.zip(profile).map(|(cgroup, profile)| AttachWritten { cgroup, profile }),
            );
        }
        attach
    }
}

fn profile_name(name: &str) -> Result<(), PatternError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let suggestion = "write a name of letters, digits, `-` and `_`";
    if name == DEFAULT {
        let message = "the profile \"default\" is [network] itself";
        return Err(PatternError::new(
            message,
            "write its keys in [network], or take another name",
        ));
    }
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(PatternError::new(format!("{name:?} is no name of a profile"), suggestion));
    }
    Ok(())
}
