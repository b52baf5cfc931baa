//! What a run tells at its end.

use std::{fmt, net::SocketAddr};

use crate::text::Printable;

/// A connection that did not get rid of everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Where the program wanted to go.
    pub to: SocketAddr,
    /// Bytes that the program's kernel took as delivered, and the far side did not get. There may be
    /// more that never came as far as here.
    pub bytes: u64,
}

/// What there is to tell of one sandbox that was stopped. Its text is whole lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was not delivered.
    pub given_up: Vec<GivenUp>,
    /// Some of the command's processes do not die: they stay filtered.
    pub is_left: bool,
    /// The journal, as it is shown.
    pub refused: String,
    /// Refusals that the kernel could not tell of, as the ring was full.
    pub lost: u64,
    /// Packets that the last hook dropped.
    pub packets: u64,
    /// Connections and lookups that were refused because a kernel table was full.
    pub full: u64,
    /// Packets of connections (the first one, or first bytes) of which user space was told when the kernel sent them
    /// again, as too many came at once.
    pub delayed: u64,
    /// A file of the system's configuration that has changed and was not read again, as the command could
    /// have written it.
    pub left_unread: Option<Printable>,
}

impl Summary {
    /// Whether anything was refused.
    pub fn has_refused(&self) -> bool {
        !self.refused.is_empty() || self.lost > 0 || self.full > 0
    }

    /// What went wrong of it, without what was refused and what is a note.
    pub fn errors(&self) -> Self {
        Self { given_up: self.given_up.clone(), is_left: self.is_left, ..Self::default() }
    }

    fn fmt_refused(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for GivenUp { to, bytes } in &self.given_up {
            writeln!(f, "egress: given up: at least {bytes} bytes to tcp {to} were not delivered")?;
        }
        if self.is_left {
            writeln!(
                f,
                "egress: some of the command's processes do not die; they stay filtered, and the next run \
                 removes what is left"
            )?;
        }
        if self.has_refused() {
            self.fmt_refused(f)?;
        }
        if self.delayed > 0 {
            writeln!(
                f,
                "egress: {} packets of new connections waited, up to a second each: more came at once than there \
                 is room for",
                self.delayed
            )?;
        }
        if let Some(path) = &self.left_unread {
            writeln!(
                f,
                "egress: {path} has changed and was not read again: the command could have written it \
                 (`--user NAME` runs it as a user who cannot)"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_tell_is_no_line() {
        // Packets are dropped of connections that were refused before; alone they are no news.
        let summary = Summary { packets: 3, ..Summary::default() };
        assert_eq!(summary.to_string(), "");
        assert!(!summary.has_refused());
    }

    #[test]
    fn everything_is_told_in_whole_lines() {
        let given_up = GivenUp { to: "192.0.2.1:443".parse().unwrap(), bytes: 7 };
        let summary = Summary {
            given_up: vec![given_up],
            is_left: true,
            refused: "  evil.test: not_allowed\n".to_owned(),
            lost: 2,
            packets: 5,
            full: 1,
            delayed: 4,
            left_unread: Some("/etc/resolv.conf\nx".into()),
        };
        let text = summary.to_string();
        let expected = [
            "egress: given up: at least 7 bytes to tcp 192.0.2.1:443 were not delivered",
            "egress: some of the command's processes do not die",
            "egress: refused:",
            "  evil.test: not_allowed",
            "  and 2 more that were not recorded (5 packets",
            "  1 connections or lookups",
            "egress: 4 packets of new connections waited",
            "egress: /etc/resolv.conf\\nx has changed",
        ];
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), expected.len(), "{text}");
        for (line, start) in lines.into_iter().zip(expected) {
            assert!(line.starts_with(start), "{text}");
        }
        assert!(summary.has_refused());
        let errors = summary.errors();
        let lines: Vec<_> = text.lines().take(2).collect();
        assert_eq!(errors.to_string().lines().collect::<Vec<_>>(), lines);
        assert!(!errors.has_refused());
    }
}
