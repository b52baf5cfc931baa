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
/// Reads Codex's config.toml or requirements.toml, and sandbox-runtime's settings in JSON. What
/// cannot be carried over is listed, in the file and on stderr; what comes out is never wider than
/// what went in.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Codex config.toml or requirements.toml, or sandbox-runtime settings in JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write here instead of to stdout; an existing file is left alone
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the output file where it exists
    #[arg(long, requires = "output")]
    force: bool,
}

impl Import {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let texts = self.files.iter().map(|path| {
            let text = std::fs::read_to_string(path);
            Ok((path.display().to_string(), text.with_context(|| path.display().to_string())?))
        });
        let texts = texts.collect::<anyhow::Result<Vec<_>>>()?;
        let sources: Vec<_> = texts.iter().map(|(name, text)| Source { name, text }).collect();
        let imported = match import(&sources) {
            Ok(imported) => imported,
            Err(errors) => bail!(describe(&errors, false)),
        };
        for left in &imported.left_out {
            complain(&format!("not carried over: {}: {}", left.place, left.why));
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
