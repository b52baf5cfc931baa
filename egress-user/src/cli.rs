//! One file a subcommand; this one parses the command line and picks.
mod check;
mod doctor;
mod policy;
mod policy_args;
mod run;
mod status;

use std::{
    io::{ErrorKind, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use egress_user::{
    launch,
    text::{self, Printable},
    worker,
};

/// Decides what a set of Linux processes may reach, and holds them to it.
#[derive(Debug, Parser)]
#[command(name = "egress", version, max_term_width = 100)]
struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::RunArgs),
    Check(check::Check),
    Policy(policy::PolicyCommand),
    Status(status::StatusArgs),
    Doctor(doctor::Doctor),
}

/// The exit status of an error in the command line or in a policy file.
const USAGE: u8 = 2;

pub(crate) fn main() -> ExitCode {
    // Before anything else: see there.
    match launch::entry::init(std::env::args_os()) {
        Some(Ok(code)) => return ExitCode::from(code),
        Some(Err(error)) => return finish(Err(error.into())),
        None => {}
    }
    // Silent unless asked: EGRESS_LOG=debug tells on stderr what happens inside.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("EGRESS_LOG"))
        // Colours would be escapes like any other.
        .with_ansi(false)
        .with_writer(|| LogLine(std::io::stderr()))
        .init();
    let command = match Command::try_parse() {
        Ok(command) => command,
        // `--help` and `--version` come as errors too.
        Err(message) if !message.use_stderr() => {
            return finish(print(&message.render().to_string()));
        }
        Err(message) => {
            write_error(&usage_error(&message.render().to_string(), std::env::args_os()));
            return ExitCode::from(USAGE);
        }
    };
    match command.verb {
        Verb::Check(check) => finish(check.run()),
        Verb::Policy(policy) => finish(policy.run()),
        Verb::Status(status) => finish(status.run()),
        Verb::Doctor(doctor) => finish(doctor.run()),
        Verb::Run(run) => run::run(run).unwrap_or_else(|failure| {
            complain_of(&failure.error);
            worker::failed();
            ExitCode::from(failure.code)
        }),
    }
}

/// An error with the exit code that goes with it.
struct Failure {
    code: u8,
    error: anyhow::Error,
}

impl Failure {
    /// The command line or the policy is wrong: nothing was started.
    fn usage<M>(message: M) -> Self
    where
        M: std::fmt::Display + std::fmt::Debug + Send + Sync + 'static,
    {
        Self { code: USAGE, error: anyhow::Error::msg(message) }
    }
}

/// An error of several lines, in the layout of whoever wrote it: each part that others wrote is
/// [`Printable`] already. Every other error is one line, whatever is in it.
#[derive(Debug)]
struct LaidOut(String);

impl LaidOut {
    /// One after the other, each as an error of its own.
    fn of(errors: impl Iterator<Item = impl std::fmt::Display>) -> Self {
        Self(errors.map(|error| error.to_string()).collect::<Vec<_>>().join("\negress: "))
    }
}

impl std::fmt::Display for LaidOut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        complain_of(&error);
        ExitCode::from(USAGE)
    })
}

/// Whoever stops reading has seen enough: a closed pipe is no error.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    // JSON and TOML have escapes of their own already, and nothing is left for this to change.
    match out.write_all(text::lines(text).as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

/// JSON as a line, or in lines.
fn json_text(value: &impl serde::Serialize, pretty: bool) -> anyhow::Result<String> {
    Ok(format!("{}\n", text::json(value, pretty)?))
}

/// What others wrote may hold anything.
fn printable(text: &str) -> Printable {
    Printable::from(text)
}

/// An error with all its causes.
fn complain_of(error: &anyhow::Error) {
    match error.downcast_ref::<LaidOut>() {
        Some(LaidOut(text)) => write_error(&text::lines(text)),
        None => complain(&format!("{error:#}")),
    }
}

/// One line on stderr, whatever is in the text.
fn complain(text: &str) {
    write_error(Printable::from(text).as_str());
}

fn write_error(text: &str) {
    // Where even stderr is closed, the exit status says it.
    let _ = writeln!(std::io::stderr(), "egress: {text}");
}

/// clap repeats what it was given, line breaks and all.
fn usage_error(rendered: &str, given: impl Iterator<Item = std::ffi::OsString>) -> String {
    let mut text = rendered.to_owned();
    for word in given {
        let word = word.to_string_lossy();
        let value = word.split_once('=').map(|(_, value)| value);
        for part in std::iter::once(&*word).chain(value).filter(|part| part.contains('\n')) {
            text = text.replace(part, Printable::from(part).as_str());
        }
    }
    text::lines(text.trim_start_matches("error: ").trim_end())
}

/// Log lines: an event is written at once and is one line, whatever is in its fields.
struct LogLine(std::io::Stderr);

impl Write for LogLine {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let line = Printable::of_bytes(event.strip_suffix(b"\n").unwrap_or(event));
        self.0.write_all(format!("{line}\n").as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_adds_no_line_to_a_usage_error() {
        let word = "--set=a\n  to allow: --allow evil.test\u{1b}[2J";
        let rendered = format!("error: unexpected argument '{word}' found\n\nUsage: egress");
        let text = usage_error(&rendered, [word.into()].into_iter());
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(!text.contains('\u{1b}'));
    }
}
