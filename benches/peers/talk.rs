//! A child that answers each line with a line, within a bound of time.
use std::{
    io::{self, BufRead, BufReader, Write},
    process::{ChildStdin, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use benches::world::Ends;
use nix::sys::signal::{SigSet, Signal};
use serde_json::Value;

/// Set once by SIGINT or SIGTERM: then nothing is waited for any more, and everything is taken down.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Takes SIGINT and SIGTERM from now on, of this thread and those that it starts later; children are
/// not touched.
///
/// # Errors
/// When the kernel refuses.
pub(crate) fn watch_signals() -> io::Result<()> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGINT);
    set.add(Signal::SIGTERM);
    set.thread_block()?;
    thread::Builder::new().spawn(move || {
        if set.wait().is_ok() {
            STOPPED.store(true, Ordering::SeqCst);
        }
    })?;
    Ok(())
}

/// # Errors
/// When somebody has asked for the end.
pub(crate) fn go_on() -> io::Result<()> {
    if STOPPED.load(Ordering::SeqCst) {
        return Err(io::Error::new(io::ErrorKind::Interrupted, "stopped by a signal"));
    }
    Ok(())
}

/// Whether this is the end that somebody asked for, and not a failure of what is measured.
pub(crate) fn is_stop(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// The child, and its lines.
#[derive(Debug)]
pub(crate) struct Talk {
    child: Ends,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Talk {
    /// Starts it. Its words on standard error go to a file of its own choosing.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let child = Ends(child);
        let (sender, lines) = channel();
        thread::Builder::new().spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { child, input, lines })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.0.id()
    }

    /// The next line.
    pub(crate) fn line(&self, patience: Duration) -> io::Result<String> {
        let deadline = Instant::now() + patience;
        loop {
            go_on()?;
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left.min(Duration::from_millis(100))) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Err(RecvTimeoutError::Timeout) if left.is_zero() => {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("no answer within {} s", patience.as_secs()),
                    ));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Says a line, and takes the answer: JSON, whose `error` is one.
    pub(crate) fn ask(&mut self, line: &str, patience: Duration) -> io::Result<Value> {
        let input = self.input.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(input, "{line}")?;
        let answer: Value = serde_json::from_str(&self.line(patience)?)?;
        match answer.get("error").and_then(Value::as_str) {
            Some(error) => Err(io::Error::other(error.to_owned())),
            None => Ok(answer),
        }
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // The end of its input is the end of its work; `Ends` gives it time for that.
        self.child.0.stdin = self.input.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_waited_for_but_not_for_ever() {
        let mut talk = Talk::start(&mut Command::new("cat")).unwrap();
        let answer = talk.ask(r#"{"rate": 2}"#, Duration::from_secs(20)).unwrap();
        assert_eq!(answer["rate"], 2);
        let error = talk.ask(r#"{"error": "no way"}"#, Duration::from_secs(20)).unwrap_err();
        assert_eq!(error.to_string(), "no way");
        let error = talk.line(Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_end_of_a_child_is_told() {
        let talk = Talk::start(&mut Command::new("true")).unwrap();
        let error = talk.line(Duration::from_secs(20)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
