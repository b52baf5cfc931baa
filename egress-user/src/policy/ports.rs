//! Sets of ports, and the ports of which something is expected.
use std::{fmt, sync::Arc};

/// Ports on which TLS is expected: connections to them go straight out where nothing needs the proxy.
pub const TLS_PORTS: [u16; 2] = [443, 8443];

/// Ports on which plain HTTP is expected: every request has to be read, so that they are always the proxy's.
pub const HTTP_PORTS: [u16; 2] = [80, 8080];

/// [`TLS_PORTS`] and [`HTTP_PORTS`]: anything else needs `protocol = "any"` there. Sorted.
pub const WEB_PORTS: [u16; 4] = [HTTP_PORTS[0], TLS_PORTS[0], HTTP_PORTS[1], TLS_PORTS[1]];

/// Most ranges that the lines of one pattern open together, a single port being one, and neighbours
/// being one together: as many as the kernel's records have. More are an error where the policy is read.
pub const MAX_PORT_RANGES: usize = 32;

/// Ports that follow each other: one or more, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// Every port.
    pub const EVERY: Self = Self { first: 1, last: u16::MAX };

    /// From the first to the last, both of which belong to it; none where the last is before the
    /// first, or the first is 0.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first == 0 || last < first { None } else { Some(Self { first, last }) }
    }

    /// One port; none for 0.
    pub const fn one(port: u16) -> Option<Self> {
        Self::new(port, port)
    }

    /// `443` or `30000-31000`, as people write it: digits alone, the lower port first.
    pub fn parse(text: &str) -> Option<Self> {
        let port = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u16>().ok().filter(|_| digits)
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(port(first)?, port(last)?)
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }

    /// Whether the port is one of them.
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }

    /// Of both.
    pub fn and(self, other: Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// Whether all ports of it are one.
    pub const fn is_one(self) -> bool {
        self.first == self.last
    }
}

/// `443`, `30000-31000`.
impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_one() {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// Ports, exactly. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSet {
    /// Every port but 0.
    All,
    /// These ports: ranges that are sorted, and have other ports between them.
    Only(Arc<[PortRange]>),
}

impl PortSet {
    /// These ports; 0 is none.
    pub fn only(ports: impl IntoIterator<Item = u16>) -> Self {
        Self::of(ports.into_iter().filter_map(PortRange::one))
    }

    /// The ports of these ranges.
    pub fn of(ranges: impl IntoIterator<Item = PortRange>) -> Self {
        let mut sorted: Vec<PortRange> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut apart: Vec<PortRange> = Vec::with_capacity(sorted.len());
        for range in sorted {
            match apart.last_mut() {
                Some(before) if range.first <= before.last.saturating_add(1) => {
                    before.last = before.last.max(range.last);
                }
                _ => apart.push(range),
            }
        }
        if *apart == [PortRange::EVERY] { PortSet::All } else { PortSet::Only(apart.into()) }
    }

    /// The ranges, sorted, with other ports between them.
    pub fn ranges(&self) -> &[PortRange] {
        match self {
            PortSet::All => &[PortRange::EVERY],
            PortSet::Only(ranges) => ranges,
        }
    }

    /// The entries of a list that says the same: two neighbours are two ports, more are a range.
    pub fn entries(&self) -> impl Iterator<Item = PortRange> + '_ {
        self.ranges().iter().flat_map(|range| {
            let is_pair = range.last - range.first == 1;
            let first =
                PortRange { last: if is_pair { range.first } else { range.last }, ..*range };
            [Some(first), is_pair.then_some(PortRange { first: range.last, ..*range })]
                .into_iter()
                .flatten()
        })
    }

    /// Whether it has no port.
    pub fn is_empty(&self) -> bool {
        self.ranges().is_empty()
    }

    /// Whether the port is one of the set; 0 never is.
    pub fn contains(&self, port: u16) -> bool {
        let ranges = self.ranges();
        let before = ranges.partition_point(|range| range.last < port);
        ranges.get(before).is_some_and(|range| range.contains(port))
    }

    /// Whether every port of the other is one of this.
    pub fn covers(&self, other: &PortSet) -> bool {
        let within = |range: &PortRange| {
            let before = self.ranges().partition_point(|own| own.last < range.first);
            self.ranges()
                .get(before)
                .is_some_and(|own| own.first <= range.first && range.last <= own.last)
        };
        other.ranges().iter().all(within)
    }

    /// Ports of either.
    #[must_use]
    pub fn union(self, other: &PortSet) -> Self {
        match self.covers(other) {
            true => self,
            false => Self::of(self.ranges().iter().chain(other.ranges()).copied()),
        }
    }

    /// Ports of both.
    #[must_use]
    pub fn and(&self, other: &PortSet) -> Self {
        let pairs = self
            .ranges()
            .iter()
            .flat_map(|one| other.ranges().iter().filter_map(|two| one.and(*two)));
        Self::of(pairs)
    }

    /// Ports that are not of the other.
    #[must_use]
    pub fn without(&self, other: &PortSet) -> Self {
        self.and(&other.others())
    }

    /// Every port that is not one of these.
    #[must_use]
    pub fn others(&self) -> Self {
        let mut next = Some(PortRange::EVERY.first);
        let mut others = Vec::new();
        for range in self.ranges() {
            others.extend(next.and_then(|next| PortRange::new(next, range.first - 1)));
            next = range.last.checked_add(1);
        }
        others.extend(next.and_then(|next| PortRange::new(next, PortRange::EVERY.last)));
        Self::of(others)
    }

    /// The parts of it of whose ports each of the other sets has either all or none, sorted.
    pub fn parts<'a>(&self, sets: impl IntoIterator<Item = &'a PortSet>) -> Vec<PortRange> {
        // Where a part begins.
        let mut begins: Vec<u16> = self.ranges().iter().map(|range| range.first).collect();
        for range in sets.into_iter().flat_map(PortSet::ranges) {
            begins.push(range.first);
            begins.extend(range.last.checked_add(1));
        }
        begins.sort_unstable();
        begins.dedup();
        let mut parts = Vec::new();
        for range in self.ranges() {
            let from = begins.partition_point(|begin| *begin < range.first);
            let inside = begins.get(from..).unwrap_or_default().iter().copied();
            let inside: Vec<u16> = inside.take_while(|begin| *begin <= range.last).collect();
            for (at, &first) in inside.iter().enumerate() {
                let last = inside.get(at + 1).map_or(range.last, |next| next - 1);
                parts.extend(PortRange::new(first, last));
            }
        }
        parts
    }
}

/// `22, 80, 30000-31000`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, entry) in self.entries().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
