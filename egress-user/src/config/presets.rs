//! Lists of rules that come with egress. Their rules are allows of the file that names them, and
//! every deny wins over them.
mod common_dependencies;

/// A list of rules.
#[derive(Debug)]
pub struct Preset {
    /// As a policy names it.
    pub name: &'static str,
    /// Grows with every change of its entries.
    pub version: u32,
    /// One sentence.
    pub summary: &'static str,
    /// Its rules.
    pub entries: &'static [Entry],
}

/// A rule of a preset: an allow.
#[derive(Debug)]
pub struct Entry {
    /// A pattern of `[network.domains]`.
    pub pattern: &'static str,
    /// Ports that it opens; none is every port.
    pub ports: &'static [u16],
    /// What uses it.
    pub used_by: &'static str,
}

const ALL: &[Preset] = &[
    Preset { name: "none", version: 1, summary: "Nothing.", entries: &[] },
    Preset {
        name: "common-dependencies",
        version: common_dependencies::VERSION,
        summary: "Package registries, source hosts and the places where they keep files.",
        entries: common_dependencies::ENTRIES,
    },
    Preset {
        name: "all",
        version: 1,
        summary: "Every public host.",
        entries: &[Entry { pattern: "*", ports: &[], used_by: "whatever is public" }],
    },
];

/// Every preset.
pub fn all() -> &'static [Preset] {
    ALL
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    ALL.iter().find(|preset| preset.name == name)
}

/// The names, for a message.
pub(super) fn names() -> String {
    let names: Vec<_> = ALL.iter().map(|preset| format!("{:?}", preset.name)).collect();
    names.join(", ")
}

impl Preset {
    /// As a policy file, with what uses each host.
    pub fn to_policy(&self) -> String {
        let mut text = format!(
            "# Preset {:?}, version {}: {}\n[network.domains]\n",
            self.name, self.version, self.summary
        );
        for Entry { pattern, ports, used_by } in self.entries {
            let value = match ports {
                [] => "\"allow\"".to_owned(),
                ports => format!("{{ action = \"allow\", ports = {ports:?} }}"),
            };
            text.push_str(&format!("\"{pattern}\" = {value} # {used_by}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{Flags, assemble_layers, parse},
        policy::{Action, Name, Pattern},
    };

    #[test]
    fn every_entry_is_a_rule_of_its_own_and_says_what_uses_it() {
        for preset in all() {
            let patterns: Vec<_> = preset
                .entries
                .iter()
                .map(|entry| Pattern::parse_domain(entry.pattern, Action::Allow).unwrap())
                .collect();
            for (entry, pattern) in preset.entries.iter().zip(&patterns) {
                assert!(!entry.used_by.is_empty(), "{}", entry.pattern);
                assert_eq!(pattern.to_string(), entry.pattern, "write it in its normal spelling");
                let covering = patterns.iter().filter(|other| other.covers(pattern)).count();
                assert_eq!(covering, 1, "{} is in the list twice", entry.pattern);
            }
            let shown = parse(&preset.to_policy(), "preset").unwrap();
            assert_eq!(shown.network.rules.len(), preset.entries.len());
        }
    }

    /// Whoever changes a preset says so with its version, and writes the new line here.
    #[test]
    fn a_changed_preset_has_another_version() {
        let preset = find("common-dependencies").unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, preset.to_policy().as_bytes());
        let digest: String = digest.as_ref().iter().take(4).map(|b| format!("{b:02x}")).collect();
        assert_eq!((preset.version, digest.as_str()), (1, "8130366e"));
    }

    #[test]
    fn presets_obey_denies() {
        let text = "[network]\npresets = [\"common-dependencies\"]\n[network.domains]\n\"**.npmjs.org\" = \"deny\"\n";
        let assembled =
            assemble_layers(vec![parse(text, "p.toml").unwrap()], &Flags::default()).unwrap();
        let reason = |name: &str| {
            assembled.policy.name(&Name::parse(name).unwrap()).err().map(|r| r.reason.name())
        };
        assert_eq!(reason("registry.npmjs.org"), Some("denied"));
        assert_eq!(reason("pypi.org"), None);
        assert_eq!(reason("evil.pypi.org"), Some("not_allowed"));
    }
}
