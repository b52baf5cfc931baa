//! A variant that runs: a world of its own, the servers that it needs, and the load.
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use benches::world::{Ends, World};
use serde_json::Value;

use super::{
    load::NAME,
    process,
    talk::{self, Talk},
    variant::{Server, Variant},
};

/// For whatever starts.
pub(crate) const START: Duration = Duration::from_secs(10);
/// For an answer of the load, beyond the time that its work takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// See the module. Fields are dropped in this order: load, servers, network.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) variant: Variant,
    load: Talk,
    servers: Vec<Ends>,
    far: Talk,
    _names: Talk,
    world: World,
    processors: Vec<usize>,
}

impl Way {
    /// [`Self::with`] what cargo's release profile has built here.
    pub(crate) fn open(variant: Variant, processors: &[usize], more: &str) -> io::Result<Self> {
        Self::with(variant, &egress(), processors, more)
    }

    /// Starts it all, and tries whether it carries anything. `program` is a build of egress, for the ways
    /// through it; `more` is added to their policy.
    pub(crate) fn with(
        variant: Variant,
        program: &Path,
        processors: &[usize],
        more: &str,
    ) -> io::Result<Self> {
        let world = World::new()?;
        let own = std::env::current_exe()?;
        let list = process::list(processors);
        let far = Talk::start(
            world.far(&list).arg(&own).arg("serve").stderr(log(&world, "far server")?),
        )?;
        far.line(START).map_err(|error| said(&world, "the far server", &error))?;
        let names =
            Talk::start(world.far(&list).arg(&own).arg("names").stderr(log(&world, "names")?))?;
        names.line(START).map_err(|error| said(&world, "the name server", &error))?;
        let mut servers = Vec::new();
        for server in variant.servers() {
            servers.push(start(&world, server, &list)?);
        }
        let mut command = world.client(&list);
        if let Some(path) = variant.path() {
            let policy = policy(&world, program, path, more)?;
            command.arg(program).args(["run", "--policy"]).arg(policy).arg("--");
        }
        command.arg(&own).args(["load", &variant.via().word()]).stderr(log(&world, "load")?);
        let load = Talk::start(&mut command)?;
        let mut way = Self {
            variant,
            load,
            servers,
            far,
            _names: names,
            world,
            processors: processors.to_vec(),
        };
        way.ask("ready", 0).map_err(|error| said(&way.world, "a first connection", &error))?;
        Ok(way)
    }

    /// The load's answer to a work of this amount: milliseconds, or a number of things.
    pub(crate) fn ask(&mut self, work: &str, amount: u32) -> io::Result<Value> {
        let time = Duration::from_millis(amount.into());
        self.load.ask(&format!("{work} {amount}"), PATIENCE + time)
    }

    /// A command beside this way's client.
    pub(crate) fn client(&self) -> std::process::Command {
        self.world.client(&process::list(&self.processors))
    }

    /// From now on all of it runs on these processors.
    pub(crate) fn pin(&mut self, processors: &[usize]) -> io::Result<()> {
        self.processors = processors.to_vec();
        process::pin(&process::tree(&self.roots()), processors)
    }

    /// Processor seconds used so far: client, what is in between, server, and the kernel's work on packets.
    pub(crate) fn used_seconds(&self) -> f64 {
        let mut all = process::tree(&self.roots());
        all.extend(process::packet_threads(&self.processors));
        process::used_seconds(&all)
    }

    /// Resident memory of what stands in between, in KiB: neither client nor server.
    pub(crate) fn resident_kib(&self) -> f64 {
        let mut all = process::tree(&self.between());
        all.retain(|&process| !process::is_this_program(process));
        process::resident_kib(&all)
    }

    fn between(&self) -> Vec<u32> {
        let servers = self.servers.iter().map(|server| server.0.id());
        // Under egress the load's outermost process is egress.
        servers.chain([self.load.id()]).collect()
    }

    fn roots(&self) -> Vec<u32> {
        let mut roots = self.between();
        roots.push(self.far.id());
        roots
    }
}

/// The program that is measured, as cargo's release profile builds it.
pub(crate) fn egress() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/egress")
}

/// A policy for the way, in words that this build knows: the key has had two names.
fn policy(world: &World, program: &Path, way: &str, more: &str) -> io::Result<PathBuf> {
    let mut words = String::new();
    for key in ["via", "path"] {
        let rule = format!(
            "[network.domains]\n\"{NAME}\" = {{ action = \"allow\", {key} = \"{way}\" }}\n{more}"
        );
        let policy = written(world, "policy.toml", &rule)?;
        let mut lint = std::process::Command::new(program);
        let output = lint.args(["policy", "lint"]).arg(&policy).output()?;
        if output.status.success() {
            return Ok(policy);
        }
        words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    }
    Err(io::Error::other(format!("{} does not take the policy: {words}", program.display())))
}

fn start(world: &World, server: &Server, processors: &str) -> io::Result<Ends> {
    let config = written(world, server.file, server.config)?;
    let mut command = world.client(processors);
    for &word in server.words {
        match word {
            "CONFIG" => command.arg(&config),
            "FOLDER" => command.arg(world.folder()),
            word => command.arg(word),
        };
    }
    let name = server.words.first().copied().unwrap_or_default();
    let output = log(world, name)?;
    let mut child = Ends(command.stdout(output.try_clone()?).stderr(output).spawn()?);
    let deadline = Instant::now() + START;
    while !listens(&child, server.port) {
        talk::go_on()?;
        if let Some(status) = child.0.try_wait()? {
            return Err(said(world, name, &io::Error::other(format!("it ended ({status})"))));
        }
        if Instant::now() > deadline {
            let error = io::Error::other(format!("nothing on port {} after 10 s", server.port));
            return Err(said(world, name, &error));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    if let Some(rules) = server.redirect {
        let rules = written(world, "redirect.nft", rules)?;
        let output = world.client(processors).args(["nft", "-f"]).arg(rules).output()?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(io::Error::other(format!("nft: {words}")));
        }
    }
    Ok(child)
}

/// Whether the network namespace of this process has a listener on this port.
fn listens(child: &Ends, port: u16) -> bool {
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", child.0.id())).unwrap_or_default();
    has_listener(&table, port)
}

/// Looks for a socket in the state LISTEN (0A) in the text of /proc/net/tcp.
fn has_listener(table: &str, port: u16) -> bool {
    let end = format!(":{port:04X}");
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1).is_some_and(|local| local.ends_with(&end)) && fields.get(3) == Some(&"0A")
    })
}

fn written(world: &World, name: &str, text: &str) -> io::Result<PathBuf> {
    let path = world.folder().join(name);
    fs::File::create(&path)?.write_all(text.as_bytes())?;
    Ok(path)
}

fn log(world: &World, name: &str) -> io::Result<fs::File> {
    fs::File::create(world.folder().join(format!("{name}.log")))
}

/// An error with the last that anything of this world has said.
fn said(world: &World, what: &str, error: &io::Error) -> io::Error {
    if talk::is_stop(error) {
        return talk::go_on().err().unwrap_or_else(|| io::ErrorKind::Interrupted.into());
    }
    let logs = fs::read_dir(world.folder()).into_iter().flatten().flatten();
    let last = logs
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .filter_map(|path| fs::read_to_string(path).ok()?.lines().last().map(str::to_owned))
        .filter(|line| !line.trim().is_empty());
    let words: Vec<_> = [format!("{what}: {error}")].into_iter().chain(last).collect();
    io::Error::other(words.join("; "))
}

#[cfg(test)]
mod tests {
    use super::has_listener;

    #[test]
    fn a_listener_is_told_from_a_connection() {
        let table = "  sl  local_address rem_address   st tx_queue\n   \
                     0: 0100007F:0C38 00000000:0000 0A 00000000:00000000\n   \
                     1: 0100007F:24E3 0100007F:0C38 01 00000000:00000000\n";
        assert!(has_listener(table, 3128));
        assert!(!has_listener(table, 9443));
    }
}
