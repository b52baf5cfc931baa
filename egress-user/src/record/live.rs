//! Refusals told as they happen: a line for each that reads like none before, made here, written by somebody
//! else, who may be slow or gone without keeping anybody waiting.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
    mpsc::{Receiver, SyncSender, sync_channel},
};

use super::{Event, Observer};

/// Lines that wait to be written; what comes when there are so many is counted.
const WAITING: usize = 256;

/// Bytes of a line with its end: what a pipe takes in one piece (PIPE_BUF, pipe(7)), so that no line of the
/// command's comes between.
const LONGEST: usize = 4096;

/// What makes the lines.
pub struct Live {
    lines: Mutex<Option<SyncSender<String>>>,
    untold: Arc<AtomicU64>,
    is_full: AtomicBool,
}

/// The lines, each with its end. Ends behind the last one, once [`Live::end`] was called.
pub struct Lines {
    lines: Receiver<String>,
    untold: Arc<AtomicU64>,
    /// The one that waits behind a count.
    next: Option<String>,
}

impl Live {
    /// What makes them, and they.
    pub fn new() -> (Arc<Self>, Lines) {
        let (sender, lines) = sync_channel(WAITING);
        let untold = Arc::new(AtomicU64::new(0));
        let live = Self {
            lines: Mutex::new(Some(sender)),
            untold: untold.clone(),
            is_full: AtomicBool::new(false),
        };
        (Arc::new(live), Lines { lines, untold, next: None })
    }

    /// No more from here on.
    pub fn end(&self) {
        self.lines().take();
    }

    fn tell(&self, line: String) {
        let lines = self.lines();
        if lines.as_ref().is_some_and(|lines| lines.try_send(line).is_err()) {
            self.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lines(&self) -> MutexGuard<'_, Option<SyncSender<String>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Live {
    fn on_event(&self, _: &Event) {}

    fn on_first_refusal(&self, event: &Event) {
        let mut line = format!("egress: refused: {event}");
        if let Some(remedy) = event.remedy_line() {
            line.push_str(&format!("; {remedy}"));
        }
        self.tell(bounded(line));
    }

    fn on_refusal_beyond(&self) {
        if !self.is_full.swap(true, Ordering::Relaxed) {
            let text =
                "egress: refused: too many different things to tell of more; they are counted\n";
            self.tell(text.to_owned());
        }
    }
}

/// With its end, and no longer than a pipe takes at once.
fn bounded(mut line: String) -> String {
    const MORE: &str = "...\n";
    if line.len() < LONGEST {
        line.push('\n');
        return line;
    }
    line.truncate(line.floor_char_boundary(LONGEST - MORE.len()));
    line.push_str(MORE);
    line
}

impl Iterator for Lines {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        if let Some(line) = self.next.take() {
            return Some(line);
        }
        let line = self.lines.recv().ok();
        let untold = self.untold.swap(0, Ordering::Relaxed);
        if untold == 0 {
            return line;
        }
        self.next = line;
        Some(format!("egress: refused: {untold} more, which could not be told as they happened\n"))
    }
}

#[cfg(test)]
mod tests {
    use egress_common::Reason;
    use hickory_proto::rr::RecordType;

    use super::*;
    use crate::record::{Journal, MAX_DISTINCT, Subject};

    fn refusal(name: &str) -> Event {
        let subject = Subject::Lookup { name: name.into(), record_type: RecordType::A };
        Event::refused(subject, Reason::NotAllowed)
    }

    fn journal() -> (Journal, Arc<Live>, Lines) {
        let (live, lines) = Live::new();
        let journal = Journal::new(1);
        journal.set_observer(live.clone());
        (journal, live, lines)
    }

    #[test]
    fn each_refusal_is_told_once_in_a_line() {
        let (journal, live, lines) = journal();
        for name in ["a.test", "b.test", "a.test", "x\ny.test"] {
            journal.refused(refusal(name));
        }
        live.end();
        let told: Vec<_> = lines.collect();
        let start = ["a.test: not_allowed", "b.test: not_allowed", "x\\ny.test: not_allowed"];
        assert_eq!(told.len(), start.len(), "{told:?}");
        for (line, start) in told.iter().zip(start) {
            assert!(line.starts_with(&format!("egress: refused: {start}")), "{line}");
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            assert!(line.ends_with('\n'), "{line}");
        }
    }

    #[test]
    fn nobody_who_writes_keeps_nobody_waiting() {
        let (journal, live, mut lines) = journal();
        for number in 0..WAITING + 7 {
            journal.refused(refusal(&format!("n{number}.test")));
        }
        assert!(lines.next().is_some_and(|line| line.contains(" 7 more")));
        assert!(lines.next().is_some_and(|line| line.contains("n0.test")));
        live.end();
        assert_eq!(lines.count(), WAITING - 1);
        // Nobody reads any more.
        journal.refused(refusal("late.test"));
    }

    #[derive(Default)]
    struct Counts {
        first: AtomicU64,
        beyond: AtomicU64,
    }

    impl Observer for Counts {
        fn on_event(&self, _: &Event) {}

        fn on_first_refusal(&self, _: &Event) {
            self.first.fetch_add(1, Ordering::Relaxed);
        }

        fn on_refusal_beyond(&self) {
            self.beyond.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_the_journal_has_no_room_for_is_told_apart() {
        let (journal, counts) = (Journal::new(1), Arc::new(Counts::default()));
        journal.set_observer(counts.clone());
        for number in (0..MAX_DISTINCT + 5).chain([0, 1]) {
            journal.refused(refusal(&format!("n{number}.test")));
        }
        let counted = [&counts.first, &counts.beyond].map(|count| count.load(Ordering::Relaxed));
        assert_eq!(counted, [u64::try_from(MAX_DISTINCT).unwrap(), 5]);
    }

    #[test]
    fn that_there_is_no_room_is_told_once() {
        let (live, lines) = Live::new();
        (0..3).for_each(|_| live.on_refusal_beyond());
        live.end();
        assert_eq!(lines.filter(|line| line.contains("too many")).count(), 1);
    }

    #[test]
    fn a_line_is_no_longer_than_a_pipe_takes() {
        assert_eq!(bounded("x".repeat(LONGEST - 1)).len(), LONGEST);
        for length in [LONGEST, 2 * LONGEST] {
            let line = bounded("\u{e9}".repeat(length));
            assert!(line.len() <= LONGEST && line.ends_with("...\n"), "{}", line.len());
        }
    }
}
