//! The flags by which every subcommand is told its policy.

use std::path::{Path, PathBuf};

use clap::Args;
use egress_user::config::{self, Assembled, ConfigErrors, Flags, SYSTEM_FOLDER};

use super::{Failure, LaidOut};

/// Where the policy comes from.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// Policy file; more than one may be given, the highest layer first. /etc/egress/requirements.toml
    /// and /etc/egress/egress.toml stand above them where they exist
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Allow a name, `*.name`, `**.name`, address or block, with `:port[,first-last]` or without
    #[arg(long, value_name = "PATTERN")]
    allow: Vec<String>,
    /// Deny a name, `*.name`, `**.name`, address or block
    #[arg(long, value_name = "PATTERN")]
    deny: Vec<String>,
    /// Set one key in place of the policy file's, as network.mode=limited
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Take this profile of the policy files instead of their network table
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
}

impl PolicyArgs {
    /// Whether nothing was given.
    pub(super) fn is_empty(&self) -> bool {
        self.policy.is_empty()
            && self.allow.is_empty()
            && self.deny.is_empty()
            && self.set.is_empty()
    }

    /// These files, where the command line names none.
    pub(super) fn or_files(mut self, files: Vec<PathBuf>) -> Self {
        if self.policy.is_empty() {
            self.policy = files;
        }
        self
    }

    /// Reads everything. Errors come all at once, each with the line it is about.
    pub(super) fn assemble(self) -> Result<Assembled, Failure> {
        self.read().map_err(|errors| Failure::usage(describe(&errors, true)))
    }

    /// Reads everything; what is to be said of errors is the caller's to choose.
    pub(super) fn read(self) -> Result<Assembled, ConfigErrors> {
        let flags =
            Flags { allow: self.allow, deny: self.deny, set: self.set, profile: self.profile };
        config::assemble_below(Path::new(SYSTEM_FOLDER), &self.policy, &flags)
    }
}

/// One line each for programs; for a person, with the line of the file below (`excerpts`).
pub(super) fn describe(errors: &ConfigErrors, excerpts: bool) -> LaidOut {
    let describe = |error: &config::ConfigError| match excerpts {
        true => format!("{error}{}", error.excerpt()),
        false => error.to_string(),
    };
    LaidOut::of(errors.iter().map(describe))
}
