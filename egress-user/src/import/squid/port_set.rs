//! Ports as squid has them: any set of them.
use std::collections::BTreeSet;

use crate::import::{list::port_number, patterns::Ports};

/// Most ports that are written one by one.
const MOST: usize = 32;
/// Ports that many ask for, of a set that is too large to write.
const COMMON: [u16; 6] = [22, 80, 443, 5432, 8080, 8443];

/// A set of ports from 1 to 65535.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PortSet(Vec<(u16, u16)>);

impl PortSet {
    pub(super) fn every() -> Self {
        Self(vec![(1, u16::MAX)])
    }

    /// `80` or `1025-65535`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (port_number(first)?, port_number(last)?);
        (first <= last).then(|| Self(vec![(first, last)]))
    }

    pub(super) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
        self.0.sort_unstable();
    }

    pub(super) fn contains(&self, port: u16) -> bool {
        self.0.iter().any(|&(first, last)| (first..=last).contains(&port))
    }

    pub(super) fn and(&self, other: &Self) -> Self {
        let pairs = self.0.iter().flat_map(|&(first, last)| {
            other.0.iter().map(move |&(from, to)| (first.max(from), last.min(to)))
        });
        let mut ranges: Vec<_> = pairs.filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        ranges.dedup();
        Self(ranges)
    }

    /// All others.
    pub(super) fn not(&self) -> Self {
        let mut rest = Self::every();
        for &(first, last) in &self.0 {
            let mut outside = Vec::new();
            if first > 1 {
                outside.push((1, first - 1));
            }
            if last < u16::MAX {
                outside.push((last + 1, u16::MAX));
            }
            rest = rest.and(&Self(outside));
        }
        rest
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As a rule has them, and whether some are left out as there are too many.
    pub(super) fn ports(&self) -> (Ports, bool) {
        if self.not().is_empty() {
            return (None, false);
        }
        let all = self.0.iter().flat_map(|&(first, last)| first..=last);
        let listed: BTreeSet<u16> = all.take(MOST + 1).collect();
        if listed.len() <= MOST
            && self.0.iter().all(|(first, last)| usize::from(last - first) < MOST)
        {
            return (Some(listed), false);
        }
        let singles = self.0.iter().filter(|(first, last)| first == last).map(|&(port, _)| port);
        let common = COMMON.into_iter().filter(|port| self.contains(*port));
        (Some(singles.take(MOST).chain(common).collect()), true)
    }
}
