//! `egress policy`: everything about policies that needs no sandbox. One file a verb.
mod diff;
mod import;
mod lint;
mod presets;
mod schema;
mod show;
mod test;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Write, read, test and compare policies; needs no root
#[derive(Debug, Args)]
pub(super) struct PolicyCommand {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Lint(lint::Lint),
    Show(show::Show),
    Test(test::Test),
    Import(import::Import),
    Diff(diff::Diff),
    Presets(presets::Presets),
    Schema(schema::Schema),
}

impl PolicyCommand {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.verb {
            Verb::Lint(lint) => lint.run(),
            Verb::Show(show) => show.run(),
            Verb::Test(test) => test.run(),
            Verb::Import(import) => import.run(),
            Verb::Diff(diff) => diff.run(),
            Verb::Presets(presets) => presets.run(),
            Verb::Schema(schema) => schema.run(),
        }
    }
}
