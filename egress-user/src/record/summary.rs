//! What a run tells at its end.

use std::fmt;

/// The refusals of one sandbox, and what of them was not recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The journal, as it is shown.
    pub refused: String,
    /// Refusals that the kernel could not tell of, as the ring was full.
    pub lost: u64,
    /// Packets that the last hook dropped.
    pub packets: u64,
    /// Connections and lookups that were refused because a kernel table was full.
    pub full: u64,
}

impl Summary {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.refused.is_empty() && self.lost == 0 && self.full == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "egress: refused:\n{}", self.refused)?;
        if self.lost > 0 {
            let Self { lost, packets, .. } = self;
            writeln!(
                f,
                "  and {lost} more that were not recorded ({packets} packets were dropped in all)"
            )?;
        }
        if self.full > 0 {
            writeln!(f, "  {} connections or lookups, as a kernel table was full", self.full)?;
        }
        Ok(())
    }
}
