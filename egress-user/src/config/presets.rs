//! Lists of rules that come with egress.

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

/// Every preset.
pub fn all() -> &'static [Preset] {
    &[
        Preset { name: "none", version: 1, summary: "Nothing.", entries: &[] },
        Preset {
            name: "all",
            version: 1,
            summary: "Every public host.",
            entries: &[Entry { pattern: "*", ports: &[], used_by: "everything" }],
        },
    ]
}

/// The preset of this name.
pub fn find(name: &str) -> Option<&'static Preset> {
    all().iter().find(|preset| preset.name == name)
}

/// The names, for a message.
pub(super) fn names() -> String {
    let names: Vec<_> = all().iter().map(|preset| format!("{:?}", preset.name)).collect();
    names.join(", ")
}
