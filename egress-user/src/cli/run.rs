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
    launch::{Command, InitError, Signals, Terminal, exit},
    policy::RefusalErrno,
    sandbox::{Sandbox, Spec, StartError},
    supervisor::Supervisor,
    sys,
    text::Printable,
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
    in_sandbox(assembled, command, args.told).map_err(|error| match error.downcast_ref() {
        Some(StartError::Init(InitError::Failed { code, .. })) => Failure { code: *code, error },
        _ => Failure { code: exit::NOT_STARTED, error },
    })
}

fn in_sandbox(assembled: Assembled, command: Command, told: ToldArgs) -> anyhow::Result<ExitCode> {
    let Assembled { policy, dns, network, .. } = assembled;
    // Before there are threads, which then do not get them.
    let signals = Signals::block().context("block signals")?;
    let terminal = Terminal::of_caller();
    let supervisor = Supervisor::start()?;
    if policy.settings().refusal_errno != RefusalErrno::default() && !supervisor.chooses_errno() {
        told.note(
            "warning: refusal_errno has no effect on this kernel, which has no bpf_set_retval (Linux 5.18): \
             refused calls get EPERM",
        );
    }
    let teller = told.teller().context("start a thread")?;
    let observer = teller.as_ref().map(Teller::observer);
    let spec = Spec { policy, dns, drain: network.drain, command, observer };
    let handle = Sandbox::start(spec, &supervisor)?;
    if let Some(error) = handle.status_error() {
        told.note(&format!("warning: `egress status` will not show this sandbox: {error}"));
    }
    for note in handle.notes() {
        told.note(&note.to_string());
    }
    let ended = supervisor.block_on(handle.pass_until_ended(&signals, terminal.as_ref()));
    let ended = ended.context("wait for the command")?;
    // Stragglers die with the init's PID namespace; the programs hold until the cgroup is empty, and what
    // the command wrote is delivered.
    if handle.kill() {
        drop(terminal);
        // Whoever reads the command's output is not to wait for this.
        sys::descriptors::leave_output();
        supervisor.block_on(handle.deliver(ended, &signals));
    }
    let summary = handle.stop();
    if let Some(teller) = teller {
        teller.end();
    }
    told.tell(&summary);
    Ok(match u8::try_from(ended.code) {
        Ok(0) if told.fail_on_refusal && summary.has_refused() => ExitCode::from(exit::REFUSED),
        code => ExitCode::from(code.unwrap_or(exit::NOT_STARTED)),
    })
}
