//! `egress policy show`: what layers, profiles, presets and flags come to.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use egress_user::config;

use crate::cli::policy_args::{PolicyArgs, describe};

/// Print the effective policy, and with --origins where each line comes from
///
/// What it prints is a policy file that says the same by itself; the password of an upstream proxy
/// is left out. Exits with 2 when the policy is wrong.
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Say after each line where it comes from: layer, file and line, profile, preset
    #[arg(long)]
    origins: bool,
    /// Print JSON: every line with its table, value and origin
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let assembled = match self.policy.read() {
            Ok(assembled) => assembled,
            Err(errors) => bail!(describe(&errors, !self.json)),
        };
        crate::cli::print(&match self.json {
            true => crate::cli::json_text(&config::show_json(&assembled), false)?,
            false => config::show(&assembled, self.origins),
        })
    }
}
