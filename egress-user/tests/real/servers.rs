//! The servers on the far side, each in a namespace of processes that ends with it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::support::World;
use super::tables::Server;

/// How long a server may take to open its ports: initdb on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// The address of the server in this place of the table.
pub(crate) fn address(place: usize) -> String {
    format!("93.184.216.{}", 100 + place)
}

/// The servers that run; dropped, they end.
pub(crate) struct Running {
    children: Vec<Child>,
}

impl Running {
    /// Starts them all and waits until each is ready.
    ///
    /// # Panics
    /// With the words of the one that does not start.
    pub(crate) fn start(world: &World, servers: &[Server], env: &[(&str, String)]) -> Self {
        let mut running = Running { children: Vec::new() };
        for (place, server) in servers.iter().enumerate() {
            let folder = world.path(&server.name);
            fs::create_dir(&folder).expect("make a server's folder");
            running.children.push(spawn(world, server, &folder, &address(place), env));
        }
        let deadline = Instant::now() + READY_WITHIN;
        for (place, server) in servers.iter().enumerate() {
            for &port in &server.ports {
                let at = format!("{}:{port}", address(place)).parse().expect("an address");
                if !world.far_netns().enter(|| opens(at, deadline)) {
                    let log = fs::read_to_string(log_of(&world.path(&server.name)));
                    panic!(
                        "{} does not open port {port}:\n{}",
                        server.name,
                        log.unwrap_or_default()
                    );
                }
            }
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.children {
            // `unshare` kills what it has started.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn spawn(
    world: &World,
    server: &Server,
    folder: &Path,
    address: &str,
    env: &[(&str, String)],
) -> Child {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("let others read it");
    let log = fs::File::create(log_of(folder)).expect("make a server's log");
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", &server.start]);
    command.stdin(Stdio::null());
    command.stdout(log.try_clone().expect("a second descriptor of the log")).stderr(log);
    command.env("AT", address).env("DIR", folder).env("LC_ALL", "C").current_dir(folder);
    command.envs(env.iter().map(|(key, value)| (key, value)));
    let started = world.far_netns().spawn(&mut command);
    started.unwrap_or_else(|error| panic!("start {}: {error}", server.name))
}

fn log_of(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn opens(at: SocketAddr, deadline: Instant) -> bool {
    while Instant::now() < deadline {
        if TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok() {
            return true;
        }
        // Nothing tells when another's port opens.
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}
