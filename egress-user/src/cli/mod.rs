//! One file a subcommand; this one parses the command line and picks.
use std::process::ExitCode;

pub(crate) fn main() -> ExitCode {
    ExitCode::from(2)
}
