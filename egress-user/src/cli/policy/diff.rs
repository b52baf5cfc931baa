//! `egress policy diff`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Say which targets two policies judge differently
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The policy before
    #[arg(value_name = "A")]
    before: std::path::PathBuf,
    /// The policy after
    #[arg(value_name = "B")]
    after: std::path::PathBuf,
}

impl Diff {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _ = self;
        bail!("egress policy diff is not built yet");
    }
}
