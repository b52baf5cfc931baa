//! `egress policy import`.
use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use egress_user::import::{Source, import};

use crate::cli::{complain, policy_args::describe, print};

/// Write another tool's settings as a policy
///
/// Reads Codex's config.toml or requirements.toml, sandbox-runtime's settings in JSON, and Claude
/// Code's. What comes out is never wider than what went in, and `egress run` starts with it. Every
/// difference is listed with its line, in the file and on stderr. Exits with 0 when a policy is
/// written, with 1 when rules are lost and `--lossy` is not given (nothing is written then), with 2
/// when a file cannot be read as settings.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Codex config.toml or requirements.toml, or settings of sandbox-runtime or Claude Code in JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write here instead of to stdout; an existing file is left alone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file where it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Write the policy even where rules are lost; what they were about stays closed
    #[arg(long)]
    lossy: bool,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let texts = self.files.iter().map(|path| {
            let text = std::fs::read_to_string(path);
            Ok((path.display().to_string(), text.with_context(|| path.display().to_string())?))
        });
        let texts = texts.collect::<anyhow::Result<Vec<_>>>()?;
        let sources: Vec<_> = texts.iter().map(|(name, text)| Source { name, text }).collect();
        let home = std::env::home_dir();
        let imported = match import(&sources, home.as_deref()) {
            Ok(imported) => imported,
            Err(errors) => bail!(describe(&errors, false)),
        };
        for told in &imported.told {
            let how = told.difference.as_str();
            complain(&format!("{how}: {}: {}", told.place, told.why));
        }
        if imported.has_losses() && !self.lossy {
            complain("rules are lost, and nothing is written; --lossy writes what there is");
            return Ok(ExitCode::FAILURE);
        }
        let Some(output) = &self.output else { return print(&imported.text) };
        let mut options = OpenOptions::new();
        options.write(true);
        // One write of one buffer: a file that is there is whole, or an error says otherwise.
        let opened = match self.force {
            true => options.create(true).truncate(true).open(output),
            false => options.create_new(true).open(output),
        };
        let mut file = match opened {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                bail!("{} exists; --force replaces it", output.display());
            }
            opened => opened.with_context(|| output.display().to_string())?,
        };
        file.write_all(imported.text.as_bytes()).with_context(|| output.display().to_string())?;
        Ok(ExitCode::SUCCESS)
    }
}
