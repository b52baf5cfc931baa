//! Policy files of a test's own.
use std::sync::atomic::{AtomicUsize, Ordering};

use super::world::World;

/// A policy file in the world's directory.
pub(crate) struct Policy {
    path: String,
}

impl Policy {
    /// The options by which `egress run` reads it.
    pub(crate) fn options(&self) -> [&str; 2] {
        ["--policy", &self.path]
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }
}

impl World {
    /// A file with this policy, beside those that the test has written before.
    pub(crate) fn policy(&self, text: impl AsRef<[u8]>) -> Policy {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("policy-{}.toml", NEXT.fetch_add(1, Ordering::Relaxed));
        Policy { path: self.file(&name, text).display().to_string() }
    }

    /// A file with these lines of `[network.domains]`: each a name, and the value of its rule as TOML has it.
    pub(crate) fn domains(&self, rules: &[(&str, &str)]) -> Policy {
        let lines = rules.iter().map(|(name, rule)| format!("{name:?} = {rule}\n"));
        self.policy(format!("[network.domains]\n{}", lines.collect::<String>()))
    }
}
