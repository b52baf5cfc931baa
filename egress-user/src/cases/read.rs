//! From the text of a file of cases to a [`Suite`].
use std::{net::IpAddr, ops::Range};

use egress_common::Reason;
use ipnet::IpNet;
use toml::{
    Spanned,
    de::{DeString, DeTable, DeValue},
};

use super::{Case, Expected, Resolver, Suite};
use crate::{
    config::{ConfigError, ConfigErrors, Source},
    policy::{Action, Answer, Name, OwnAddresses},
    target::Answers,
};

const TOP: &[&str] = &["policy", "resolver", "own_addresses", "case"];
const CASE: &[&str] = &["name", "target", "expect", "reason", "rule", "resolver", "own_addresses"];
const ANSWER: &[&str] = &["addresses", "chain"];
const RESOLVER: &str =
    "write resolver = { \"example.com\" = [\"93.184.216.34\"] }, or \"system\" for real lookups";
const OWN: &str = "write own_addresses = [\"93.184.216.2\", \"2606:2800:220:1::/64\"]";
const ADDRESSES: &str = "write a list of addresses, or one of \"NXDOMAIN\", \"SERVFAIL\", \"TIMEOUT\", \"EMPTY\"; of one family \
     as in [\"93.184.216.34\", \"AAAA:SERVFAIL\"]";

pub(super) fn read(text: &str, file_name: &str) -> Result<Suite, ConfigErrors> {
    let mut reader =
        Reader { source: Source::new(text, file_name), errors: ConfigErrors::default() };
    let (root, syntax_errors) = DeTable::parse_recoverable(text);
    for error in &syntax_errors {
        let message = error.message().trim().replace('\n', ", ");
        reader.report(error.span().unwrap_or(0..0), message, "");
    }
    // What stands after an error of syntax may be read as something that nobody wrote.
    let suite = syntax_errors.is_empty().then(|| reader.suite(&root));
    reader.errors.sort();
    match suite {
        Some(suite) if reader.errors.is_empty() => Ok(suite),
        _ => Err(reader.errors),
    }
}

type Node<'t, 'i> = &'t Spanned<DeValue<'i>>;

struct Reader<'a> {
    source: Source<'a>,
    errors: ConfigErrors,
}

impl Reader<'_> {
    fn suite(&mut self, root: &Spanned<DeTable<'_>>) -> Suite {
        let table = root.get_ref();
        self.known(table, TOP, "a file of cases");
        let policy = table.get("policy").map_or_else(Vec::new, |node| {
            self.texts(node, "write policy = [\"policy.toml\"], the highest layer first")
        });
        let shared = table.get("resolver").and_then(|node| self.resolver(node));
        let own = match table.get("own_addresses") {
            Some(node) => self.own_addresses(node),
            None => OwnAddresses::default(),
        };
        let mut cases = Vec::new();
        match table.get("case") {
            None => self.report(
                0..0,
                "the file has no case",
                "write [[case]] with target = \"example.com:443\" and expect = \"allow\" below it",
            ),
            Some(node) => match node.get_ref().as_array() {
                None => self.report(node.span(), "a case has two brackets", "write [[case]]"),
                Some(list) => {
                    for node in list.iter() {
                        cases.extend(self.case(node, shared.as_ref(), &own));
                    }
                }
            },
        }
        Suite { policy, cases }
    }

    fn case(
        &mut self,
        node: Node<'_, '_>,
        shared: Option<&Resolver>,
        shared_own: &OwnAddresses,
    ) -> Option<Case> {
        let Some(table) = node.get_ref().as_table() else {
            self.report(node.span(), "a case is a table", "write [[case]]");
            return None;
        };
        self.known(table, CASE, "[[case]]");
        let mut text = |key: &str, example: &str| {
            let node = table.get(key)?;
            Some((node.span(), self.text(node, example)?))
        };
        let name = text("name", "write name = \"what it shows\"").map(|(_, name)| name);
        let target = text("target", "write target = \"example.com:443\"");
        let expect = text("expect", "write expect = \"allow\" or expect = \"deny\"");
        let reason = text("reason", "write reason = \"not_allowed\"");
        let rule = text("rule", "write rule = \"**.example.com\"").map(|(_, rule)| rule);
        for (key, example) in [
            ("target", "write target = \"example.com:443\""),
            ("expect", "write expect = \"deny\""),
        ] {
            if !table.contains_key(key) {
                self.report(node.span(), format!("the case has no {key}"), example);
            }
        }
        let target = target.and_then(|(span, text)| match text.parse() {
            Ok(target) => Some((span, text, target)),
            Err(error) => self.fail(span, format!("{error}"), ""),
        });
        let action = expect.and_then(|(span, text)| match text.as_str() {
            "allow" => Some(Action::Allow),
            "deny" => Some(Action::Deny),
            other => {
                let message = format!("{other:?} is no outcome");
                self.fail(span, message, "write \"allow\" or \"deny\"")
            }
        });
        let reason = reason.and_then(|(span, text)| self.reason(span, &text, action));
        let own = table.get("resolver").and_then(|node| self.resolver(node));
        let own_addresses = match table.get("own_addresses") {
            Some(node) => self.own_addresses(node),
            None => shared_own.clone(),
        };
        let (span, text, target) = target?;
        Some(Case {
            line: self.source.line(span.start),
            name,
            text,
            target,
            expected: Expected { action: action?, reason, rule },
            resolver: both(own, shared),
            own: own_addresses,
        })
    }

    /// Addresses, and blocks of them, that the machine is to hold.
    fn own_addresses(&mut self, node: Node<'_, '_>) -> OwnAddresses {
        let block = |text: &str| {
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            text.parse::<IpNet>().ok().or_else(address)
        };
        let blocks = self.parsed(node, OWN, block);
        OwnAddresses::new(blocks.into_iter().map(|block| (block, "own_addresses".into())))
    }

    fn reason(&mut self, span: Range<usize>, text: &str, action: Option<Action>) -> Option<Reason> {
        if action == Some(Action::Allow) {
            let message = "an allowed target has no reason";
            return self.fail(span, message, "remove reason, or write expect = \"deny\"");
        }
        let found = Reason::from_name(text);
        if found.is_none() {
            let names: Vec<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
            let suggestion = format!("write one of {}", names.join(", "));
            self.report(span, format!("{text:?} is no reason"), suggestion);
        }
        found
    }

    fn resolver(&mut self, node: Node<'_, '_>) -> Option<Resolver> {
        match node.get_ref() {
            DeValue::String(text) if text == "system" => Some(Resolver::System),
            DeValue::Table(table) => {
                let mut answers = Answers::default();
                for (name, node) in table.iter() {
                    let answer = self.answer(node);
                    match (name.get_ref().as_ref(), Name::parse(name.get_ref())) {
                        ("*", _) => answer.into_iter().for_each(|a| answers.set_others(a)),
                        (_, Ok(name)) => {
                            answer.into_iter().for_each(|a| answers.set(name.clone(), a))
                        }
                        (_, Err(error)) => {
                            self.report(name.span(), error.to_string(), "write a name, or \"*\"");
                        }
                    }
                }
                Some(Resolver::Given(answers))
            }
            _ => self.fail(node.span(), "this is no resolver", RESOLVER),
        }
    }

    /// A list of addresses, a word, or `{ addresses = [...], chain = [...] }`.
    fn answer(&mut self, node: Node<'_, '_>) -> Option<Answer> {
        match node.get_ref() {
            DeValue::String(text) => self.words(node, &[text.to_string()], Vec::new()),
            DeValue::Array(_) => {
                let words = self.texts(node, ADDRESSES);
                self.words(node, &words, Vec::new())
            }
            DeValue::Table(table) => {
                self.known(table, ANSWER, "an answer");
                let addresses = table
                    .get("addresses")
                    .map_or_else(Vec::new, |node| self.texts(node, ADDRESSES));
                let chain = table.get("chain").map_or_else(Vec::new, |node| {
                    let example =
                        "write the names of the CNAME chain: chain = [\"cdn.example.net\"]";
                    self.parsed(node, example, |text| Name::parse(text).ok())
                });
                self.words(node, &addresses, chain)
            }
            other => {
                let message = format!("a value of type {} is no answer", other.type_str());
                self.fail(node.span(), message, ADDRESSES)
            }
        }
    }

    fn words(&mut self, node: Node<'_, '_>, words: &[String], chain: Vec<Name>) -> Option<Answer> {
        match Answers::of_words(words.iter().map(String::as_str), chain) {
            Ok(answer) => Some(answer),
            Err(error) => self.fail(node.span(), error.to_string(), ADDRESSES),
        }
    }

    /// Each text of a list, read; what cannot be read is reported and left out.
    fn parsed<T>(
        &mut self,
        node: Node<'_, '_>,
        example: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let Some(list) = node.get_ref().as_array() else {
            self.report(node.span(), "a list is needed here", example);
            return Vec::new();
        };
        let mut found = Vec::new();
        for node in list.iter() {
            let Some(text) = self.text(node, example) else { continue };
            match read(&text) {
                Some(value) => found.push(value),
                None => self.report(node.span(), format!("{text:?} cannot be used here"), example),
            }
        }
        found
    }

    fn texts(&mut self, node: Node<'_, '_>, example: &str) -> Vec<String> {
        self.parsed(node, example, |text| Some(text.to_owned()))
    }

    fn text(&mut self, node: Node<'_, '_>, example: &str) -> Option<String> {
        match node.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            other => {
                let message = format!("a text is needed here, not a {}", other.type_str());
                self.fail(node.span(), message, example)
            }
        }
    }

    fn known(&mut self, table: &DeTable<'_>, keys: &[&str], place: &str) {
        let unknown = |(key, _): &(&Spanned<DeString<'_>>, Node<'_, '_>)| {
            !keys.contains(&key.get_ref().as_ref())
        };
        for (key, _) in table.iter().filter(unknown) {
            let message = format!("{:?} is no key of {place}", key.get_ref());
            self.report(key.span(), message, format!("the keys are {}", keys.join(", ")));
        }
    }

    fn fail<T>(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        suggestion: &str,
    ) -> Option<T> {
        self.report(span, message, suggestion);
        None
    }

    fn report(
        &mut self,
        span: Range<usize>,
        message: impl Into<String>,
        suggestion: impl Into<String>,
    ) {
        let place = Some(self.source.place(span));
        let file = self.source.file.to_owned();
        let (message, suggestion) = (message.into(), suggestion.into());
        self.errors.push(ConfigError { file, place, message, suggestion });
    }
}

/// The resolver of a case, filled up from the file's. Without any, every lookup is missed.
fn both(own: Option<Resolver>, shared: Option<&Resolver>) -> Resolver {
    match (own, shared) {
        (Some(Resolver::Given(own)), Some(Resolver::Given(shared))) => {
            Resolver::Given(own.or(shared))
        }
        (Some(own), _) => own,
        (None, Some(shared)) => shared.clone(),
        (None, None) => Resolver::Given(Answers::default()),
    }
}
