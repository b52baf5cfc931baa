//! Points at which a test has a process die. In builds for use there are none.

use std::sync::OnceLock;

use nix::unistd::getpid;

use crate::launch::exit;

/// The variable that names one.
const VARIABLE: &str = "EGRESS_DIE_AT";

/// Dies without tidying anything, where the caller of a debug build has asked for it.
pub fn reach(point: &str) {
    static ASKED: OnceLock<Option<String>> = OnceLock::new();
    if !cfg!(debug_assertions) {
        return;
    }
    let asked = ASKED.get_or_init(|| std::env::var(VARIABLE).ok());
    if asked.as_deref() == Some(point) {
        // The first process of a namespace gets no signal of its own.
        match getpid().as_raw() {
            1 => std::process::exit(i32::from(exit::NOT_STARTED)),
            _ => std::process::abort(),
        }
    }
}
