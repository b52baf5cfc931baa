//! From the tree of a TOML file to [`Loaded`].
use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{
    ConfigError, ConfigErrors, Loaded, Place, Written,
    error::Source,
    keys::{KEYS, Keys, Table},
    schema, value,
};
use crate::policy::{Origin, PatternError};

mod network;
mod profiles;
mod rules;
mod syntax;
mod values;

pub(super) fn read(keys: Keys, text: &str, file_name: &str) -> Result<Loaded, ConfigErrors> {
    read_as(keys, text, file_name, true)
}

/// A line that a flag makes: it has no place in a file.
pub(super) fn read_flag(keys: Keys, text: &str, flag: &str) -> Result<Loaded, ConfigErrors> {
    read_as(keys, text, flag, false)
}

fn read_as(keys: Keys, text: &str, file_name: &str, is_file: bool) -> Result<Loaded, ConfigErrors> {
    let mut reader = Reader { keys, is_file, ..Reader::of(text, file_name) };
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    let slips = syntax::explain(text, &syntax_errors);
    let mut loaded = None;
    // What stands after an open bracket may be read as something that nobody wrote.
    if slips.iter().all(|slip| slip.ends_there) {
        reader.has_slips = !slips.is_empty();
        loaded = Some(reader.file(root.get_ref()));
    }
    let lines: Vec<_> = slips.iter().map(|slip| reader.source.line(slip.span.start)).collect();
    reader.errors.keep_outside(&lines);
    for slip in slips {
        reader.report(slip.span, slip.error);
    }
    reader.errors.sort();
    match loaded {
        Some(loaded) if reader.errors.is_empty() => Ok(loaded),
        _ => Err(reader.errors),
    }
}

type Node<'t, 'i> = &'t Spanned<DeValue<'i>>;
type Entry<'t, 'i> = (&'t Spanned<DeString<'i>>, Node<'t, 'i>);

struct Reader<'a> {
    keys: Keys,
    source: Source<'a>,
    file: Arc<str>,
    /// Whether lines and columns mean anything to the user.
    is_file: bool,
    /// Whether some lines could not be read: what seems to be missing may be in these.
    has_slips: bool,
    errors: ConfigErrors,
}

impl<'a> Reader<'a> {
    /// Of a file that was not looked at yet.
    fn of(text: &'a str, file_name: &'a str) -> Self {
        Self {
            keys: KEYS,
            source: Source::new(text, file_name),
            file: file_name.into(),
            is_file: true,
            has_slips: false,
            errors: ConfigErrors::default(),
        }
    }
}

impl Reader<'_> {
    fn file(&mut self, root: &DeTable<'_>) -> Loaded {
        let mut loaded = Loaded::default();
        for (key, node) in self.known(root, Table::Top) {
            match key.get_ref().as_ref() {
                "network" => loaded.network = self.network(node),
                "profiles" => loaded.profiles = self.profiles(node),
                "default_profile" => loaded.default_profile = self.written(node, value::profile),
                "attach" => loaded.attach = self.attach(node),
                // The schema names no other key.
                _ => {}
            }
        }
        loaded
    }

    /// The entries that this version acts on, in the order of the file; others are reported.
    fn known<'t, 'i>(&mut self, table: &'t DeTable<'i>, of: Table) -> Vec<Entry<'t, 'i>> {
        let mut known = Vec::new();
        for (key, node) in in_order(table) {
            let name = key.get_ref();
            if let Some(known) = self.keys.renamed(of, name) {
                let now = known.name;
                let suggestion = format!("write {now} = {}", self.source.written(node.span()));
                let message = format!("`{name}` is now `{now}`");
                self.report(key.span(), PatternError::new(message, suggestion));
                continue;
            }
            let Some(suggestion) = schema::unknown(self.keys, of, name) else {
                known.push((key, node));
                continue;
            };
            let message = format!("{name:?} is no key of {}", of.name());
            self.report(key.span(), PatternError::new(message, suggestion));
        }
        known
    }

    fn table<'t, 'i>(&mut self, node: Node<'t, 'i>) -> Option<&'t DeTable<'i>> {
        let table = node.get_ref().as_table();
        if table.is_none() {
            let kind = node.get_ref().type_str();
            let error = PatternError::new(
                format!("a table is needed here, not a value of type {kind}"),
                "write a heading such as [network.domains] and its keys below",
            );
            self.report(node.span(), error);
        }
        table
    }

    /// A list, also an empty one.
    fn any_list<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<Vec<T>> {
        match node.get_ref().as_array() {
            Some(array) if array.is_empty() => Some(Vec::new()),
            _ => self.list(node, read),
        }
    }

    /// A list with at least one entry.
    fn list<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<Vec<T>> {
        let error = match node.get_ref().as_array() {
            Some(array) if !array.is_empty() => {
                // Each entry is read before any error ends the list: all are reported.
                let entries: Vec<_> = array.iter().map(|node| self.value(node, &read)).collect();
                return entries.into_iter().collect();
            }
            Some(_) => PatternError::new("an empty list opens nothing", "leave the key out"),
            None => match read(node.get_ref()) {
                Ok(_) => {
                    let suggestion = format!("write [{}]", self.source.written(node.span()));
                    PatternError::new("a list is needed here", suggestion)
                }
                Err(PatternError { message, suggestion }) => {
                    PatternError::new(message, format!("{suggestion}, in brackets: [ ]"))
                }
            },
        };
        self.report(node.span(), error);
        None
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        let line = u32::try_from(self.source.line(span.start)).ok();
        Origin::new(self.file.clone(), line.filter(|_| self.is_file))
    }

    fn place(&self, span: Range<usize>) -> Option<Place> {
        self.is_file.then(|| self.source.place(span))
    }

    fn written<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<Written<T>> {
        let value = self.value(node, read)?;
        Some(self.said(value, node))
    }

    /// A value with its place.
    fn said<T>(&self, value: T, node: Node<'_, '_>) -> Written<T> {
        Written { value, origin: self.origin(&node.span()), place: self.place(node.span()) }
    }

    fn value<T>(
        &mut self,
        node: Node<'_, '_>,
        read: impl Fn(&DeValue<'_>) -> Result<T, PatternError>,
    ) -> Option<T> {
        read(node.get_ref()).map_err(|error| self.report(node.span(), error)).ok()
    }

    fn report(&mut self, span: Range<usize>, error: PatternError) {
        let PatternError { message, suggestion } = error;
        let place = self.place(span);
        let file = self.source.file.to_owned();
        self.errors.push(ConfigError { file, place, message, suggestion });
    }
}

/// The parser sorts keys by name.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
