//! What a sandbox is to be.

use std::{sync::Arc, time::Duration};

use crate::{config::DnsSettings, launch::Command, policy::Policy, record::Observer};

/// What to run, and what it may reach.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What it may reach.
    pub policy: Policy,
    /// How its names are looked up.
    pub dns: DnsSettings,
    /// How long a connection may be without progress when the command has ended.
    pub drain: Duration,
    /// What to run.
    pub command: Command,
    /// Who hears of what is decided, from before the command starts.
    pub observer: Option<Arc<dyn Observer>>,
}
