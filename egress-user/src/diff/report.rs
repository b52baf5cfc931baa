//! Changes, put together for a reader.
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

use super::{Hosts, Scope, ranges};
use crate::policy::Name;

/// Names that are listed as left out of a wildcard.
const EXCEPTIONS_SHOWN: usize = 4;

/// Kinds of targets that change alike, by the same lines.
#[derive(Clone, Debug)]
pub struct Difference {
    /// Whose.
    pub hosts: Vec<Hosts>,
    /// The same in words; patterns and blocks that belong together are one.
    pub words: Vec<String>,
    /// What of them, and how it changes.
    pub scope: Scope,
}

impl Difference {
    /// Whether the targets are allowed now.
    pub fn is_opened(&self) -> bool {
        self.scope.after.is_allow()
    }
}

/// `example.com: every port but 443`.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words.join(", "))?;
        match self.scope.to_string().as_str() {
            "" => Ok(()),
            scope => write!(f, ": {scope}"),
        }
    }
}

/// Differences, those that are alike together.
#[derive(Default)]
pub(super) struct Report {
    found: Vec<Difference>,
    by_key: HashMap<String, usize>,
    /// Every name of a kind, changed or not, its labels in reverse: those below one stand together.
    names: BTreeSet<String>,
}

impl Report {
    pub(super) fn add(&mut self, hosts: Hosts, scopes: Vec<Scope>) {
        if let Hosts::Name(name) = &hosts {
            self.names.insert(reversed(name.as_str()));
        }
        for scope in scopes {
            let kind = match &hosts {
                Hosts::ResolvingTo(_) => "address".to_owned(),
                Hosts::NamesResolvingTo(names, _) => format!("address of {names}"),
                Hosts::WithAlias(_) => "alias".to_owned(),
                _ => "host".to_owned(),
            };
            let key = format!("{kind} {}", scope.key());
            let at = *self.by_key.entry(key).or_insert(self.found.len());
            match self.found.get_mut(at) {
                Some(known) => known.hosts.push(hosts.clone()),
                None => {
                    let (hosts, words) = (vec![hosts.clone()], Vec::new());
                    self.found.push(Difference { hosts, words, scope });
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<Difference> {
        let mut found = std::mem::take(&mut self.found);
        for difference in &mut found {
            difference.words = self.words(&difference.hosts);
        }
        found
    }

    /// A difference has either lookups of one kind, or hosts.
    fn words(&self, hosts: &[Hosts]) -> Vec<String> {
        let inner: BTreeSet<&Hosts> = hosts.iter().map(Hosts::inner).collect();
        let mut words = Vec::new();
        let mut blocks = Vec::new();
        for hosts in hosts.iter().map(Hosts::inner) {
            match hosts {
                Hosts::Name(name) | Hosts::Below(name) if is_under_another(name, &inner) => {}
                // Shown with the name itself.
                Hosts::Below(name) if inner.contains(&Hosts::Name(name.clone())) => {}
                Hosts::Name(name) if inner.contains(&Hosts::Below(name.clone())) => {
                    words.push(format!("**.{name}{}", self.exceptions(name, &inner)));
                }
                Hosts::Below(name) => {
                    words.push(format!("*.{name}{}", self.exceptions(name, &inner)));
                }
                Hosts::Range(first, last) => blocks.push((*first, *last)),
                hosts => words.push(hosts.to_string()),
            }
        }
        let blocks = ranges::joined(&blocks).into_iter();
        words.extend(blocks.map(|(first, last)| Hosts::Range(first, last).to_string()));
        match hosts.first() {
            Some(Hosts::ResolvingTo(_)) => {
                vec![format!("allowed names that resolve to {}", words.join(", "))]
            }
            Some(Hosts::NamesResolvingTo(names, _)) => {
                vec![format!("{names} where it resolves to {}", words.join(", "))]
            }
            Some(Hosts::WithAlias(_)) => {
                vec![format!("allowed names with {} in their CNAME chain", words.join(", "))]
            }
            Some(_) | None => words,
        }
    }

    /// What of the names below this one is told apart and does not belong to the difference.
    fn exceptions(&self, name: &Name, inner: &BTreeSet<&Hosts>) -> String {
        let below = format!("{}.", reversed(name.as_str()));
        let names = self.names.range(below.clone()..).take_while(|name| name.starts_with(&below));
        let names = names.filter_map(|text| Name::parse(&reversed(text)).ok());
        let mut exceptions: Vec<String> = names
            .filter_map(|name| {
                let itself = inner.contains(&Hosts::Name(name.clone()));
                let others = inner.contains(&Hosts::Below(name.clone()));
                match (itself, others) {
                    (true, true) => None,
                    (true, false) => Some(format!("*.{name}")),
                    (false, true) => Some(name.to_string()),
                    (false, false) => Some(format!("**.{name}")),
                }
            })
            .collect();
        let more = exceptions.len().saturating_sub(EXCEPTIONS_SHOWN);
        exceptions.truncate(EXCEPTIONS_SHOWN);
        if more > 0 {
            exceptions.push(format!("{more} more"));
        }
        match exceptions.as_slice() {
            [] => String::new(),
            exceptions => format!(" (but not {})", exceptions.join(", ")),
        }
    }
}

/// Whether the names below a shorter one belong to the difference: these are then shown with it.
fn is_under_another(name: &Name, hosts: &BTreeSet<&Hosts>) -> bool {
    let mut rest = name.as_str();
    while let Some((_, parent)) = rest.split_once('.') {
        if Name::parse(parent).is_ok_and(|parent| hosts.contains(&Hosts::Below(parent))) {
            return true;
        }
        rest = parent;
    }
    false
}

fn reversed(name: &str) -> String {
    name.rsplit('.').collect::<Vec<_>>().join(".")
}
