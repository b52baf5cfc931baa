//! `egress run --unrestricted`: what `enabled = false` asks for, once somebody insists on it.

use std::{ffi::OsString, io, os::unix::process::CommandExt, process::Command};

use egress_user::{
    config::{Assembled, keys::Table},
    launch::{User, exit},
    policy::{Layer, Origin},
    sys::inherited::Inherited,
    text::Printable,
};
use nix::unistd::{setgid, setgroups, setuid};

use super::{super::complain as say, Failure};

/// Whether the command is to run without a filter: the policy and the flag have to say so both.
pub(super) fn is_unrestricted(policy: &Assembled, flag: bool) -> Result<bool, Failure> {
    // Without network access there is none, whatever the filter's switch says.
    let is_off = policy.enabled_written == Some(false) && policy.policy.settings().network_access;
    match (is_off, flag) {
        (true, false) => Err(Failure::usage(
            "the policy says `enabled = false`, which leaves the command unrestricted; remove the line, or \
             insist on it with `--unrestricted`",
        )),
        (false, true) => Err(Failure::usage(
            "`--unrestricted` insists on a policy that says `enabled = false`, and this one filters; leave the \
             flag out, or add `--set network.enabled=false`",
        )),
        (true, true) => match bound(policy) {
            Some(place) => Err(Failure::usage(format!(
                "the requirements ({}) bound this policy, and only `enabled = false` among them takes the filter \
                 away; leave `--unrestricted` out",
                Printable::from(&*place)
            ))),
            None => Ok(true),
        },
        (false, false) => Ok(false),
    }
}

/// A file of requirements that a run without a filter would go beyond.
fn bound(assembled: &Assembled) -> Option<String> {
    let required =
        |origin: &Origin| (origin.layer == Layer::Requirements).then(|| origin.file.to_string());
    let enabled = assembled.values.find(Table::Network, "enabled")?;
    if enabled.origin.as_ref().and_then(required).is_some() {
        return None;
    }
    let keys = assembled.values.iter().filter_map(|effective| required(effective.origin.as_ref()?));
    let rules = assembled.policy.rules().filter_map(|rule| required(&rule.origin));
    keys.chain(rules).next()
}

/// Becomes the command: nothing is held, and nothing of this process is left. Returns only why not.
pub(super) fn become_command(
    program: &OsString,
    arguments: Vec<OsString>,
    user: Option<&User>,
) -> Failure {
    say("the policy says `enabled = false`: the command runs unrestricted, nothing is filtered");
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(user) = user {
        user.name_in(&mut command);
    }
    let prepared = Inherited::of_this_process().restore().and_then(|()| switch_to(user));
    let (error, code) = match prepared {
        Err(error) => (error, exit::NOT_STARTED),
        Ok(()) => {
            let error = command.exec();
            let code = match error.kind() {
                io::ErrorKind::NotFound => exit::NOT_FOUND,
                _ => exit::NOT_EXECUTABLE,
            };
            (error, code)
        }
    };
    let name = Printable::of_bytes(program.as_encoded_bytes());
    Failure { code, error: anyhow::Error::new(error).context(format!("start {name} unrestricted")) }
}

fn switch_to(user: Option<&User>) -> io::Result<()> {
    let Some(user) = user else { return Ok(()) };
    setgroups(&user.groups)?;
    setgid(user.gid)?;
    Ok(setuid(user.uid)?)
}
