//! One file a subcommand; this one parses the command line and picks.
mod check;

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
    Check(check::Check),
}

/// The exit status of an error in the command line or in a policy file.
const USAGE: u8 = 2;

pub(crate) fn main() -> ExitCode {
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
    finish(match command.verb {
        Verb::Check(check) => check.run(),
    })
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
