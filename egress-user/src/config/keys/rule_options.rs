//! Where each option of a rule stands in [`RuleOptions`].
use super::Value;
use crate::policy::{Ech, PortSet, Route, RuleOptions, Transport};

pub(super) fn set_ports(options: &mut RuleOptions, value: Value) {
    let ports = value.into_list().into_iter().filter_map(|entry| match entry {
        Value::Ports(ports) => Some(ports),
        _ => None,
    });
    options.ports = PortSet::of(ports);
}

pub(super) fn ports(options: &RuleOptions) -> Option<Value> {
    match &options.ports {
        PortSet::All => None,
        ports @ PortSet::Only(_) => Some(Value::List(ports.entries().map(Value::Ports).collect())),
    }
}

pub(super) fn set_transport(options: &mut RuleOptions, value: Value) {
    let words = value.into_list().into_iter().filter_map(|entry| match entry {
        Value::Word("tcp") => Some(Transport::Tcp),
        Value::Word("udp") => Some(Transport::Udp),
        _ => None,
    });
    options.transport = Some(words.collect());
}

pub(super) fn transport(options: &RuleOptions) -> Option<Value> {
    let written = options.transport.as_ref()?;
    Some(Value::List(written.iter().map(|one| Value::Word(one.as_str())).collect()))
}

pub(super) fn set_protocol(options: &mut RuleOptions, value: Value) {
    options.any_protocol = value == Value::Word("any");
}

pub(super) fn protocol(options: &RuleOptions) -> Option<Value> {
    options.any_protocol.then_some(Value::Word("any"))
}

pub(super) fn set_methods(options: &mut RuleOptions, value: Value) {
    options.methods = Some(sorted(value));
}

pub(super) fn methods(options: &RuleOptions) -> Option<Value> {
    options.methods.as_deref().map(texts)
}

pub(super) fn set_paths(options: &mut RuleOptions, value: Value) {
    options.paths = Some(sorted(value));
}

pub(super) fn paths(options: &RuleOptions) -> Option<Value> {
    options.paths.as_deref().map(texts)
}

pub(super) fn set_via(options: &mut RuleOptions, value: Value) {
    options.via = match value {
        Value::Word("kernel") => Some(Route::Kernel),
        Value::Word("proxy") => Some(Route::Proxy),
        _ => None,
    };
}

pub(super) fn via(options: &RuleOptions) -> Option<Value> {
    options.via.map(|route| Value::Word(route.as_str()))
}

pub(super) fn set_ech(options: &mut RuleOptions, value: Value) {
    options.ech = match value {
        Value::Word("allow") => Some(Ech::Allow),
        Value::Word("refuse") => Some(Ech::Refuse),
        _ => None,
    };
}

pub(super) fn ech(options: &RuleOptions) -> Option<Value> {
    options.ech.map(|ech| Value::Word(ech.as_str()))
}

pub(super) fn set_resolves_to(options: &mut RuleOptions, value: Value) {
    let blocks = value.into_list().into_iter().filter_map(|entry| match entry {
        Value::Block(block) => Some(block),
        _ => None,
    });
    let mut blocks: Vec<_> = blocks.collect();
    blocks.sort_unstable();
    blocks.dedup();
    options.resolves_to = blocks.into();
}

pub(super) fn resolves_to(options: &RuleOptions) -> Option<Value> {
    let blocks = &options.resolves_to;
    (!blocks.is_empty()).then(|| Value::List(blocks.iter().copied().map(Value::Block).collect()))
}

/// The words, sorted, each once.
fn sorted(value: Value) -> Box<[Box<str>]> {
    let mut words: Vec<Box<str>> = value.into_texts().into_iter().map(Into::into).collect();
    words.sort_unstable();
    words.dedup();
    words.into()
}

fn texts(words: &[Box<str>]) -> Value {
    Value::List(words.iter().map(|word| Value::Text(word.to_string())).collect())
}
