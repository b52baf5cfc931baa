//! Lookups whose answers are given, so that nothing is asked of the network.
use std::{collections::HashMap, net::IpAddr};

use crate::policy::{Answer, Lookup, Name};

/// Answers by name.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    by_name: HashMap<Name, Answer>,
    others: Option<Answer>,
    missed: Option<Name>,
    seen: Vec<IpAddr>,
}

/// A text that is no answer of a lookup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor one of NXDOMAIN, SERVFAIL, TIMEOUT, EMPTY")]
pub struct AnswerError(pub String);

impl Answers {
    /// Sets the answer of one name.
    pub fn set(&mut self, name: Name, answer: Answer) {
        self.by_name.insert(name, answer);
    }

    /// Sets the answer of every name that has none of its own.
    pub fn set_others(&mut self, answer: Answer) {
        self.others = Some(answer);
    }

    /// Whether no answer is set.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty() && self.others.is_none()
    }

    /// These answers, and where they have none, the other's.
    #[must_use]
    pub fn or(mut self, other: &Self) -> Self {
        for (name, answer) in &other.by_name {
            // `*` here is nearer than a name there.
            if self.others.is_none() {
                self.by_name.entry(name.clone()).or_insert_with(|| answer.clone());
            }
        }
        if self.others.is_none() {
            self.others.clone_from(&other.others);
        }
        self
    }

    /// The answer of a word (`NXDOMAIN`, `SERVFAIL`, `TIMEOUT`, `EMPTY`) or of one address.
    pub fn word(text: &str) -> Result<Answer, AnswerError> {
        let found = |addresses| Answer::Found { chain: Vec::new(), addresses };
        match text {
            "SERVFAIL" => Ok(Answer::ServFail),
            "NXDOMAIN" => Ok(Answer::NxDomain),
            "TIMEOUT" => Ok(Answer::Timeout),
            "EMPTY" => Ok(found(Vec::new())),
            text => match text.trim().parse() {
                Ok(address) => Ok(found(vec![address])),
                Err(_) => Err(AnswerError(text.to_owned())),
            },
        }
    }

    /// A name that was looked up without an answer set for it. It was answered as a failure.
    pub fn missed(&self) -> Option<&Name> {
        self.missed.as_ref()
    }

    /// The addresses of the last answer.
    pub fn seen(&self) -> &[IpAddr] {
        &self.seen
    }
}

impl Lookup for Answers {
    fn lookup(&mut self, name: &Name) -> Answer {
        let Some(answer) = self.by_name.get(name).or(self.others.as_ref()) else {
            self.missed = Some(name.clone());
            return Answer::ServFail;
        };
        if let Answer::Found { addresses, .. } = answer {
            self.seen.clone_from(addresses);
        }
        answer.clone()
    }
}
