//! `egress policy import`.
use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::Args;
use egress_user::{
    import::{MOST_BYTES, Options, Source, import},
    policy::Action,
};

use crate::cli::{complain, policy_args::describe, print};

/// Write another tool's settings as a policy
///
/// Reads Codex's config.toml or requirements.toml; settings of sandbox-runtime or Claude Code in
/// JSON; harden-runner's allowed-endpoints in a workflow; smokescreen's ACL; Cilium's policies with
/// toFQDNs; squid.conf, together with the lists that it names; a development container's firewall
/// script, which is read and never run; and lists of hosts. What comes out is never wider than what
/// went in, and `egress run` starts with it. Every difference is listed with its line, in the file
/// and on stderr. Exits with 0 when a policy is written, with 1 when rules are lost and `--lossy` is
/// not given (nothing is written then), with 2 when a file cannot be read as settings.
#[derive(Debug, Args)]
pub(super) struct Import {
    /// Settings of one of these tools; several files of Codex or sandbox-runtime are one policy
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Take a list of hosts as one of what is denied: it does not say which it is
    #[arg(long)]
    deny_list: bool,
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
            let text = read(path).with_context(|| path.display().to_string())?;
            Ok((path.display().to_string(), text))
        });
        let texts = texts.collect::<anyhow::Result<Vec<_>>>()?;
        let sources: Vec<_> = texts.iter().map(|(name, text)| Source { name, text }).collect();
        let home = std::env::home_dir();
        let lists = if self.deny_list { Action::Deny } else { Action::Allow };
        let options = Options { home: home.as_deref(), lists };
        let imported = match import(&sources, &options) {
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

/// The text of a file, as far as an import takes one.
fn read(path: &Path) -> std::io::Result<String> {
    let most = u64::try_from(MOST_BYTES).unwrap_or(u64::MAX);
    let mut text = String::new();
    // One byte more, at which the import refuses it.
    File::open(path)?.take(most + 1).read_to_string(&mut text)?;
    Ok(text)
}
