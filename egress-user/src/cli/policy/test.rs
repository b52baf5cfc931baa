//! `egress policy test`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Run the cases of a file against a policy
#[derive(Debug, Args)]
pub(super) struct Test {
    /// File of `[[case]]` tables
    #[arg(value_name = "FILE")]
    file: std::path::PathBuf,
}

impl Test {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _ = self;
        bail!("egress policy test is not built yet");
    }
}
