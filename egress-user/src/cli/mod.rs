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
    // Silent unless asked: EGRESS_LOG=debug tells on stderr what happens inside.
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("EGRESS_LOG"))
        .with_writer(std::io::stderr)
        .init();
    let command = match Command::try_parse() {
        Ok(command) => command,
        // `--help` and `--version` come as errors too.
        Err(message) if !message.use_stderr() => {
            return finish(print(&message.render().to_string()));
        }
        Err(message) => {
            let text = message.render().to_string();
            complain(text.trim_start_matches("error: ").trim_end());
            return ExitCode::from(USAGE);
        }
    };
    match command.verb {
        Verb::Check(check) => finish(check.run()),
        Verb::Policy(policy) => finish(policy.run()),
        Verb::Status(status) => finish(status.run()),
        Verb::Doctor(doctor) => finish(doctor.run()),
        Verb::Run(run) => run::run(run).unwrap_or_else(|failure| {
            complain(&format!("{:#}", failure.error));
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
    fn usage(message: impl std::fmt::Display) -> Self {
        Self { code: USAGE, error: anyhow::Error::msg(message.to_string()) }
    }
}

fn finish(result: anyhow::Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        complain(&format!("{error:#}"));
        ExitCode::from(USAGE)
    })
}

/// Whoever stops reading has seen enough: a closed pipe is no error.
fn print(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(ExitCode::SUCCESS),
    }
}

fn complain(text: &str) {
    // Where even stderr is closed, the exit status says it.
    let _ = writeln!(std::io::stderr(), "egress: {text}");
}

/// What others wrote may hold anything; a terminal gets no control characters of it.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
