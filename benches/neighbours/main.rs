//! What a flood from one of ten sandboxes in a process costs another of them: DNS and connects, p50 and p99.
//! Needs root: `cargo build --release -p egress-user && sudo cargo bench -p benches --bench neighbours`.
//!
//! A busy program costs others on the same machine their processors' time, whoever it is. So the same flood
//! comes from a sandbox of the process, from a sandbox of another `egress run`, and from a program in none, in
//! turn within each round, beside a quiet window: what the first costs more than the second is what
//! sandboxes of one process cost each other.
mod client;
mod report;

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{ExitCode, Stdio},
    time::Duration,
};

use benches::{
    dns_wire,
    world::{Ends, NAME_SERVER, SERVER, World},
};
use egress_user::{
    config,
    launch::{self, Capabilities, Command},
    sandbox::{Sandbox, Spec},
    supervisor::Supervisor,
};
use nix::{sys::stat::Mode, unistd::mkfifo};

use self::report::Report;

/// Sandboxes of the process: one is measured, one floods, the others do a little.
const COUNT: usize = 10;
/// Unless a number of rounds is given.
const ROUNDS: usize = 9;
const WINDOW: Duration = Duration::from_millis(2_500);
/// What one may do in a flood.
const FLOODS: [&str; 3] = ["lookups", "connects", "events"];
/// Who floods, besides nobody.
const FLOODERS: [&str; 3] = ["house", "other", "outside"];

const POLICY: &str = r#"
[network.domains]
"warm.test" = "allow"
"**.flood.test" = "allow"
"curl.test" = { action = "allow", via = "kernel" }
"proxied.test" = { action = "allow", via = "proxy" }
"#;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["serve"] => serve(),
        ["house", folder] => house(Path::new(folder)),
        ["client", folder, name] => client::run(Path::new(folder), name),
        [rounds, ..] if rounds.parse::<usize>().is_ok() => {
            compare(rounds.parse().unwrap_or(ROUNDS))
        }
        // cargo's own `--bench`.
        _ => compare(ROUNDS),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!(
                "neighbours: {error}; it needs root, iproute2, util-linux and a release build"
            );
            ExitCode::from(2)
        }
    }
}

fn egress() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/egress");
    std::env::var_os("EGRESS_BIN").map_or(built, PathBuf::from)
}

/// The far side: names, and both servers.
fn serve() -> io::Result<()> {
    let address = SERVER.parse::<std::net::Ipv4Addr>().map_err(io::Error::other)?;
    client::answer_connections(address)?;
    let names = NAME_SERVER.parse::<std::net::IpAddr>().map_err(io::Error::other)?;
    dns_wire::serve((names, 53).into(), address.octets())
}

/// The process with the sandboxes; ends when they have.
fn house(folder: &Path) -> io::Result<()> {
    let own = std::env::current_exe()?;
    launch::set_executable(&egress());
    let supervisor = Supervisor::start_for(COUNT as u32).map_err(io::Error::other)?;
    let started: Vec<_> = (0..COUNT)
        .map(|number| {
            let loaded = config::parse(POLICY, "policy.toml").map_err(io::Error::other)?;
            let assembled = config::assemble_layers(vec![loaded], &config::Flags::default());
            let arguments = ["client".into(), folder.into(), name(number).into()];
            Sandbox::start(
                Spec {
                    observer: None,
                    policy: assembled.map_err(io::Error::other)?.policy,
                    dns: config::DnsSettings::default(),
                    drain: Duration::from_secs(1),
                    command: Command {
                        program: own.clone().into(),
                        arguments: arguments.into(),
                        user: None,
                        capabilities: Capabilities::None,
                    },
                },
                &supervisor,
            )
            .map_err(io::Error::other)
        })
        .collect::<io::Result<_>>()?;
    for handle in started {
        supervisor.block_on(handle.wait())?;
        handle.stop();
    }
    Ok(())
}

fn name(number: usize) -> String {
    format!("s{number}")
}

/// A client, as whoever measures speaks with it: a line to do something, a line when it is done.
struct Talk {
    to: File,
    from: BufReader<File>,
}

impl Talk {
    /// Makes the pipes, before the client is started.
    fn new(folder: &Path, name: &str) -> io::Result<Self> {
        let open = |end: &str| {
            let path = folder.join(format!("{name}.{end}"));
            mkfifo(&path, Mode::S_IRWXU)?;
            // Both ends, so that nobody waits for the other one.
            File::options().read(true).write(true).open(path)
        };
        Ok(Self { to: open("to")?, from: BufReader::new(open("from")?) })
    }

    fn tell(&mut self, what: &str) -> io::Result<()> {
        writeln!(self.to, "{what} {}", WINDOW.as_millis())
    }

    fn hear(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line)
    }
}

fn compare(rounds: usize) -> io::Result<()> {
    let world = World::new()?;
    let own = std::env::current_exe()?;
    let folder = world.folder().to_owned();
    let policy = folder.join("policy.toml");
    fs::write(&policy, POLICY)?;
    let all = "0-1023";
    let _server = Ends(world.far(all).arg(&own).arg("serve").spawn()?);
    let mut inside =
        (0..COUNT).map(|n| Talk::new(&folder, &name(n))).collect::<io::Result<Vec<_>>>()?;
    let (mut other, mut outside) = (Talk::new(&folder, "other")?, Talk::new(&folder, "outside")?);
    let client = |name| ["client".into(), folder.clone().into_os_string(), name];
    // First, and heard: from then on the far side answers.
    let _outside = Ends(world.client(all).arg(&own).args(client("outside".into())).spawn()?);
    outside.hear()?;
    let mut house = world.client(all);
    let _house = Ends(house.arg(&own).arg("house").arg(&folder).spawn()?);
    let mut run = world.client(all);
    run.arg(egress()).args(["run", "--policy"]).arg(&policy).arg("--").arg(&own);
    let _other = Ends(run.args(client("other".into())).stderr(Stdio::null()).spawn()?);
    for talk in inside.iter_mut().chain([&mut other]) {
        talk.hear()?;
    }

    let [measured, others @ .., flooding] = inside.as_mut_slice() else { return Ok(()) };
    let mut report = Report::default();
    for round in 0..rounds {
        let windows = FLOODS.into_iter().flat_map(|flood| {
            let mut who = ["quiet"].into_iter().chain(FLOODERS).collect::<Vec<_>>();
            // Each is first as often as the others.
            who.rotate_left(round % (FLOODERS.len() + 1));
            who.into_iter().map(move |who| (flood, who))
        });
        for (flood, who) in windows {
            let flooder = match who {
                "house" => Some(&mut *flooding),
                "other" => Some(&mut other),
                "outside" => Some(&mut outside),
                _ => None,
            };
            others.iter_mut().try_for_each(|talk| talk.tell("little"))?;
            measured.tell("measure")?;
            let told = match flooder {
                Some(talk) => {
                    talk.tell(flood)?;
                    talk.hear()?
                }
                None => String::new(),
            };
            report.add(flood, who, &measured.hear()?, &told);
            others.iter_mut().try_for_each(|talk| talk.hear().map(drop))?;
        }
    }
    println!("{report}");
    Ok(())
}
