//! `egress policy schema`.
use std::process::ExitCode;

use clap::Args;
use egress_user::config;

/// Print the JSON Schema of policy files, for editors (`#:schema PATH` in a file's first line)
#[derive(Debug, Args)]
pub(super) struct Schema {}

impl Schema {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        crate::cli::print(&format!("{:#}\n", config::json_schema(config::KEYS)))
    }
}
