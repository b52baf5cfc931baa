//! The account at the end of a run.

use std::{collections::BTreeMap, fmt};

use super::{discover::Group, runner::Tally};

/// What became of one group.
#[derive(Debug, Default)]
pub(crate) struct Row {
    /// Those that ended, well or badly.
    run: usize,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
    /// Why tests were skipped or could not run, each reason once.
    reasons: Vec<String>,
}

impl Row {
    /// Counts the tests of an executable that ran.
    pub(crate) fn add(&mut self, tally: Tally) {
        self.run += tally.passed + tally.failed.len();
        self.passed += tally.passed;
        self.failed.extend(tally.failed);
        for reason in &tally.skipped {
            self.skip(1, reason);
        }
        if tally.ignored > 0 {
            self.skip(tally.ignored, "marked #[ignore], its reason stands with the test");
        }
    }

    /// Counts tests that were left out for a good reason.
    pub(crate) fn skip(&mut self, count: usize, reason: &str) {
        self.skipped += count;
        if count > 0 {
            self.because(reason);
        }
    }

    /// Counts tests that should have run and could not.
    pub(crate) fn bar(&mut self, tests: &[String], reason: &str) {
        self.failed.extend(tests.iter().map(|name| format!("{name} (did not run)")));
        self.because(reason);
    }

    /// Notes that the whole group is missing, which is a failure.
    pub(crate) fn absent(&mut self, reason: &str) {
        self.failed.push(format!("({reason})"));
        self.because(reason);
    }

    fn because(&mut self, reason: &str) {
        if !self.reasons.iter().any(|known| known == reason) {
            self.reasons.push(reason.to_owned());
        }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: BTreeMap<Group, Row>,
}

impl Report {
    /// The row of this group.
    pub(crate) fn row(&mut self, group: Group) -> &mut Row {
        self.rows.entry(group).or_default()
    }

    /// How many tests failed.
    pub(crate) fn failed(&self) -> usize {
        self.rows.values().map(|row| row.failed.len()).sum()
    }
}

impl fmt::Display for Report {
    /// The names of what failed, a line a group, and the totals alone on the last line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (group, row) in &self.rows {
            for name in &row.failed {
                writeln!(f, "failed: {}: {name}", group.name())?;
            }
        }
        writeln!(f, "{:<11} {:>5} {:>7} {:>8}  why", "group", "run", "failed", "skipped")?;
        let nothing = Row::default();
        for group in Group::ALL {
            let row = self.rows.get(&group).unwrap_or(&nothing);
            let (name, failed, why) = (group.name(), row.failed.len(), row.reasons.join("; "));
            let (run, skipped) = (row.run, row.skipped);
            let line = format!("{name:<11} {run:>5} {failed:>7} {skipped:>8}  {why}");
            writeln!(f, "{}", line.trim_end())?;
        }
        let passed: usize = self.rows.values().map(|row| row.passed).sum();
        let skipped: usize = self.rows.values().map(|row| row.skipped).sum();
        writeln!(f, "{passed} passed, {} failed, {skipped} skipped", self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_the_totals_alone() {
        let mut report = Report::default();
        let (failed, skipped) = (vec!["a".to_owned()], vec!["no Landlock".to_owned()]);
        report.row(Group::Unit).add(Tally { passed: 3, failed, ignored: 1, skipped });
        report.row(Group::Kernel).skip(7, "not root");
        let text = report.to_string();
        assert_eq!(text.lines().last(), Some("3 passed, 1 failed, 9 skipped"));
        assert!(text.contains("failed: unit: a\n"));
        assert!(text.contains("not root") && text.contains("no Landlock"));
    }

    #[test]
    fn tests_that_were_barred_count_as_failed_and_not_as_run() {
        let mut report = Report::default();
        report.row(Group::Kernel).bar(&["a".to_owned(), "b".to_owned()], "missing packages");
        assert_eq!(report.failed(), 2);
        let text = report.to_string();
        assert!(text.contains("kernel          0       2        0  missing packages\n"), "{text}");
    }
}
