//! `egress policy presets`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// List the presets, or print one
#[derive(Debug, Args)]
pub(super) struct Presets {
    /// Print what is in this one
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

impl Presets {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _ = self;
        bail!("egress policy presets is not built yet");
    }
}
