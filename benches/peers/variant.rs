//! The ways from client to server that are compared, each with its best documented settings.
use std::{
    fs, io,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use benches::world::{Ends, World};

use super::load::{NAME, Via};

/// One way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Variant {
    Direct,
    EgressKernel,
    EgressProxy,
    Squid,
    Haproxy,
    Nginx,
    Tinyproxy,
    Redsocks,
}

impl Variant {
    pub(crate) const ALL: [Self; 8] = [
        Self::Direct,
        Self::EgressKernel,
        Self::EgressProxy,
        Self::Squid,
        Self::Haproxy,
        Self::Nginx,
        Self::Tinyproxy,
        Self::Redsocks,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::EgressKernel => "egress, kernel path",
            Self::EgressProxy => "egress, proxy path",
            Self::Squid => "squid CONNECT",
            Self::Haproxy => "haproxy TCP",
            Self::Nginx => "nginx stream",
            Self::Tinyproxy => "tinyproxy CONNECT",
            Self::Redsocks => "redsocks + squid",
        }
    }

    /// The program and the words that make it tell its version.
    pub(crate) fn version(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Direct | Self::EgressKernel | Self::EgressProxy => None,
            Self::Squid => Some(("squid", "-v")),
            Self::Haproxy => Some(("haproxy", "-v")),
            Self::Nginx => Some(("nginx", "-v")),
            Self::Tinyproxy => Some(("tinyproxy", "-v")),
            Self::Redsocks => Some(("redsocks", "-v")),
        }
    }

    fn via(self) -> Via {
        let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        match self {
            // redsocks gets what the kernel redirects.
            Self::Direct | Self::EgressKernel | Self::EgressProxy | Self::Redsocks => Via::Target,
            Self::Squid => Via::Connect(at(3128)),
            Self::Tinyproxy => Via::Connect(at(8888)),
            Self::Haproxy => Via::Forward(at(9443)),
            Self::Nginx => Via::Forward(at(9444)),
        }
    }
}

/// A way that is open: its servers run until it is dropped.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) variant: Variant,
    servers: Vec<Ends>,
    policy: Option<PathBuf>,
    redirects: bool,
}

impl Open {
    /// Starts what the way needs, on these processors.
    pub(crate) fn new(variant: Variant, world: &World, processors: &str) -> io::Result<Self> {
        let mut open = Self { variant, servers: Vec::new(), policy: None, redirects: false };
        let folder = world.folder();
        let file = |name: &str, text: &str| -> io::Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path)
        };
        let mut start = |words: &[&str]| -> io::Result<()> {
            let mut command = world.client(processors);
            let log = fs::File::create(
                folder.join(format!("{}.log", words.join("-").replace('/', "_"))),
            )?;
            command.args(words);
            command.stdout(log.try_clone()?).stderr(log);
            open.servers.push(Ends(command.spawn()?));
            Ok(())
        };
        match variant {
            Variant::Direct => {}
            Variant::EgressKernel | Variant::EgressProxy => {
                let way = if variant == Variant::EgressKernel { "kernel" } else { "proxy" };
                let rule = format!(
                    "[network.domains]\n\"{NAME}\" = {{ action = \"allow\", path = \"{way}\" }}\n"
                );
                open.policy = Some(file(&format!("{way}.toml"), &rule)?);
            }
            Variant::Squid => {
                let config = file("squid.conf", include_str!("squid.conf"))?;
                start(&["squid", "-N", "-f", text(&config)?])?;
                answers(world, 3128)?;
            }
            Variant::Haproxy => {
                let config = file("haproxy.cfg", include_str!("haproxy.cfg"))?;
                start(&["haproxy", "-f", text(&config)?])?;
                answers(world, 9443)?;
            }
            Variant::Nginx => {
                let config = file("nginx.conf", include_str!("nginx.conf"))?;
                start(&["nginx", "-e", "/dev/null", "-p", text(folder)?, "-c", text(&config)?])?;
                answers(world, 9444)?;
            }
            Variant::Tinyproxy => {
                let config = file("tinyproxy.conf", include_str!("tinyproxy.conf"))?;
                start(&["tinyproxy", "-d", "-c", text(&config)?])?;
                answers(world, 8888)?;
            }
            Variant::Redsocks => {
                let squid = file("squid.conf", include_str!("squid.conf"))?;
                start(&["squid", "-N", "-f", text(&squid)?])?;
                answers(world, 3128)?;
                let config = file("redsocks.conf", include_str!("redsocks.conf"))?;
                start(&["redsocks", "-c", text(&config)?])?;
                answers(world, 12345)?;
                let rules = file("redirect.nft", include_str!("redirect.nft"))?;
                succeeds(world.client("0").args(["nft", "-f", text(&rules)?]))?;
                open.redirects = true;
            }
        }
        Ok(open)
    }

    /// The load's command, on these processors.
    pub(crate) fn load(
        &self,
        world: &World,
        processors: &str,
        work: &str,
        count: usize,
    ) -> io::Result<Command> {
        let mut command = world.client(processors);
        if let Some(policy) = &self.policy {
            let egress = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release/egress");
            command.arg(egress).args(["run", "--policy"]).arg(policy).arg("--");
        }
        command.arg(std::env::current_exe()?);
        command.args(["load", work, &count.to_string(), &self.variant.via().word()]);
        Ok(command)
    }

    /// Process ids whose memory idle connections cost, and their children's. The load's own is left
    /// out: `load` is the id of its outermost process, which is egress where there is one.
    pub(crate) fn processes(&self, load: u32) -> Vec<u32> {
        match self.policy {
            Some(_) => vec![load],
            None => self.servers.iter().map(|server| server.0.id()).collect(),
        }
    }

    /// Ends it.
    pub(crate) fn close(self, world: &World) {
        if self.redirects {
            let _ = world.client("0").args(["nft", "flush", "ruleset"]).status();
        }
    }
}

fn text(path: &Path) -> io::Result<&str> {
    path.to_str().ok_or_else(|| io::Error::other("a path that is no text"))
}

fn succeeds(command: &mut Command) -> io::Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Waits until something listens there, inside the client's namespace.
fn answers(world: &World, port: u16) -> io::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let mut knock = world.client("0");
        knock.arg(std::env::current_exe()?).args(["knock", &port.to_string()]);
        if knock.stderr(Stdio::null()).status()?.success() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let said = last_words(world.folder());
            return Err(io::Error::other(format!("nothing on port {port} after 5 s{said}")));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What the servers have said last.
fn last_words(folder: &Path) -> String {
    let logs = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    logs.filter(|path| path.extension().is_some_and(|kind| kind == "log"))
        .filter_map(|path| fs::read_to_string(path).ok()?.lines().last().map(|l| format!("; {l}")))
        .collect()
}

/// `knock PORT`: whether something listens on loopback.
pub(crate) fn knock(port: &str) -> io::Result<()> {
    let port = port.parse().map_err(io::Error::other)?;
    TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).map(drop)
}
