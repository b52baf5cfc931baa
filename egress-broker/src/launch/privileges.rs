//! What the command may do: nothing that its user could not, and no capabilities even as root, unless it is
//! given some.

use std::io;

use caps::CapsHashSet;
use landlock::{
    ABI, Access, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr, Scope,
};
use nix::{
    sys::prctl,
    unistd::{setgid, setgroups, setuid},
};

use super::{capabilities::Capabilities, user::User};
use crate::{
    confine,
    sys::{bounding_set, handed, peer_devices::PeerDevices, seccomp},
};

/// Runs between fork and exec, as root; the order matters: each step needs what the next one drops.
pub(super) fn drop_all(
    user: Option<&User>,
    capabilities: Capabilities,
    peers: PeerDevices,
) -> io::Result<()> {
    handed::close_the_rest()?;
    let kept = capabilities.kept().map_err(io::Error::other)?;
    // The bounding set first: what is not in it can never come back, whoever the user is, and whatever a
    // program's file says.
    bounding_set::keep(|number| kept.iter().any(|capability| capability.index() == number))?;
    if capabilities == Capabilities::None {
        prctl::set_no_new_privs()?;
    }
    // Without no_new_privs these two need CAP_SYS_ADMIN, which is still there. Nothing that is executed
    // later takes them off, set-user-ID or not.
    scope()?;
    seccomp::install(peers == PeerDevices::Guarded)?;
    if let Some(user) = user {
        setgroups(&user.groups)?;
        setgid(user.gid)?;
        setuid(user.uid)?;
    }
    // Of another user than root, setuid(2) has left nothing to keep.
    let kept = match user {
        Some(user) if !user.uid.is_root() => CapsHashSet::new(),
        _ => kept,
    };
    confine::hold(&kept)
}

/// No signals to, and no abstract unix sockets of, anything outside the sandbox (Landlock ABI 6,
/// Linux 6.12). Where the kernel has no Landlock the PID namespace still holds the first half.
fn scope() -> io::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .scope(Scope::from_all(ABI::V6))
        .and_then(|ruleset| ruleset.create())
        // Who has no capabilities has been given it above.
        .and_then(|ruleset| ruleset.no_new_privs(false).restrict_self());
    ruleset.map(drop).map_err(io::Error::other)
}
