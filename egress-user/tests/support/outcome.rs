//! What a finished program leaves behind, and the sentences by which a test judges it.
use std::ffi::OsString;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::tools::slowness;
use super::world::World;

/// A program that has ended.
pub(crate) struct Finished<'w> {
    pub(crate) world: &'w World,
    pub(crate) words: Vec<OsString>,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) took: Duration,
}

impl Finished<'_> {
    /// Claims that the exit code is 0.
    #[track_caller]
    pub(crate) fn succeeded(&self) -> &Self {
        self.exited(0)
    }

    /// Claims this exit code.
    #[track_caller]
    pub(crate) fn exited(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "exit code\n{self}");
        self
    }

    /// Claims that it exited by itself with some other code than 0.
    #[track_caller]
    pub(crate) fn failed(&self) -> &Self {
        assert!(self.status.code().is_some_and(|code| code != 0), "expected a failure\n{self}");
        self
    }

    /// Claims exactly this standard output.
    #[track_caller]
    pub(crate) fn printed(&self, text: &str) -> &Self {
        assert_eq!(self.text(), text, "standard output\n{self}");
        self
    }

    /// Claims that standard output contains `text`.
    #[track_caller]
    pub(crate) fn said(&self, text: &str) -> &Self {
        assert!(self.text().contains(text), "standard output lacks {text:?}\n{self}");
        self
    }

    /// Claims that standard error contains `text`.
    #[track_caller]
    pub(crate) fn complained(&self, text: &str) -> &Self {
        assert!(self.complaints().contains(text), "standard error lacks {text:?}\n{self}");
        self
    }

    /// Claims that it took less than this, so many times longer where all is slow: a refusal comes at once.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Self {
        let limit = limit * slowness();
        assert!(self.took < limit, "took {:?}, over {limit:?}\n{self}", self.took);
        self
    }

    /// Claims that the probe gave one of these results; see `probe.py` for the words.
    #[track_caller]
    pub(crate) fn probe(&self, probe: &str, expected: &[&str]) -> &Self {
        let result = self.probed(probe);
        assert!(
            expected.contains(&result.as_str()),
            "probe {probe:?} gave {result:?}, not {expected:?}\n{self}"
        );
        self
    }

    /// The result that `probe.py` printed for one probe.
    #[track_caller]
    pub(crate) fn probed(&self, probe: &str) -> String {
        let output = self.text();
        let found = output.lines().find_map(|line| line.strip_prefix(probe)?.strip_prefix(" => "));
        found.unwrap_or_else(|| panic!("no result of probe {probe:?}\n{self}")).to_owned()
    }

    /// Claims that each of these probes has come to a result, and none of them to one with this word.
    #[track_caller]
    pub(crate) fn none_gave<S: AsRef<str>>(&self, word: &str, probes: &[S]) -> &Self {
        for probe in probes.iter().map(AsRef::as_ref) {
            let result = self.probed(probe);
            assert!(!result.contains(word), "probe {probe:?} gave {result:?}\n{self}");
        }
        self
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub(crate) fn complaints(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// The whole story, for the message of a failed claim.
impl fmt::Display for Finished<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.words.iter().map(|word| word.to_string_lossy()).collect();
        writeln!(f, "$ {}", words.join(" "))?;
        match self.status.signal() {
            Some(signal) => writeln!(f, "killed by signal {signal} after {:?}", self.took)?,
            None => writeln!(f, "exit code {:?} after {:?}", self.status.code(), self.took)?,
        }
        writeln!(
            f,
            "-- stdout\n{}-- stderr\n{}{}",
            shortened(&self.stdout),
            shortened(&self.stderr),
            self.world
        )
    }
}

/// The first part of an output, always ending a line.
fn shortened(output: &[u8]) -> String {
    const LIMIT: usize = 8 << 10;
    let mut text = String::from_utf8_lossy(&output[..output.len().min(LIMIT)]).into_owned();
    if output.len() > LIMIT {
        text.push_str(&format!("\n... {} bytes in all", output.len()));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}
