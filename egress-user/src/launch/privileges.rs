//! What the command may do: nothing that its user could not, and no capabilities even as root.

use std::io;

use caps::{CapSet, CapsHashSet};
use landlock::{ABI, Access, CompatLevel, Compatible, Ruleset, RulesetAttr, Scope};
use nix::{
    sys::prctl,
    unistd::{initgroups, setgid, setuid},
};

use super::user::User;
use crate::sys::{handed, seccomp};

/// Runs between fork and exec, as root; the order matters: each step needs what the next one drops.
pub(super) fn drop_all(user: Option<&User>) -> io::Result<()> {
    handed::close_the_rest()?;
    // The bounding set first: what is not in it can never come back, whoever the user is.
    for capability in caps::all() {
        match caps::drop(None, CapSet::Bounding, capability) {
            Ok(()) => {}
            // A capability that this kernel does not know.
            Err(_) if !caps::has_cap(None, CapSet::Bounding, capability).unwrap_or(false) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    if let Some(user) = user {
        initgroups(&user.name, user.gid)?;
        setgid(user.gid)?;
        setuid(user.uid)?;
    }
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        match set {
            CapSet::Ambient => caps::clear(None, set),
            _ => caps::set(None, set, &CapsHashSet::new()),
        }
        .map_err(io::Error::other)?;
    }
    prctl::set_no_new_privs()?;
    scope()?;
    seccomp::install()
}

/// No signals to, and no abstract unix sockets of, anything outside the sandbox (Landlock ABI 6,
/// Linux 6.12). Where the kernel has no Landlock the PID namespace still holds the first half.
fn scope() -> io::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(ABI::V6))
        .and_then(|ruleset| ruleset.create())
        .and_then(|ruleset| ruleset.restrict_self());
    ruleset.map(drop).map_err(io::Error::other)
}
