//! `egress run`: a command in a sandbox of its own.

mod proxies;
mod rights;
mod told;
mod unrestricted;

use std::{ffi::OsString, process::ExitCode};

use anyhow::Context;
use clap::Args;
use egress_user::{
    config::Assembled,
    launch::{Command, exit},
    policy::RefusalErrno,
    sandbox::{Served, Serving},
    text::Printable,
    worker::divide,
};

use self::{
    rights::{Rights, RightsArgs},
    told::{Teller, ToldArgs},
};
use super::{Failure, LaidOut, policy_args::PolicyArgs};

/// Run a command that can reach only what the policy allows.
///
/// The kernel holds every program of the command to the policy, whether it knows of proxies or not.
/// Needs root; the command itself runs as the user that called sudo, or as --user says, and without
/// capabilities but those of --capabilities. It stands in the caller's working directory, unless that
/// is hidden from it (/run/user, /run/docker): nothing is started then. Of other inherited descriptors
/// than the standard streams it gets pipes and files that are data. Prints nothing but the command's own
/// output; on stderr, at the start, what of the caller's the command does not get, and at the end what was
/// refused and what would allow it (--live: as it happens too; --quiet: neither).
///
/// After the command's end it stays until what the command wrote is handed on, for as long as that makes
/// progress (`network.drain`); a signal ends that at once. The exit code is the command's all the same.
///
/// Where a program does not work under it, docs/troubleshooting.md begins with what programs print.
///
/// Exit codes: the command's own (128 + n when signal n ended it); 2 usage or policy; 3 it succeeded and
/// something was refused (--fail-on-refusal); 125 the sandbox could not be started; 126 the command is not executable; 127 it was not found.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    rights: RightsArgs,
    #[command(flatten)]
    told: ToldArgs,
    /// Run the command without a filter, as a policy with `enabled = false` says: as the same user, and
    /// with all of that user's rights; stderr says so, --quiet or not
    #[arg(long, conflicts_with_all = ["capabilities", "live", "fail_on_refusal"])]
    unrestricted: bool,
    /// The command and its arguments
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "CMD"
    )]
    command: Vec<OsString>,
}

pub(crate) fn run(args: RunArgs) -> Result<ExitCode, Failure> {
    let assembled = args.policy.assemble()?;
    let is_unrestricted = unrestricted::is_unrestricted(&assembled, args.unrestricted)?;
    let mut command = args.command.into_iter();
    let program = command.next().unwrap_or_default();
    if program.as_encoded_bytes().starts_with(b"-") {
        // clap takes an unknown option for the start of the command.
        return Err(Failure::usage(format!(
            "unknown option {}; `egress run --help` lists them, and the command goes after `--`",
            Printable::of_bytes(program.as_encoded_bytes())
        )));
    }
    if is_unrestricted {
        let user = args.rights.user()?;
        return Err(unrestricted::become_command(&program, command.collect(), user.as_ref()));
    }
    if !assembled.not_built.is_empty() {
        return Err(Failure::usage(LaidOut::of(assembled.not_built.iter())));
    }
    for warning in &assembled.warnings {
        args.told.note(&format!("warning: {warning}"));
    }
    if let Some(warning) = proxies::warning(|name| std::env::var(name).ok()) {
        args.told.note(&warning);
    }
    let Rights { user, capabilities } = args.rights.choose(&program, args.told)?;
    let command = Command { program, arguments: command.collect(), user, capabilities };
    in_sandbox(assembled, command, args.told)
}

/// Where this returns, in whichever of the two processes, the exit code of the run is the broker's to give, but for what
/// went wrong before there was one.
fn in_sandbox(assembled: Assembled, command: Command, told: ToldArgs) -> Result<ExitCode, Failure> {
    let not_started = |error: anyhow::Error| Failure { code: exit::NOT_STARTED, error };
    let Assembled { policy, dns, network, .. } = assembled;
    let program = Printable::of_bytes(command.program.as_encoded_bytes());
    let chosen_errno = policy.settings().refusal_errno != RefusalErrno::default();
    let division =
        divide(command, &dns, told.fail_on_refusal).map_err(|e| not_started(e.into()))?;
    let teller = told.teller().context("start a thread").map_err(not_started)?;
    let observer = teller.as_ref().map(Teller::observer);
    let serving = Serving { policy, dns, drain: network.drain, observer, program };
    let served = Served::start(serving, division, told::of_the_broker);
    let served = served.map_err(|error| not_started(error.into()))?;
    if chosen_errno && !served.chooses_errno() {
        told.note(
            "warning: refusal_errno has no effect on this kernel, which has no bpf_set_retval (Linux 5.18): \
             refused calls get EPERM",
        );
    }
    if let Some(error) = served.status_error() {
        told.note(&format!("warning: `egress status` will not show this sandbox: {error}"));
    }
    for note in served.notes() {
        told.note(&note.to_string());
    }
    let (summary, broker) = served.until_ended();
    if let Some(teller) = teller {
        teller.end();
    }
    told.tell(&summary);
    broker.finished(summary.has_refused());
    Ok(ExitCode::SUCCESS)
}
