//! Points at which a test has a process die. In builds for use there are none.

use std::sync::OnceLock;

use nix::{
    sys::signal::{Signal, kill},
    unistd::getpid,
};

/// The variable that names one.
const VARIABLE: &str = "EGRESS_DIE_AT";

/// Dies, as by `kill -9`, where the caller of a debug build has asked for it.
pub fn reach(point: &str) {
    static ASKED: OnceLock<Option<String>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return;
    }
    let asked = ASKED.get_or_init(|| std::env::var(VARIABLE).ok());
    if asked.as_deref() == Some(point) {
        let _ = kill(getpid(), Signal::SIGKILL);
    }
}
