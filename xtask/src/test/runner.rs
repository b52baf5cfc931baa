//! Running one test executable, and reading what it says.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, BufReader, Write},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

/// How long after its end an executable's output is still read. A process that a test left behind
/// may hold the pipe open for ever.
const AFTER_END: Duration = Duration::from_secs(2);

/// What became of the tests of one executable.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// Names, or a sentence where no test can be named.
    pub(crate) failed: Vec<String>,
    /// Tests marked `#[ignore]`, which were not asked for.
    pub(crate) ignored: usize,
    /// Why tests skipped themselves, one reason each.
    pub(crate) skipped: Vec<String>,
}

/// Names of the tests, those marked `#[ignore]` among them.
pub(crate) fn list(command: &mut Command, filter: Option<&str>) -> anyhow::Result<Vec<String>> {
    let output = command
        .args(filter)
        .args(["--list", "--include-ignored"])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} cannot list its tests ({})", output.status);
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

/// Runs the tests that `list` gave, passing their output on as it comes.
pub(crate) fn run(
    command: &mut Command,
    listed: &[String],
    filter: Option<&str>,
    arguments: &[&str],
) -> anyhow::Result<Tally> {
    let command = command.args(filter).args(arguments);
    let mut reader = Reader::default();
    let status = watch(command, |line| reader.line(line))?;
    let mut tally = reader.tally(listed);
    if !status.success() && tally.failed.is_empty() {
        tally.failed.push(format!("(the executable ended with {status})"));
    }
    Ok(tally)
}

/// Runs a program to its end, passing on its output and handing each line to `each`.
pub(crate) fn watch(command: &mut Command, each: impl FnMut(&str)) -> anyhow::Result<ExitStatus> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    follow(&mut child, each)?;
    child.wait().context("wait for the tests")
}

/// Copies the child's output to ours, line by line, until it has ended.
fn follow(child: &mut Child, mut each: impl FnMut(&str)) -> anyhow::Result<()> {
    let Some(stdout) = child.stdout.take() else { bail!("the tests have no output") };
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = Vec::new();
        while matches!(stdout.read_until(b'\n', &mut line), Ok(count) if count > 0) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    let mut ended: Option<Instant> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(100)) {
            Ok(line) => {
                let mut ours = io::stdout().lock();
                ours.write_all(line.as_bytes()).context("write to standard output")?;
                each(line.trim_end());
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                if ended.is_none() && child.try_wait().context("wait for the tests")?.is_some() {
                    ended = Some(Instant::now());
                }
                if ended.is_some_and(|ended| ended.elapsed() > AFTER_END) {
                    println!("(a process that the tests left behind still holds their output)");
                    return Ok(());
                }
            }
        }
    }
}

/// Reads the lines of libtest, of one executable or of several in a row.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    /// Begun, and the result not seen: a test may write between its name and its result.
    pending: Option<String>,
    reported: BTreeSet<String>,
    passed: usize,
    ignored: usize,
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Sums of the `test result:` lines: passed, failed, ignored.
    summary: Option<[usize; 3]>,
}

impl Reader {
    /// Takes the next line.
    pub(crate) fn line(&mut self, line: &str) {
        if let Some(reason) = line.strip_prefix("skipped: ") {
            self.skipped.push(reason.to_owned());
        } else if let Some(counts) = line.strip_prefix("test result: ").and_then(summary) {
            let sums = self.summary.get_or_insert([0; 3]);
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count;
            }
        } else if let Some((name, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ..."))
        {
            let name = name.trim_end_matches(" - should panic").to_owned();
            self.pending = Some(name);
            self.result(result.trim());
        } else {
            self.result(line.trim());
        }
    }

    fn result(&mut self, result: &str) {
        let word = result.split([',', ' ']).next().unwrap_or_default();
        if !["ok", "FAILED", "ignored"].contains(&word) {
            return;
        }
        let Some(name) = self.pending.take() else { return };
        match word {
            "ok" => self.passed += 1,
            "ignored" => self.ignored += 1,
            _ => self.failed.push(name.clone()),
        }
        self.reported.insert(name);
    }

    /// The account, with the tests that were listed and never reported among the failed.
    pub(crate) fn tally(self, listed: &[String]) -> Tally {
        let mut failed = self.failed;
        let [passed, failures, ignored] =
            self.summary.unwrap_or([self.passed, failed.len(), self.ignored]);
        // A name may have been lost, or made up, by a test's own output; the sum was not.
        failed.truncate(failures);
        for index in failed.len()..failures {
            failed.push(format!("(failure {}, see above)", index + 1));
        }
        let missing = listed.len().saturating_sub(passed + failed.len() + ignored);
        let mut names = listed.iter().filter(|name| !self.reported.contains(*name));
        for _ in 0..missing {
            let name = names.next().map_or("(a test)", String::as_str);
            failed.push(format!("{name} (did not run to its end)"));
        }
        // libtest knows no skipping: to it, those passed.
        let passed = passed.saturating_sub(self.skipped.len());
        Tally { passed, failed, ignored, skipped: self.skipped }
    }
}

/// Passed, failed and ignored of `ok. 3 passed; 0 failed; 1 ignored; ...`.
fn summary(text: &str) -> Option<[usize; 3]> {
    let (_, counts) = text.split_once(". ")?;
    let mut numbers = counts
        .split("; ")
        .zip(["passed", "failed", "ignored"])
        .map(|(part, word)| part.strip_suffix(word).and_then(|number| number.trim().parse().ok()));
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, listed: &[&str]) -> Tally {
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        let listed: Vec<String> = listed.iter().map(|name| (*name).to_owned()).collect();
        reader.tally(&listed)
    }

    #[test]
    fn counts_what_passed_failed_and_was_ignored() {
        let text = "running 3 tests\ntest a ... ok\ntest b - should panic ... FAILED\n\
                    test c ... ignored, needs root\n\n\
                    test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out";
        let tally = read(text, &["a", "b", "c"]);
        let failed = vec!["b".to_owned()];
        assert_eq!(tally, Tally { passed: 1, failed, ignored: 1, ..Tally::default() });
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let text = "test a ... \nskipped: no such kernel\nok\n\nskipped: too old\ntest b ... ok\n\
                    test c ... ok\n\
                    test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let tally = read(text, &["a", "b", "c"]);
        let skipped = vec!["no such kernel".to_owned(), "too old".to_owned()];
        assert_eq!(tally, Tally { passed: 1, skipped, ..Tally::default() });
    }

    #[test]
    fn output_between_a_name_and_its_result_loses_nothing() {
        let text = "test a ... hello from a child\nok\ntest b ... no newlineok\n\
                    test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(read(text, &["a", "b"]), Tally { passed: 2, ..Tally::default() });
    }

    #[test]
    fn a_run_that_died_fails_every_test_without_a_result() {
        let tally = read("test a ... ok\ntest b ... ", &["a", "b", "c"]);
        assert_eq!(tally.passed, 1);
        assert_eq!(tally.failed, ["b (did not run to its end)", "c (did not run to its end)"]);
    }

    #[test]
    fn a_test_that_was_listed_and_left_out_fails() {
        let text = "test a ... ok\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out";
        assert_eq!(read(text, &["a", "b"]).failed, ["b (did not run to its end)"]);
    }

    #[test]
    fn sums_the_results_of_several_executables() {
        let text = "test a ... ok\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
                    test b ... ok\n\
                    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        assert_eq!(read(text, &["a", "b"]), Tally { passed: 2, ..Tally::default() });
    }
}
