//! Network namespaces that nobody but their test can name.
//!
//! A [`Netns`] is a descriptor, not an entry under `/run/netns`: when the test ends, however it ends, the kernel
//! takes the namespace and its links away with the last descriptor.
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

/// A network namespace, alive as long as this value, its sockets and its processes.
pub(crate) struct Netns {
    handle: File,
}

impl Netns {
    /// A new namespace with nothing but a loopback device that is down.
    pub(crate) fn new() -> Self {
        let handle = in_new_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .expect("unshare the network namespace: the kernel tests need root");
            File::open("/proc/thread-self/ns/net").expect("open the new network namespace")
        });
        Netns { handle }
    }

    /// Runs `work` in a thread inside the namespace; the sockets it makes stay there.
    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        in_new_thread(|| {
            setns(&self.handle, CloneFlags::CLONE_NEWNET).expect("enter the network namespace");
            work()
        })
    }

    /// The TCP sockets of the namespace that have a peer, by IPv4 and IPv6.
    pub(crate) fn tcp_sockets(&self) -> Vec<TcpSocket> {
        self.enter(|| {
            let tables = ["tcp", "tcp6"].map(|table| {
                let path = format!("/proc/thread-self/net/{table}");
                std::fs::read_to_string(path).expect("read the namespace's sockets")
            });
            tables
                .iter()
                .flat_map(|table| table.lines().skip(1))
                .filter_map(TcpSocket::read)
                .collect()
        })
    }

    /// Runs one `ip -batch` in the namespace. A batch, because each `ip` costs a process.
    pub(crate) fn ip(&self, lines: &str) {
        let mut command = Command::new("ip");
        command.args(["-batch", "-"]);
        self.fed(command, lines);
    }

    /// Runs a script of nft(8) in the namespace.
    pub(crate) fn nft(&self, lines: &str) {
        let mut command = Command::new("nft");
        command.args(["-f", "-"]);
        self.fed(command, lines);
    }

    fn fed(&self, mut command: Command, lines: &str) {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.spawn(&mut command).unwrap_or_else(|error| {
            panic!("start {command:?}: {error}; apt-get install -y iproute2 nftables")
        });
        child.stdin.take().expect("a stdin").write_all(lines.as_bytes()).expect("write to it");
        let output = child.wait_with_output().expect("wait for it");
        assert!(
            output.status.success(),
            "{command:?} failed:\n{lines}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts a program in the namespace.
    pub(crate) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let handle = self.handle.as_raw_fd();
        // SAFETY: between fork and exec only `setns` runs, a bare system call; the descriptor outlives the spawn, as
        // `self` does.
        unsafe {
            command.pre_exec(move || {
                let handle = BorrowedFd::borrow_raw(handle);
                Ok(setns(handle, CloneFlags::CLONE_NEWNET)?)
            });
        }
        command.spawn()
    }

    /// A path by which another process can name this namespace while the test lives.
    pub(crate) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd())
    }

    /// Sets one of the namespace's own sysctls, `net/ipv4/...`.
    pub(crate) fn sysctl(&self, key: &str, value: &str) {
        self.enter(|| std::fs::write(format!("/proc/sys/{key}"), value))
            .unwrap_or_else(|error| panic!("set {key} to {value}: {error}"));
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// Runs `work` in a thread that ends with it, so that no thread goes on in a namespace it did not begin in.
fn in_new_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A line of /proc/net/tcp.
#[derive(Debug)]
pub(crate) struct TcpSocket {
    pub(crate) peer_port: u16,
    /// Bytes that wait in the socket: not sent, or not acknowledged.
    pub(crate) unsent: u32,
    /// Attempts of the kernel to go on that nothing came of.
    pub(crate) probes: u32,
}

impl TcpSocket {
    /// None for a listener, and for a line of another form.
    fn read(line: &str) -> Option<Self> {
        // Number, local, remote, state, queues, timer, retransmissions, user, probes.
        let fields: Vec<_> = line.split_whitespace().collect();
        let (_, port) = fields.get(2)?.split_once(':')?;
        let (unsent, _) = fields.get(4)?.split_once(':')?;
        let peer_port = u16::from_str_radix(port, 16).ok().filter(|&port| port != 0)?;
        let (again, probes) = (fields.get(6)?, fields.get(8)?);
        Some(TcpSocket {
            peer_port,
            unsent: u32::from_str_radix(unsent, 16).ok()?,
            probes: u32::from_str_radix(again, 16).ok()? + probes.parse::<u32>().ok()?,
        })
    }
}
