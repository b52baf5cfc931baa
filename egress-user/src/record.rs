//! What was refused, kept for the summary that `egress run` prints at its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Mutex, PoisonError},
};

use egress_common::Reason;

use crate::text::Printable;

/// Most distinct refusals kept; later ones are counted together. Each costs about 200 octets.
pub const MAX_DISTINCT: usize = 1024;

/// Most refusals that the summary lists; the rest are counted.
const MAX_SHOWN: usize = 50;

/// One refusal, said by whoever refused. Names, rules and paths are in it: safe to show, whoever chose them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// What the program wanted, as a person would write it: `example.org`, `tcp 192.0.2.1:443`.
    pub what: Printable,
    /// Why not.
    pub reason: Reason,
    /// The rule that refused, as `pattern (file:line)`; none when nothing matched.
    pub rule: Option<Printable>,
    /// The line or flag that would allow it; none when nothing would.
    pub fix: Option<Printable>,
}

/// Refusals of one sandbox, grouped.
#[derive(Debug, Default)]
pub struct Journal {
    seen: Mutex<Seen>,
    sorting: Mutex<Sorting>,
}

#[derive(Debug, Default)]
struct Sorting {
    /// Port and count of each.
    connects: BTreeMap<Refused, (u16, u64)>,
    tcp_ports: BTreeSet<u16>,
}

#[derive(Debug, Default)]
struct Seen {
    grouped: BTreeMap<Refused, u64>,
    beyond: u64,
}

impl Journal {
    /// Notes one refusal. Never blocks on I/O.
    pub fn refused(&self, refused: Refused) {
        tracing::debug!(what = %refused.what, reason = refused.reason.name(), "refused");
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = seen.grouped.get_mut(&refused) {
            *count += 1;
        } else if seen.grouped.len() < MAX_DISTINCT {
            seen.grouped.insert(refused, 1);
        } else {
            seen.beyond += 1;
        }
    }

    /// Notes a connect of a datagram socket to an address of an allowed name. Resolver libraries
    /// sort a name's addresses by such connects, to the port that they are asked for (RFC 6724),
    /// and send nothing: it is told only if no TCP connection went to that port.
    pub fn refused_datagram_connect(&self, port: u16, refused: Refused) {
        // Libraries that are asked for no port take one of these.
        if matches!(port, 0 | u16::MAX) {
            return;
        }
        let mut sorting = self.sorting.lock().unwrap_or_else(PoisonError::into_inner);
        if sorting.connects.len() < MAX_DISTINCT || sorting.connects.contains_key(&refused) {
            sorting.connects.entry(refused).or_insert((port, 0)).1 += 1;
        } else {
            drop(sorting);
            self.refused(refused);
        }
    }

    /// Notes that a TCP connection was tried to this port, with whatever success.
    pub fn note_attempt(&self, port: u16) {
        self.sorting.lock().unwrap_or_else(PoisonError::into_inner).tcp_ports.insert(port);
    }

    /// Ends the wait for TCP connections: what is left of the datagram connects is told.
    pub fn flush_deferred(&self) {
        let mut sorting = self.sorting.lock().unwrap_or_else(PoisonError::into_inner);
        for (refused, (port, count)) in std::mem::take(&mut sorting.connects) {
            if !sorting.tcp_ports.contains(&port) {
                (0..count).for_each(|_| self.refused(refused.clone()));
            }
        }
    }

    /// Every distinct refusal with how often it happened.
    pub fn entries(&self) -> Vec<(Refused, u64)> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.grouped.iter().map(|(refused, count)| (refused.clone(), *count)).collect()
    }

    /// Whether anything was refused.
    pub fn is_empty(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.grouped.is_empty()
    }
}

impl fmt::Display for Journal {
    /// The summary: a line a refusal, most frequent first, with the line that would allow it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries = self.entries();
        entries.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (refused, count) in entries.iter().take(MAX_SHOWN) {
            let times = if *count == 1 { String::new() } else { format!(" ({count} times)") };
            write!(f, "  {}: {}{times}", refused.what, refused.reason.name())?;
            if let Some(rule) = &refused.rule {
                write!(f, ", by {rule}")?;
            }
            if let Some(fix) = &refused.fix {
                write!(f, "\n      to allow: {fix}")?;
            }
            writeln!(f)?;
        }
        let beyond = self.seen.lock().unwrap_or_else(PoisonError::into_inner).beyond
            + entries.iter().skip(MAX_SHOWN).map(|(_, count)| count).sum::<u64>();
        if beyond > 0 {
            writeln!(f, "  and {beyond} more")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_prints_no_line_of_its_own() {
        let journal = Journal::default();
        let forged =
            "x\n  good.test: not_allowed\n      to allow: --allow evil.test\u{1b}[2K\u{202e}";
        let rule = Some(forged.into());
        journal.refused(Refused { rule, fix: Some(forged.into()), ..refusal(forged) });
        let text = journal.to_string();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(!text.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{text}");
    }

    fn refusal(what: &str) -> Refused {
        let reason = Reason::ProtocolNotAllowed;
        Refused { what: what.into(), reason, rule: None, fix: None }
    }

    #[test]
    fn datagram_connects_are_told_where_no_tcp_went() {
        let journal = Journal::default();
        for port in [0, 80, 123, 443, u16::MAX] {
            journal.refused_datagram_connect(port, refusal(&format!("udp to {port}")));
        }
        journal.note_attempt(80);
        journal.note_attempt(443);
        assert!(journal.is_empty());
        journal.flush_deferred();
        assert_eq!(journal.entries(), [(refusal("udp to 123"), 1)]);
    }

    #[test]
    fn a_summary_stays_short() {
        let journal = Journal::default();
        (0..2000).for_each(|number| journal.refused(refusal(&format!("host{number}"))));
        let text = journal.to_string();
        assert_eq!(text.lines().count(), MAX_SHOWN + 1);
        assert!(text.ends_with("  and 1950 more\n"), "{text}");
    }
}
