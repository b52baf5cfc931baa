//! What is written to keys: values with the line that says each, in whichever table of keys.
use std::{sync::Arc, time::Duration};

use ipnet::IpNet;

use super::{
    DnsServer, Forward, ListenUrl, RecordType, UpstreamUrl, Written,
    keys::{Bound, Key, Narrow, Table},
};
use crate::policy::{Layer, PatternError, PortRange};

/// A value that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `true` or `false`.
    Boolean(bool),
    /// A number.
    Number(u16),
    /// A port, or a range of them.
    Ports(PortRange),
    /// One of the words of a key.
    Word(&'static str),
    /// Any text.
    Text(String),
    /// A time.
    Time(Duration),
    /// Where an explicit listener listens.
    Listen(ListenUrl),
    /// A proxy to leave by.
    Upstream(UpstreamUrl),
    /// A DNS server.
    Server(DnsServer),
    /// A type of DNS records.
    RecordType(RecordType),
    /// Addresses.
    Block(IpNet),
    /// A list of values.
    List(Vec<Value>),
    /// DNS servers by domain.
    Forward(Vec<Forward>),
}

impl Value {
    /// The entries of a list; none of what is none.
    pub(super) fn into_list(self) -> Vec<Value> {
        match self {
            Value::List(list) => list,
            _ => Vec::new(),
        }
    }

    /// The texts and words of a list.
    pub(super) fn into_texts(self) -> Vec<String> {
        let text = |value| match value {
            Value::Text(text) => Some(text),
            Value::Word(word) => Some(word.to_owned()),
            _ => None,
        };
        self.into_list().into_iter().filter_map(text).collect()
    }

    fn has(&self, entry: &Value) -> bool {
        matches!(self, Value::List(list) if list.contains(entry))
    }
}

impl Narrow {
    fn is(self, value: &Value) -> bool {
        match self {
            Narrow::Boolean(narrow) => *value == Value::Boolean(narrow),
            Narrow::Word(narrow) => *value == Value::Word(narrow),
        }
    }
}

impl Bound {
    /// Whether this value of requirements holds, whatever is written below.
    pub(super) fn closes(self, value: &Value) -> bool {
        match self {
            Bound::Narrow(narrow) => narrow.is(value),
            Bound::Fixed => true,
            Bound::Subset | Bound::Free => false,
        }
    }

    /// Whether what a lower layer tries goes beyond what requirements say.
    pub(super) fn is_beyond(self, bound: &Value, tried: &Value) -> bool {
        match self {
            Bound::Free => false,
            Bound::Narrow(narrow) => narrow.is(bound) && !narrow.is(tried),
            Bound::Fixed => bound != tried,
            Bound::Subset => match tried {
                Value::List(tried) => tried.iter().any(|entry| !bound.has(entry)),
                _ => bound != tried,
            },
        }
    }
}

/// The settings that one place writes: a file's `[network]`, a profile, or flags. What it leaves
/// out is not there, as only written keys constrain other layers.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<(&'static Key, Written<Value>)>);

impl Values {
    /// What is written to the key.
    pub(super) fn get(&self, key: &Key) -> Option<&Written<Value>> {
        self.find(key.table, key.name)
    }

    /// What is written to the key of this name.
    pub(super) fn find(&self, table: Table, name: &str) -> Option<&Written<Value>> {
        let is_it = |key: &Key| key.table == table && key.name == name;
        self.0.iter().find(|(key, _)| is_it(key)).map(|(_, written)| written)
    }

    /// The time that is written to the key of this name.
    pub(super) fn time(&self, table: Table, name: &str) -> Option<Duration> {
        match self.find(table, name)?.value {
            Value::Time(value) => Some(value),
            _ => None,
        }
    }

    pub(super) fn put(&mut self, key: &'static Key, written: Written<Value>) {
        match self.0.iter_mut().find(|(own, _)| (own.table, own.name) == (key.table, key.name)) {
            Some((_, own)) => *own = written,
            None => self.0.push((key, written)),
        }
    }

    pub(super) fn belong_to(&mut self, layer: Layer, profile: Option<&Arc<str>>) {
        for (_, written) in &mut self.0 {
            written.origin.layer = layer;
            written.origin.profile = profile.cloned();
        }
    }

    /// Adds what is not written here.
    pub(super) fn fill_from(&mut self, other: Self) {
        for (key, written) in other.0 {
            if self.get(key).is_none() {
                self.0.push((key, written));
            }
        }
    }

    /// Puts what `over` writes in the place of what is written here.
    pub(super) fn override_with(&mut self, over: Self) {
        for (key, mut written) in over.0 {
            // Its keys are domains, each a key of its own.
            if let (Value::Forward(new), Some(Value::Forward(own))) =
                (&mut written.value, self.get(key).map(|own| &own.value))
            {
                let kept = own.iter().filter(|own| new.iter().all(|new| new.domain != own.domain));
                let mut merged: Vec<_> = kept.cloned().collect();
                merged.append(new);
                *new = merged;
            }
            self.put(key, written);
        }
    }

    /// What is wrong where both bounds of a pin's life are written.
    pub(super) fn ttl_conflict(&self) -> Option<PatternError> {
        let (min, max) = self.time(Table::Dns, "min_ttl").zip(self.time(Table::Dns, "max_ttl"))?;
        (min > max).then(|| {
            PatternError::new(
                format!("min_ttl ({min:?}) is more than max_ttl ({max:?})"),
                "write a min_ttl that is at most max_ttl",
            )
        })
    }
}
