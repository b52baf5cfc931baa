//! Two network namespaces and a link between them: a client, and a far side with the addresses of an
//! internet. Needs root; everything goes when it is dropped.
use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// The far side's server, in a range that policies take for public.
pub const SERVER: &str = "93.184.216.34";
/// The far side's name server, which the client's resolv.conf names.
pub const NAME_SERVER: &str = "93.184.216.53";
/// How every world's name begins; the process that made it and a number follow.
const PREFIX: &str = "egress-bench-";
/// How long a child may take to end by itself, and as long again once it was asked to.
const GRACE: Duration = Duration::from_secs(3);

/// See the module.
#[derive(Debug)]
pub struct World {
    client: String,
    far: String,
    folder: PathBuf,
}

impl World {
    /// Makes the namespaces `egress-bench-PID-NUMBER-c` and `-f`, after removing those of processes
    /// that were killed before they could.
    ///
    /// # Errors
    /// When `ip` fails: not root, or no iproute2.
    pub fn new() -> io::Result<Self> {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            sweep();
        }
        let name = |side| format!("{PREFIX}{}-{number}-{side}", std::process::id());
        let (client, far) = (name("c"), name("f"));
        let folder = std::env::temp_dir().join(name("w"));
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("resolv.conf"), format!("nameserver {NAME_SERVER}\n"))?;
        // From here on whatever was made is taken away.
        let world = Self { client, far, folder };
        let (client, far) = (&world.client, &world.far);
        for line in [
            format!("netns add {client}"),
            format!("netns add {far}"),
            format!("-n {client} link add b0 type veth peer name b1 netns {far}"),
            format!("-n {client} addr add 93.184.216.2/24 dev b0"),
            format!("-n {far} addr add {SERVER}/24 dev b1"),
            format!("-n {far} addr add {NAME_SERVER}/24 dev b1"),
            format!("-n {client} link set b0 up"),
            format!("-n {far} link set b1 up"),
            format!("-n {client} link set lo up"),
            format!("-n {far} link set lo up"),
            format!("-n {client} route add default via {SERVER}"),
        ] {
            ip(&line)?;
        }
        // One congestion control for all: a machine's default that paces (bbr) makes a relay's loopback
        // side the slow one. And ports enough for thousands of connections that nobody uses.
        let set = "echo cubic > /proc/sys/net/ipv4/tcp_congestion_control || echo reno > /proc/sys/net/ipv4/tcp_congestion_control; \
                   echo '1024 65000' > /proc/sys/net/ipv4/ip_local_port_range";
        for mut side in [world.far("0"), world.client("0")] {
            // A machine whose /proc/sys is read-only is measured as it is.
            side.args(["sh", "-c", set]).stderr(Stdio::null()).status()?;
        }
        Ok(world)
    }

    /// A place for files, which goes with the world.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A command on the far side, on these processors (a list as of taskset(1)).
    pub fn far(&self, processors: &str) -> Command {
        within(&self.far, None, processors)
    }

    /// A command on the client's side, whose resolver asks [`NAME_SERVER`].
    pub fn client(&self, processors: &str) -> Command {
        within(&self.client, Some(&self.folder.join("resolv.conf")), processors)
    }

    /// Runs `ip` in the client's namespace with these words.
    ///
    /// # Errors
    /// When it fails.
    pub fn client_ip(&self, line: &str) -> io::Result<()> {
        ip(&format!("-n {} {line}", self.client))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for name in [&self.client, &self.far] {
            let _ = ip(&format!("netns del {name}"));
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A command that is given `"$@"` by its caller, with all the descriptors that it may have. nsenter instead of `ip netns exec`, which hides the
/// machine's cgroups behind a new /sys.
fn within(namespace: &str, resolv_conf: Option<&Path>, processors: &str) -> Command {
    let bind = resolv_conf
        .map(|path| format!("mount --bind {} /etc/resolv.conf && ", path.display()))
        .unwrap_or_default();
    let line =
        format!("{bind}exec nsenter --net=/run/netns/{namespace} taskset -c {processors} \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &line, "sh"]).stdin(Stdio::null());
    command
}

fn ip(line: &str) -> io::Result<()> {
    let output = Command::new("ip").args(line.split(' ')).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {line}: {}", said.trim())))
}

/// Removes the namespaces and folders of processes that are no more.
fn sweep() {
    for folder in [Path::new("/run/netns"), &std::env::temp_dir()] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let process = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
            let Some(process) = process.and_then(|text| text.parse::<u32>().ok()) else { continue };
            if Path::new(&format!("/proc/{process}")).exists() {
                continue;
            }
            if folder.ends_with("netns") {
                let _ = ip(&format!("netns del {name}"));
            } else {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// A child that ends with this value: by itself once its standard input is closed, or as it is asked
/// to (a master of workers ends these only then), or killed.
#[derive(Debug)]
pub struct Ends(pub Child);

impl Drop for Ends {
    fn drop(&mut self) {
        if self.0.stdin.take().is_some() && self.ended_soon() {
            return;
        }
        if let Ok(id) = i32::try_from(self.0.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        if !self.ended_soon() {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

impl Ends {
    fn ended_soon(&mut self) -> bool {
        let deadline = Instant::now() + GRACE;
        while Instant::now() < deadline {
            // An error means that there is no such child any more.
            if !matches!(self.0.try_wait(), Ok(None)) {
                return true;
            }
            thread::sleep(Duration::from_millis(2));
        }
        false
    }
}
