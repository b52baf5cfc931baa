//! `egress policy show`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Print the effective policy, and with --origins where each line comes from
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Say after each line where it comes from
    #[arg(long)]
    origins: bool,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _ = self;
        bail!("egress policy show is not built yet");
    }
}
