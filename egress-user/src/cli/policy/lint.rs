//! `egress policy lint`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Read a policy and say what is wrong or misleading in it
#[derive(Debug, Args)]
pub(super) struct Lint {
    /// Policy files, the highest layer first
    #[arg(value_name = "FILE")]
    files: Vec<std::path::PathBuf>,
}

impl Lint {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _ = self;
        bail!("egress policy lint is not built yet");
    }
}
