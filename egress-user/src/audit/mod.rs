//! What was refused, kept for the summary that `egress run` prints at its end.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use egress_common::Reason;

/// Most distinct refusals kept; later ones are counted together. Each costs about 200 octets.
pub const MAX_DISTINCT: usize = 1024;

/// One refusal, said by whoever refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refused {
    /// What the program wanted, as a person would write it: `example.org`, `tcp 192.0.2.1:443`.
    pub what: String,
    /// Why not.
    pub reason: Reason,
    /// The rule that refused, as `pattern (file:line)`; none when nothing matched.
    pub rule: Option<String>,
    /// The line or flag that would allow it; none when nothing would.
    pub fix: Option<String>,
}

/// Refusals of one sandbox, grouped.
#[derive(Debug, Default)]
pub struct Journal {
    seen: Mutex<Seen>,
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
        for (refused, count) in &entries {
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
        let beyond = self.seen.lock().unwrap_or_else(PoisonError::into_inner).beyond;
        if beyond > 0 {
            writeln!(f, "  and {beyond} more")?;
        }
        Ok(())
    }
}
