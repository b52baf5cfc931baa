//! What a key of a policy file is: declared once, in [`KEYS`], for the reader, the merging of
//! layers, the administrator's bounds, `--set`, `policy show`, the JSON Schema and the reference.

use toml::de::DeValue;

use super::values::Value;
use crate::policy::{Action, Pattern, PatternError, RuleOptions};

mod rule_options;
mod table;

pub use table::KEYS;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// The file itself.
    Top,
    /// `[network]`, also of a profile.
    Network,
    /// A rule of `[network.domains]` or `[network.addresses]` in its long form.
    Rule,
    /// `[network.dns]`.
    Dns,
    /// `[network.upstream]`.
    Upstream,
    /// `[profiles.NAME]`.
    Profile,
    /// `[[attach]]`.
    Attach,
}

impl Table {
    /// Every table, in the order of the reference.
    pub const ALL: [Self; 7] = [
        Self::Top,
        Self::Network,
        Self::Rule,
        Self::Dns,
        Self::Upstream,
        Self::Profile,
        Self::Attach,
    ];

    /// As a message calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Top => "the file",
            Table::Network => "[network]",
            Table::Rule => "a rule",
            Table::Dns => "[network.dns]",
            Table::Upstream => "[network.upstream]",
            Table::Profile => "[profiles.NAME]",
            Table::Attach => "[[attach]]",
        }
    }

    /// The heading of its settings, where it has such as layers put together.
    pub(super) const fn heading(self) -> Option<&'static str> {
        match self {
            Table::Network => Some("network"),
            Table::Dns => Some("network.dns"),
            Table::Upstream => Some("network.upstream"),
            Table::Top | Table::Rule | Table::Profile | Table::Attach => None,
        }
    }
}

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text; what it has to be stands in the key's text.
    Text,
    /// A time: a number with `ms`, `s`, `m` or `h`.
    Time,
    /// A number of 1 to 65535.
    Number,
    /// A list of texts; empty or not.
    Texts {
        /// Whether it may be empty.
        empty: bool,
    },
    /// A list of words, at least one.
    Words(&'static [&'static str]),
    /// A list of ports and ranges of ports, at least one.
    Ports,
    /// Rules by pattern, and what reads such a pattern.
    Rules(ReadPattern),
    /// `"allow"` or `"deny"` by unix socket.
    UnixRules,
    /// Lists of DNS servers by domain.
    Servers,
    /// A table of keys.
    Table(Table),
    /// Such tables by name.
    Tables(Table),
    /// A list of such tables.
    List(Table),
}

impl Kind {
    /// As the reference calls it.
    pub fn text(self) -> String {
        let words = |list: &[&str]| {
            list.iter().map(|word| format!("`\"{word}\"`")).collect::<Vec<_>>().join(" or ")
        };
        match self {
            Kind::Boolean => "boolean".to_owned(),
            Kind::Word(list) => words(list),
            Kind::Text => "text".to_owned(),
            Kind::Time => "time".to_owned(),
            Kind::Number => "number (1 to 65535)".to_owned(),
            Kind::Texts { .. } => "list of texts".to_owned(),
            Kind::Words(list) => format!("list of {}", words(list)),
            Kind::Ports => "list of ports (1 to 65535) and ranges (`\"8000-8010\"`)".to_owned(),
            Kind::Rules(_) => "rules by pattern".to_owned(),
            Kind::UnixRules => "actions by socket".to_owned(),
            Kind::Servers => "lists of servers by domain".to_owned(),
            Kind::Table(table) | Kind::Tables(table) => format!("table, see {}", table.name()),
            Kind::List(_) => "list of tables".to_owned(),
        }
    }
}

/// Reads the pattern of a rule with this action.
pub type ReadPattern = fn(&str, Action) -> Result<Pattern, PatternError>;
/// Reads a value, or one entry of a list.
pub type ReadValue = fn(&DeValue<'_>) -> Result<Value, PatternError>;

/// What requirements that write a key do to the layers below them. Without requirements the lowest
/// layer that writes a key says its value, as managed values are defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The narrower value stays, and holds where nobody below writes the key.
    Narrow(Narrow),
    /// The value stays, whatever it is: what holds of a key that says nothing else.
    Fixed,
    /// Lists below hold nothing that this one does not.
    Subset,
    /// Nothing: each layer's line counts for itself.
    Free,
}

/// The narrower value of a key that has two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Narrow {
    /// Of a boolean.
    Boolean(bool),
    /// Of two words.
    Word(&'static str),
}

/// Where `policy show` has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Always, with its default where no file writes it.
    Effective,
    /// Where a file writes it: the default asks for nothing.
    Written,
    /// Nowhere: what it does stands in other lines.
    Never,
}

/// Whether `egress run` acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Built {
    /// It does.
    Yes,
    /// Not yet: another value than the default is refused.
    No,
    /// Nor on this place of an explicit listener, whose default is worth a warning only.
    Listener,
}

/// An option of a rule: its place in [`RuleOptions`].
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleOption {
    /// Puts the value there.
    pub(super) set: fn(&mut RuleOptions, Value),
    /// The value, where it is not the default.
    pub(super) get: fn(&RuleOptions) -> Option<Value>,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Where it stands.
    pub table: Table,
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What holds where it is not written, as it would be written; empty where nothing does.
    pub default: &'static str,
    /// What it means, with its limits; one or two sentences.
    pub text: &'static str,
    /// A line that has it.
    pub example: &'static str,
    /// What it was called before; a file with the old word is told the new one.
    pub former: Option<&'static str>,
    /// What requirements that write it do to lower layers.
    pub bound: Bound,
    /// Whether it means something in requirements alone.
    pub is_for_requirements: bool,
    /// Whether its table cannot be without it.
    pub is_needed: bool,
    /// Where `policy show` has it.
    pub show: Show,
    /// Whether `egress run` acts on it.
    pub built: Built,
    /// Reads the value, or an entry of the list, where the kind does not say enough.
    pub(super) read: Option<ReadValue>,
    /// Why a time cannot be nothing; none where it can.
    pub(super) never_zero: Option<&'static str>,
    /// Whether what cannot be read may be a password, and is never shown.
    pub(super) is_secret: bool,
    /// Its place in a rule, for the options of rules.
    pub(super) option: Option<RuleOption>,
}

pub(super) const fn key(
    table: Table,
    name: &'static str,
    kind: Kind,
    default: &'static str,
    text: &'static str,
    example: &'static str,
) -> Key {
    Key {
        table,
        name,
        kind,
        default,
        text,
        example,
        former: None,
        bound: Bound::Fixed,
        is_for_requirements: false,
        is_needed: false,
        show: Show::Effective,
        built: Built::Yes,
        read: None,
        never_zero: None,
        is_secret: false,
        option: None,
    }
}

/// What most keys do not need to say.
impl Key {
    pub(super) const fn formerly(self, name: &'static str) -> Self {
        Self { former: Some(name), ..self }
    }

    pub(super) const fn narrow(self, to: bool) -> Self {
        Self { bound: Bound::Narrow(Narrow::Boolean(to)), ..self }
    }

    pub(super) const fn narrow_word(self, to: &'static str) -> Self {
        Self { bound: Bound::Narrow(Narrow::Word(to)), ..self }
    }

    pub(super) const fn free(self) -> Self {
        Self { bound: Bound::Free, ..self }
    }

    pub(super) const fn subset(self) -> Self {
        Self { bound: Bound::Subset, ..self }
    }

    pub(super) const fn for_requirements(self) -> Self {
        Self { is_for_requirements: true, ..self }
    }

    pub(super) const fn needed(self) -> Self {
        Self { is_needed: true, ..self }
    }

    pub(super) const fn shown(self, show: Show) -> Self {
        Self { show, ..self }
    }

    pub(super) const fn built(self, built: Built) -> Self {
        Self { built, ..self }
    }

    pub(super) const fn read_by(self, read: ReadValue) -> Self {
        Self { read: Some(read), ..self }
    }

    pub(super) const fn never_zero(self, why: &'static str) -> Self {
        Self { never_zero: Some(why), ..self }
    }

    pub(super) const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    pub(super) const fn option(
        self,
        set: fn(&mut RuleOptions, Value),
        get: fn(&RuleOptions) -> Option<Value>,
    ) -> Self {
        Self { option: Some(RuleOption { set, get }), ..self }
    }

    /// As `[network]` names it: `mode`, `dns.timeout`, `upstream.url`.
    pub fn path(&self) -> String {
        let heading = self.table.heading().and_then(|heading| heading.strip_prefix("network."));
        match heading {
            Some(inner) => format!("{inner}.{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// Whether it is a setting: one value, which the layers come to together.
    pub(super) fn is_setting(&self) -> bool {
        let is_value = !matches!(self.kind, Kind::Table(_) | Kind::Rules(_) | Kind::UnixRules);
        is_value && self.table.heading().is_some()
    }
}

/// A table of keys, as a value: all that is done with keys is done with the one that is handed in.
#[derive(Clone, Copy, Debug)]
pub struct Keys(&'static [Key]);

impl Keys {
    /// Of these keys.
    pub const fn new(keys: &'static [Key]) -> Self {
        Self(keys)
    }

    /// Every key, table by table.
    pub fn iter(self) -> impl Iterator<Item = &'static Key> {
        self.0.iter()
    }

    /// The keys of one table.
    pub fn of(self, table: Table) -> impl Iterator<Item = &'static Key> {
        self.iter().filter(move |key| key.table == table)
    }

    /// The key of this name.
    pub fn find(self, table: Table, name: &str) -> Option<&'static Key> {
        self.of(table).find(|key| key.name == name)
    }

    /// The key that was called so.
    pub(super) fn renamed(self, table: Table, name: &str) -> Option<&'static Key> {
        self.of(table).find(|key| key.former == Some(name))
    }

    /// The settings, table by table.
    pub(super) fn settings(self) -> impl Iterator<Item = &'static Key> {
        self.iter().filter(|key| key.is_setting())
    }
}
