//! `egress policy import`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

/// Write another tool's settings as a policy
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Codex config.toml or requirements.toml, or sandbox-runtime settings in JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<std::path::PathBuf>,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let _ = self;
        bail!("egress policy import is not built yet");
    }
}
