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
#[error(
    "{0:?} is neither an address nor one of NXDOMAIN, SERVFAIL, TIMEOUT, EMPTY, which may be said of one family: \
     A:SERVFAIL, AAAA:TIMEOUT"
)]
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

    /// The answer of these words: addresses, or one of `NXDOMAIN`, `SERVFAIL`, `TIMEOUT`, `EMPTY`, of which
    /// each can be said of one family alone: `A:SERVFAIL`, `AAAA:NXDOMAIN`. The names of the chain are those of
    /// the addresses.
    ///
    /// # Errors
    /// The first word that is none, or that says of a family what its addresses contradict.
    pub fn of_words<'w>(
        words: impl IntoIterator<Item = &'w str>,
        chain: Vec<Name>,
    ) -> Result<Answer, AnswerError> {
        let (mut addresses, mut whole, mut of_v4, mut of_v6) = (Vec::new(), None, None, None);
        for word in words {
            let word = word.trim();
            let wrong = || AnswerError(word.to_owned());
            let (slot, failure) = match word.split_once(':') {
                Some(("A", failure)) => (&mut of_v4, failure),
                Some(("AAAA", failure)) => (&mut of_v6, failure),
                _ => (&mut whole, word),
            };
            match (failed(failure), word.parse::<IpAddr>()) {
                (Some(failure), _) if slot.is_none() => *slot = Some(failure),
                (None, Ok(address)) => addresses.push(address),
                _ => return Err(wrong()),
            }
        }
        // An IPv4 address in the form of IPv6 comes with the answer for AAAA.
        let (v4, v6): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv4);
        let contradicts =
            |failure: &Option<Answer>, found: &[IpAddr]| failure.is_some() && !found.is_empty();
        let all = [&v4[..], &v6].concat();
        let has_families = of_v4.is_some() || of_v6.is_some();
        if contradicts(&whole, &all)
            || contradicts(&of_v4, &v4)
            || contradicts(&of_v6, &v6)
            || whole.is_some() && has_families
        {
            return Err(AnswerError(
                all.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            ));
        }
        if let Some(whole) = whole {
            return Ok(whole);
        }
        let found = |failure: Option<Answer>, addresses: Vec<IpAddr>| {
            failure.unwrap_or(Answer::Found { chain: chain.clone(), addresses })
        };
        Ok(Answer::of_families(found(of_v4, v4), found(of_v6, v6)))
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

fn failed(word: &str) -> Option<Answer> {
    Some(match word {
        "SERVFAIL" => Answer::ServFail,
        "NXDOMAIN" => Answer::NxDomain,
        "TIMEOUT" => Answer::Timeout,
        "EMPTY" => Answer::Found { chain: Vec::new(), addresses: Vec::new() },
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<Answer> {
        Answers::of_words(text.split(',').filter(|word| !word.is_empty()), Vec::new()).ok()
    }

    fn found(addresses: &[&str]) -> Option<Answer> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Some(Answer::Found { chain: Vec::new(), addresses })
    }

    #[test]
    fn one_family_can_fail() {
        for (text, expected) in [
            ("93.184.216.34", found(&["93.184.216.34"])),
            ("93.184.216.34,AAAA:SERVFAIL", found(&["93.184.216.34"])),
            ("A:TIMEOUT, 2606:2800::1", found(&["2606:2800::1"])),
            ("AAAA:SERVFAIL", Some(Answer::ServFail)),
            ("A:NXDOMAIN,AAAA:TIMEOUT", Some(Answer::Timeout)),
            ("A:NXDOMAIN,AAAA:NXDOMAIN", Some(Answer::NxDomain)),
            ("NXDOMAIN", Some(Answer::NxDomain)),
            ("", found(&[])),
            ("EMPTY", found(&[])),
            // Addresses of the family that fails.
            ("A:SERVFAIL,93.184.216.34", None),
            ("SERVFAIL,93.184.216.34", None),
            ("SERVFAIL,A:SERVFAIL", None),
            ("A:93.184.216.34", None),
            ("MX:SERVFAIL", None),
            ("a.test", None),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
