//! `egress policy presets`.
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use egress_user::config::presets::{self, Preset};
use serde_json::{Value, json};

/// List the presets, or print one as a policy file
///
/// A policy names them by `presets = ["NAME"]` in its network table; its denies win over them.
#[derive(Debug, Args)]
pub(super) struct Presets {
    /// Print what is in this one
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Presets {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let shown: Vec<&Preset> = match &self.name {
            None => presets::all().iter().collect(),
            Some(name) => match presets::find(name) {
                Some(preset) => vec![preset],
                None => {
                    let known: Vec<_> = presets::all().iter().map(|preset| preset.name).collect();
                    bail!("there is no preset {name:?}; the presets are {}", known.join(", "));
                }
            },
        };
        let text = if self.json {
            crate::cli::json_text(&Value::from_iter(shown.into_iter().map(json)), false)?
        } else if let (Some(_), [preset]) = (&self.name, shown.as_slice()) {
            preset.to_policy()
        } else {
            shown.into_iter().map(line).collect()
        };
        crate::cli::print(&text)
    }
}

fn line(preset: &Preset) -> String {
    let Preset { name, version, summary, entries } = preset;
    format!("{name:<20} version {version}  {:>4} rules  {summary}\n", entries.len())
}

fn json(preset: &Preset) -> Value {
    let entries = preset.entries.iter().map(
        |entry| json!({"pattern": entry.pattern, "ports": entry.ports, "used_by": entry.used_by}),
    );
    json!({
        "name": preset.name,
        "version": preset.version,
        "summary": preset.summary,
        "entries": Value::from_iter(entries),
    })
}
