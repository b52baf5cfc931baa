//! Two network namespaces and a link between them: a client, and a far side with the addresses of an
//! internet. Needs root; everything goes when it is dropped.
use std::{
    io,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The far side's server, in a range that policies take for public.
pub const SERVER: &str = "93.184.216.34";
/// The far side's name server, which the client's resolv.conf names.
pub const NAME_SERVER: &str = "93.184.216.53";

/// See the module.
#[derive(Debug)]
pub struct World {
    client: String,
    far: String,
    folder: PathBuf,
}

impl World {
    /// Makes the namespaces `egress-bench-PID-c` and `-f`.
    ///
    /// # Errors
    /// When `ip` fails: not root, or no iproute2.
    pub fn new() -> io::Result<Self> {
        sweep();
        let name = |side| format!("egress-bench-{}-{side}", std::process::id());
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

/// A child that ends with this value.
#[derive(Debug)]
pub struct Ends(pub Child);

impl Drop for Ends {
    /// Asks first: a server that is killed leaves its workers behind.
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How long a server may take to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Takes away what benchmarks left that were killed.
fn sweep() {
    let entries = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in entries.filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix("egress-bench-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|id| !Path::new("/proc").join(id).exists()) {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}
