//! Values of keys, as the table of keys says what each is.
use toml::de::{DeTable, DeValue};

use super::{Node, Reader, in_order};
use crate::{
    config::{
        Forward, Written,
        keys::{Key, Kind},
        value,
        values::Value,
    },
    policy::{Host, PatternError},
};

impl Reader<'_> {
    /// What a file writes to this key, or none after an error.
    pub(super) fn setting(
        &mut self,
        key: &'static Key,
        node: Node<'_, '_>,
    ) -> Option<Written<Value>> {
        let value = self.value_of(key, node)?;
        Some(self.said(value, node))
    }

    pub(super) fn value_of(&mut self, key: &'static Key, node: Node<'_, '_>) -> Option<Value> {
        let one = |value: &DeValue<'_>| match (key.read, key.kind) {
            (Some(read), _) => read(value),
            (None, Kind::Word(words) | Kind::Words(words)) => value::word(value, key.name, words),
            (None, Kind::Ports) => value::ports(value).map(Value::Ports),
            (None, _) => value::text(value, key.name),
        };
        // What is not as it has to be may be a password all over.
        if key.is_secret && one(node.get_ref()).is_err() {
            self.source.hide(node.span());
        }
        match key.kind {
            Kind::Boolean => self.value(node, value::boolean).map(Value::Boolean),
            Kind::Word(_) | Kind::Text => self.value(node, one),
            Kind::Time => self.time(key, node),
            Kind::Number => self.value(node, |it| value::number(it, key.name)).map(Value::Number),
            Kind::Texts { empty: true } => self.any_list(node, one).map(Value::List),
            Kind::Texts { empty: false } | Kind::Words(_) | Kind::Ports => {
                self.list(node, one).map(Value::List)
            }
            Kind::Servers => Some(Value::Forward(self.forward(node))),
            // These are structures, and no values.
            Kind::Rules(_) | Kind::UnixRules | Kind::Table(_) | Kind::Tables(_) | Kind::List(_) => {
                None
            }
        }
    }

    fn time(&mut self, key: &'static Key, node: Node<'_, '_>) -> Option<Value> {
        let time = self.value(node, value::duration)?;
        if let Some(why) = key.never_zero.filter(|_| time.is_zero()) {
            let error = PatternError::new(why, format!("write {}", key.default));
            self.report(node.span(), error);
        }
        Some(Value::Time(time))
    }

    fn forward(&mut self, node: Node<'_, '_>) -> Vec<Forward> {
        let mut forward = Vec::new();
        let Some(table) = self.table(node) else { return forward };
        for (key, node) in in_order(table) {
            let servers = self.list(node, value::dns_server);
            match Host::parse(key.get_ref()) {
                Ok(Host::Name(domain)) => {
                    forward.extend(servers.map(|servers| Forward { domain, servers }));
                }
                Ok(Host::Address(_)) | Err(_) => {
                    let message = format!("{:?} is no domain", key.get_ref());
                    let suggestion = "write a name such as \"corp.example\": it covers all below";
                    self.report(key.span(), PatternError::new(message, suggestion));
                }
            }
        }
        forward
    }
}

impl Key {
    /// Its default, read as a file's value is; none where nothing holds unless it is written.
    pub(in crate::config) fn default_value(&'static self) -> Option<Value> {
        let text = format!("v = {}", self.default);
        let root = DeTable::parse(&text).ok()?;
        let node = root.get_ref().get("v")?;
        Reader::of(&text, "default").value_of(self, node)
    }
}
