//! `egress run`: a command in a sandbox of its own.

use std::{ffi::OsString, io::Write, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;
use egress_user::{
    config::Assembled,
    launch::{Arrived, Command, InitError, Signals, User, exit},
    proxy::GivenUp,
    sandbox::{Handle, Sandbox, Spec, StartError, Stopped},
    supervisor::Supervisor,
    sys,
    text::{self, Printable},
};
use nix::unistd::geteuid;
use tokio::time::timeout;

use super::{Failure, LaidOut, complain as say, policy_args::PolicyArgs};

/// How long resets are waited for, when a signal ends the wait for deliveries.
const RESET_WITHIN: Duration = Duration::from_secs(2);

/// Run a command that can reach only what the policy allows.
///
/// The kernel holds every program of the command to the policy, whether it knows of proxies or not.
/// Needs root; the command itself runs as the user that called sudo, or as --user says, and never
/// with capabilities. It stands in the caller's working directory, unless that is hidden from it
/// (/run/user, /run/docker): nothing is started then. Prints nothing but the command's own output, and at the end, on stderr, what
/// was refused and what would allow it.
///
/// After the command's end it stays until what the command wrote is handed on, for as long as that makes
/// progress (`network.drain`); a signal ends that at once. The exit code is the command's all the same.
///
/// Exit codes: the command's own (128 + n when signal n ended it); 2 usage or policy; 125 the
/// sandbox could not be started; 126 the command is not executable; 127 it was not found.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    policy: PolicyArgs,
    /// Run the command as this user (login name or number)
    #[arg(long, value_name = "USER")]
    user: Option<String>,
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
    if assembled.enabled_written == Some(false) {
        return Err(Failure::usage(
            "the policy says `enabled = false`, which would leave the command unrestricted; remove \
             the line (`--unrestricted`, which insists on it, is not built yet)",
        ));
    }
    if !assembled.not_built.is_empty() {
        return Err(Failure::usage(LaidOut::of(assembled.not_built.iter())));
    }
    for warning in &assembled.warnings {
        say(&format!("warning: {warning}"));
    }
    let sudo_uid = std::env::var("SUDO_UID").ok();
    let user = User::choose(args.user.as_deref(), sudo_uid.as_deref()).map_err(Failure::usage)?;
    let as_root = user.as_ref().map_or_else(geteuid, |user| user.uid).is_root();
    if as_root && args.user.is_none() {
        say("running as root, without capabilities; `--user NAME` runs the command as NAME");
    }
    let mut command = args.command.into_iter();
    let program = command.next().unwrap_or_default();
    if program.as_encoded_bytes().starts_with(b"-") {
        // clap takes an unknown option for the start of the command.
        return Err(Failure::usage(format!(
            "unknown option {}; `egress run --help` lists them, and the command goes after `--`",
            Printable::of_bytes(program.as_encoded_bytes())
        )));
    }
    let command = Command { program, arguments: command.collect(), user };
    in_sandbox(assembled, command).map_err(|error| match error.downcast_ref() {
        Some(StartError::Init(InitError::Failed { code, .. })) => Failure { code: *code, error },
        _ => Failure { code: exit::NOT_STARTED, error },
    })
}

fn in_sandbox(assembled: Assembled, command: Command) -> anyhow::Result<ExitCode> {
    let Assembled { policy, dns, network, .. } = assembled;
    // Before there are threads, which then do not get them.
    let signals = Signals::block().context("block signals")?;
    let supervisor = Supervisor::start()?;
    let spec = Spec { policy, dns, drain: network.drain, command };
    let handle = Sandbox::start(spec, &supervisor)?;
    if let Some(error) = handle.status_error() {
        say(&format!("warning: `egress status` will not show this sandbox: {error}"));
    }
    let (code, interrupted) = supervisor.block_on(end(&handle, &signals))?;
    // Stragglers die with the init's PID namespace; the programs hold until the cgroup is empty, and what
    // the command wrote is delivered.
    if handle.kill() {
        handle.drain();
        if interrupted {
            handle.give_up();
        }
        // Whoever reads the command's output is not to wait for this.
        sys::descriptors::leave_output();
        supervisor.block_on(deliver(&handle, &signals));
        for GivenUp { to, bytes } in handle.given_up() {
            say(&format!("given up: at least {bytes} bytes to tcp {to} were not delivered"));
        }
    }
    tell(&handle.stop());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(exit::NOT_STARTED)))
}

/// Passes signals on until the command has ended; its exit code, and whether a signal came that it had no
/// time to get.
async fn end(handle: &Handle, signals: &Signals) -> anyhow::Result<(i32, bool)> {
    let mut ended = std::pin::pin!(handle.wait());
    loop {
        tokio::select! {
            biased;
            arrived = signals.next() => match (arrived.context("wait for a signal")?, handle.ended()) {
                (Arrived::Pass(_), Some(code)) => return Ok((code, true)),
                (Arrived::Pass(signal), None) => handle.signal(signal),
                (Arrived::Terminal | Arrived::Child, _) => {}
            },
            code = &mut ended => return Ok((code.context("wait for the command")?, false)),
        }
    }
}

/// Waits until what the command wrote is delivered, at the latest until a signal comes.
async fn deliver(handle: &Handle, signals: &Signals) {
    tokio::select! {
        biased;
        () = handle.drained() => return,
        _ = signals.next() => handle.give_up(),
    }
    // Resets take no time; but nothing is to keep a signal waiting.
    let _ = timeout(RESET_WITHIN, handle.drained()).await;
}

/// The summary.
fn tell(Stopped { is_empty, summary, left_unread }: &Stopped) {
    if !is_empty {
        say(
            "some of the command's processes do not die; they stay filtered, and the next run removes what is left",
        );
    }
    if !summary.is_empty() {
        // Nobody reads stderr: nobody to tell.
        let _ = std::io::stderr().write_all(text::lines(&summary.to_string()).as_bytes());
    }
    if let Some(path) = left_unread {
        say(&format!(
            "{} has changed and was not read again: the command could have written it (`--user NAME` runs it as a user who cannot)",
            path.display()
        ));
    }
}
