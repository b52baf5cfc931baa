//! The flags by which every subcommand is told its policy.

use std::path::PathBuf;

use clap::Args;
use egress_user::config::{self, Assembled, Flags};

use super::Failure;

/// Where the policy comes from.
#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    /// Policy file; more than one may be given, the highest layer first
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Allow a name, `*.name`, `**.name`, address or block, with `:port[,port]` or without
    #[arg(long, value_name = "PATTERN")]
    allow: Vec<String>,
    /// Deny a name, `*.name`, `**.name`, address or block
    #[arg(long, value_name = "PATTERN")]
    deny: Vec<String>,
}

impl PolicyArgs {
    /// Reads everything. Errors come all at once, each with the line it is about.
    pub(super) fn assemble(self) -> Result<Assembled, Failure> {
        let flags = Flags { allow: self.allow, deny: self.deny };
        config::assemble(&self.policy, &flags).map_err(|errors| {
            let described: Vec<_> =
                errors.iter().map(|error| format!("{error}{}", error.excerpt())).collect();
            Failure::usage(described.join("\negress: "))
        })
    }
}
