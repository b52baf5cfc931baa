//! `egress run`: a command in a sandbox of its own.

use std::{
    ffi::OsString,
    io::Write,
    net::TcpListener,
    os::fd::AsFd,
    path::Path,
    process::ExitCode,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use egress_common::{
    device::{DeviceKey, access},
    event::Counter,
    flow::kind,
    pin::Ports,
    sandbox::{Sandbox, flags},
};
use egress_user::{
    clock,
    config::{Assembled, DnsSettings},
    direct::Direct,
    dns::{self, NameServers},
    flow::Flows,
    host::{Cgroup, Host, Listeners, Writer},
    kernel::{Attached, Devices, Events, Loaded, Maps},
    launch::{Arrived, Command, Init, InitError, PROBE_TARGET, Signals, User, exit},
    own,
    pins::{self, Opening},
    policy::{Mode, Policy},
    proxy::Transparent,
    sandbox::{PolicyWatch, SandboxState},
    status::{self, Door},
    sys,
    text::{self, Printable},
};
use nix::unistd::geteuid;
use tokio::{runtime::Runtime, task::JoinSet};

use super::{Failure, LaidOut, policy_args::PolicyArgs};
use teller::{Teller, lock};

mod ending;
mod room;
mod teller;

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
            Printable::of_octets(program.as_encoded_bytes())
        )));
    }
    let command = Command { program, arguments: command.collect(), user };
    in_sandbox(assembled, &command).map_err(|error| match error.downcast_ref() {
        Some(InitError::Failed { code, .. }) => Failure { code: *code, error },
        _ => Failure { code: exit::NOT_STARTED, error },
    })
}

/// The cgroup and the programs at it, which on every way out, an error's too, go in this order:
/// nothing may be left to run when the programs go.
struct Hold {
    cgroup: Cgroup,
    attached: Attached,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if !self.cgroup.remove() {
            say(
                "some of the command's processes do not die; they stay filtered, and the next run removes what is left",
            );
            self.attached.leave();
        }
    }
}

/// What the threads of a run share.
struct Shared {
    sandbox: Arc<SandboxState>,
    maps: Arc<Maps>,
}

/// What answers a sandbox.
struct Served {
    proxy: Arc<Transparent>,
    dns: Arc<dns::Service>,
    upstream: Arc<NameServers>,
}

fn in_sandbox(assembled: Assembled, command: &Command) -> anyhow::Result<ExitCode> {
    if let Some((name, what)) = sys::descriptors::unsafe_stdio() {
        anyhow::bail!(
            "{name} is {what}, by which the command could get around the policy; give it a pipe or \
             a file instead (`cat | egress run ... | cat`)"
        );
    }
    let devices = Devices::known(Path::new("/proc")).ok();
    devices.as_ref().map_or(Ok(()), refuse_networks_as_stdio)?;
    let host = Host::prepare()?;
    let cgroup = Cgroup::create(&host.cgroup2, &host.pins)?;
    let processors = std::thread::available_parallelism().map_or(2, usize::from);
    let listeners = Listeners::open(processors, room::listeners6(processors))?;
    let (programs, mut maps) = Loaded::load()?.take()?;
    let attached = programs.attach(cgroup.outer(), &host.pins.join(cgroup.name()))?;
    let hold = Hold { cgroup, attached };
    let events = maps.take_events().context("the kernel object has no event ring")?;
    let policy = Arc::new(assembled.policy);
    let sandbox = describe_sandbox(&hold.cgroup, &listeners, &policy)?;
    // Without a rule until the path is proved: a policy may well allow, or deny, the addresses that
    // the probe tries.
    maps.add_sandbox(Sandbox { flags: 0, ..sandbox })?;

    sys::process::return_freed_memory();
    // Before there is another thread.
    let signals = Signals::block().context("block signals")?;
    let writer =
        User::writer(command.user.as_ref()).context("look up the groups of the command's user")?;
    let program = Printable::of_octets(command.program.as_encoded_bytes());
    let mut init = Init::spawn(&hold.cgroup, command)?;
    let (limit, doors) = (room::raise_limit(), listeners.doors());

    let maps = Arc::new(maps);
    let watched = Arc::new(PolicyWatch::new(policy.clone()));
    let store = Arc::new(maps.pin_sink(sandbox.id, watched.clone()));
    let shared = Shared { sandbox: SandboxState::new(sandbox.id, watched, store), maps };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        // For DNS and what the kernel side tells; connections have threads of their own.
        .worker_threads(processors.min(2))
        .enable_all()
        .build()
        .context("start the runtime")?;
    let Served { proxy, dns, upstream } =
        serve(&runtime, &shared, listeners, &assembled.dns, writer)?;
    let events = Arc::new(Mutex::new(events));
    prove(&shared, &mut init, &events)?;
    // By the init's /proc where ours shows processes alone.
    let devices = match devices {
        Some(devices) => devices,
        None => Devices::known(&init.proc()).context("read which devices the kernel knows")?,
    };
    refuse_networks_as_stdio(&devices)?;
    shared.maps.add_devices(&devices)?;
    proxy.proved();
    shared.maps.add_rules(sandbox.id, &policy)?;
    let keeper = watch_own(&runtime, &shared)?;
    let direct = direct(&shared, &proxy, sandbox);
    if let Some(direct) = &direct {
        keeper.set_direct(direct.clone());
    }
    let flags = sandbox.flags | if direct.is_some() { flags::DIRECT } else { 0 };
    shared.maps.add_sandbox(Sandbox { flags, ..sandbox })?;
    let teller = Teller { sandbox: shared.sandbox.clone(), proxy: proxy.clone(), direct };
    teller.clone().follow(&runtime, &events)?;
    let _door = tell_status(&runtime, &shared, &hold.cgroup, program, dns);

    proxy.admit(room::share_out(limit, doors)?);
    init.start()?;
    let (code, interrupted) = runtime.block_on(end(&init, &signals))?;
    // Stragglers die with the init's PID namespace; the programs hold until the cgroup is empty, and
    // what the command wrote is delivered.
    if hold.cgroup.kill() {
        let patience = if interrupted { Duration::ZERO } else { assembled.network.drain };
        ending::deliver(&runtime, &teller.proxy, &signals, patience);
    }
    drop(hold);
    finish(&runtime, &shared, &teller, &events);
    if let Some(path) = upstream.left_unread() {
        say(&format!(
            "{} has changed and was not read again: the command could have written it (`--user NAME` runs it as a user who cannot)",
            path.display()
        ));
    }
    runtime.shutdown_background();
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(exit::NOT_STARTED)))
}

/// Passes signals on until the command has ended; its exit code, and whether a signal came that it had no
/// time to get.
async fn end(init: &Init, signals: &Signals) -> anyhow::Result<(i32, bool)> {
    let mut ended = std::pin::pin!(init.wait());
    loop {
        tokio::select! {
            biased;
            arrived = signals.next() => match (arrived.context("wait for a signal")?, init.ended()) {
                (Arrived::Pass(_), Some(code)) => return Ok((code, true)),
                (Arrived::Pass(signal), None) => init.signal(signal),
                (Arrived::Terminal | Arrived::Child, _) => {}
            },
            code = &mut ended => return Ok((code.context("wait for the command")?, false)),
        }
    }
}

/// A device that the command may not open it may not be handed either.
fn refuse_networks_as_stdio(devices: &Devices) -> anyhow::Result<()> {
    let refused = |(_, device): &(&str, DeviceKey)| !devices.allows(*device, access::READ);
    match sys::descriptors::devices_of_stdio().into_iter().find(refused) {
        Some((name, DeviceKey { major, minor, .. })) => anyhow::bail!(
            "{name} is the device {major}:{minor}, which is a network or unknown to this kernel; give it \
             a pipe or a file instead (docs/devices.md)"
        ),
        None => Ok(()),
    }
}

fn describe_sandbox(
    cgroup: &Cgroup,
    listeners: &Listeners,
    policy: &Policy,
) -> anyhow::Result<Sandbox> {
    let mut sandbox = Sandbox {
        id: cgroup.id()?,
        flags: if policy.allows_public() { flags::PUBLIC } else { 0 }
            | if policy.settings().allow_ech { flags::ECH } else { 0 },
        ..Sandbox::NONE
    };
    listeners.describe(&mut sandbox).context("read the listeners' ports")?;
    Ok(sandbox)
}

/// Starts DNS and the transparent proxy.
fn serve(
    runtime: &Runtime,
    shared: &Shared,
    listeners: Listeners,
    settings: &DnsSettings,
    writer: Writer,
) -> anyhow::Result<Served> {
    let _entered = runtime.enter();
    let flows = |tcp_kind| -> anyhow::Result<Arc<dyn Flows>> {
        let socket = listeners.v4.dns_tcp.as_fd();
        let flows = shared.maps.flows(shared.sandbox.id, tcp_kind, socket);
        Ok(Arc::new(flows.context("read the network namespace's cookie")?))
    };
    let (to_proxy, to_dns) = (flows(kind::TCP)?, flows(kind::DNS_TCP)?);
    let policy = shared.sandbox.policy();
    let upstream = Arc::new(NameServers::new(settings, writer)?);
    let service = dns::Service::new(
        shared.sandbox.clone(),
        dns::Settings {
            has_ipv6: own::has_ipv6_route(),
            allow_ech: policy.settings().allow_ech,
            ..dns::Settings::new(settings)
        },
        upstream.clone(),
        to_dns,
    );
    service.pin_localhost().context("pin localhost")?;
    let proxy = Transparent::new(shared.sandbox.clone(), to_proxy);
    let mut workers: Vec<Vec<TcpListener>> = Vec::new();
    workers.resize_with(listeners.workers(), Vec::new);
    for family in [Some(listeners.v4), listeners.v6].into_iter().flatten() {
        let mut listeners = family.tcp.into_iter();
        while listeners.len() > 0 {
            for (worker, listener) in workers.iter_mut().zip(&mut listeners) {
                worker.push(listener);
            }
        }
        runtime.spawn(service.clone().serve_udp(family.dns_udp));
        runtime.spawn(service.clone().serve_tcp(family.dns_tcp));
    }
    for listeners in workers {
        work(&proxy, listeners)?;
    }
    runtime.spawn(proxy.clone().keep_pins());
    Ok(Served { proxy, dns: service, upstream })
}

/// Starts a worker: a thread with a runtime of its own, on which connections stay from accept to close.
/// It ends with the process.
fn work(proxy: &Arc<Transparent>, listeners: Vec<TcpListener>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("start a worker's runtime")?;
    // Here and not in the thread: the probe tries one worker, and another's door must not stay shut.
    let entered = runtime.enter();
    let mut doors = JoinSet::new();
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener).context("watch a listener")?;
        doors.spawn(proxy.clone().serve(listener));
    }
    drop(entered);
    let serve = move || runtime.block_on(async { while doors.join_next().await.is_some() {} });
    std::thread::Builder::new()
        .name("egress-worker".to_owned())
        .spawn(serve)
        .context("start a worker's thread")?;
    Ok(())
}

/// Answers `egress status` until dropped. A run without it is as safe, and only harder to look into.
fn tell_status(
    runtime: &Runtime,
    shared: &Shared,
    cgroup: &Cgroup,
    program: Printable,
    dns: Arc<dns::Service>,
) -> Option<Door> {
    let source = status::Source {
        id: cgroup.name().to_owned(),
        program,
        started_ns: clock::boottime_ns(),
        sandbox: shared.sandbox.clone(),
        dns,
    };
    let _entered = runtime.enter();
    let is_alive = |id: &str| cgroup.has_neighbour(id);
    match Door::open(status::PLACE.as_ref(), is_alive, Arc::new(source)) {
        Ok(door) => Some(door),
        Err(error) => {
            say(&format!("warning: `egress status` will not show this sandbox: {error}"));
            None
        }
    }
}

/// Proves the path with the kernel's real hooks before the command exists.
fn prove(shared: &Shared, init: &mut Init, events: &Mutex<Events>) -> anyhow::Result<()> {
    let probe = shared.sandbox.store();
    let ports = Ports::only(&[PROBE_TARGET.port()]);
    probe
        .pin(PROBE_TARGET.ip(), &Opening::proxied(pins::NEVER_NS, ports))
        .context("pin the probe's target")?;
    let proved = init.probe();
    probe.unpin(PROBE_TARGET.ip());
    proved?;
    // What the probe was refused, as it should be, is no news.
    while lock(events).take().is_some() {}
    Ok(())
}

/// Closes the machine's own addresses, from now on and as they change. Gives who does so, to be told of
/// the direct connections, which are to be ended where such an address is theirs.
fn watch_own(runtime: &Runtime, shared: &Shared) -> anyhow::Result<Arc<own::Keeper>> {
    let keeper = Arc::new(own::Keeper::new(shared.sandbox.clone(), shared.maps.clone()));
    let watch = own::Watch::start(keeper.clone()).context("read the machine's own addresses")?;
    shared.sandbox.watch_own(watch.clone());
    runtime.spawn(watch.follow());
    Ok(keeper)
}

/// The direct connections' keeper; none where the policy, or the kernel, leaves none.
fn direct(shared: &Shared, proxy: &Arc<Transparent>, sandbox: Sandbox) -> Option<Arc<Direct>> {
    if shared.sandbox.policy().settings().mode == Mode::Limited {
        return None;
    }
    match Direct::new(proxy.clone(), shared.maps.clone(), sandbox) {
        Ok(direct) => Some(direct),
        Err(error) => {
            tracing::debug!(%error, "every connection takes the proxy");
            None
        }
    }
}

/// The summary.
fn finish(runtime: &Runtime, shared: &Shared, teller: &Teller, events: &Mutex<Events>) {
    let entered = runtime.enter();
    while !teller.note_some(events) {}
    drop(entered);
    if shared.maps.counter(Counter::Direct) > 0 {
        teller.proxy.tried_direct();
    }
    shared.sandbox.journal.flush_deferred();
    // What no full ring can lose.
    let lost = shared.maps.counter(Counter::EventsLost);
    let full = shared.maps.counter(Counter::MapFull);
    if !shared.sandbox.journal.is_empty() || lost > 0 || full > 0 {
        let mut text = format!("egress: refused:\n{}", shared.sandbox.journal);
        if lost > 0 {
            let packets = shared.maps.counter(Counter::PacketsDropped);
            text.push_str(&format!(
                "  and {lost} more that were not recorded ({packets} packets were dropped in all)\n"
            ));
        }
        if full > 0 {
            text.push_str(&format!(
                "  {full} connections or lookups, as a kernel table was full\n"
            ));
        }
        // Nobody reads stderr: nobody to tell.
        let _ = std::io::stderr().write_all(text::lines(&text).as_bytes());
    }
}

/// One line on stderr.
fn say(text: &str) {
    super::complain(text);
}
