//! A loaded object, and sandboxes without anything that serves them.
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use egress_common::flow::kind;
use egress_common::sandbox::{Sandbox, flags};
use egress_user::flow::{Flows, PeerAddress};
use egress_user::host::{Cgroup, Host};
use egress_user::kernel::{
    Attached, Events, HeldEvent, HeldSyns, KernelEvent, Loaded, Maps, Programs,
};
use egress_user::pins::PinStore;
use egress_user::policy::{Policy, Settings};
use egress_user::sandbox::PolicyWatch;

/// No address of ours, and none that is reached: TEST-NET-1 (RFC 5737).
pub(super) const TARGET: &str = "192.0.2.1";

pub(super) fn target() -> IpAddr {
    TARGET.parse().expect("an address")
}

/// Programs and maps; nothing has attached them yet.
pub(super) struct Object {
    host: Host,
    programs: Programs,
    pub(super) maps: Arc<Maps>,
    events: Events,
    syns: HeldSyns,
}

impl Object {
    pub(super) fn load() -> Self {
        let host = Host::prepare().expect("a host");
        let (programs, set) = Loaded::load_for(2).and_then(Loaded::take).expect("the object");
        let mut maps = Maps::of(&set).expect("the maps");
        let events = maps.take_events().expect("the ring");
        let syns = maps.take_held().remove(0);
        Self { host, programs, maps: Arc::new(maps), events, syns }
    }

    pub(super) fn sandbox(&self) -> Judged {
        let cgroup = Cgroup::create(&self.host.cgroup2, &self.host.pins).expect("a cgroup");
        let id = cgroup.id().expect("its id");
        let pins = self.host.pins.join(cgroup.name());
        let attached = self.programs.attach(id, cgroup.outer(), &pins).expect("attach");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let mut record = Sandbox { id, workers: 1, ..Sandbox::NONE };
        record.tcp4_ports[0] = listener.local_addr().expect("its address").port();
        let dns = UdpSocket::bind("127.0.0.1:0").expect("a listener of lookups");
        record.dns_udp4_port = dns.local_addr().expect("its address").port();
        self.maps.add_sandbox(record).expect("room for it");
        Judged { id, record, listener, dns, cgroup, pins, _attached: attached }
    }

    /// Where its pins are written.
    pub(super) fn store(&self, sandbox: &Judged) -> impl PinStore {
        let policy = Policy::new(Settings::default(), Vec::new());
        self.maps.pin_sink(sandbox.id, Arc::new(PolicyWatch::new(Arc::new(policy))))
    }

    /// Makes every public address one that goes to its listener.
    pub(super) fn open(&self, sandbox: &Judged) {
        let open = Sandbox { flags: flags::PUBLIC, ..sandbox.record };
        self.maps.add_sandbox(open).expect("as before");
    }

    /// The same, and their SYNs are held.
    pub(super) fn hold(&self, sandbox: &Judged) {
        let netns = egress_user::sys::sockets::netns_cookie(sandbox.listener.as_fd());
        let held = Sandbox {
            flags: flags::PUBLIC | flags::HOLD,
            netns: netns.expect("the namespace's cookie"),
            ..sandbox.record
        };
        self.maps.add_sandbox(held).expect("as before");
    }

    /// What is told now of connects that are held.
    pub(super) fn held(&mut self) -> Vec<HeldEvent> {
        std::iter::from_fn(|| self.syns.take()).collect()
    }

    /// That the sandbox's listener is told where the next connection to it wanted to go.
    pub(super) fn is_told_of_the_next(&self, sandbox: &Judged) {
        let flows = self.maps.flows(sandbox.id, kind::TCP, sandbox.listener.as_fd());
        let (accepted, peer) = sandbox.listener.accept().expect("a connection");
        let at = accepted.local_addr().expect("its address");
        let flow = flows.expect("flows").take_tcp(PeerAddress(peer), at).expect("its record");
        assert_eq!(flow.original.0, SocketAddr::new(target(), 9));
    }

    /// How many refusals are told now of each of these.
    pub(super) fn told(&mut self, ids: [u64; 2]) -> [usize; 2] {
        let mut told = [0, 0];
        while let Some(event) = self.events.take() {
            let KernelEvent::Refused(event) = event else { continue };
            for (told, id) in told.iter_mut().zip(ids) {
                *told += usize::from(event.sandbox == id);
            }
        }
        told
    }
}

/// A sandbox without anything that serves it.
pub(super) struct Judged {
    pub(super) id: u64,
    pub(super) record: Sandbox,
    pub(super) listener: TcpListener,
    pub(super) dns: UdpSocket,
    cgroup: Cgroup,
    /// Its directory of pins.
    pub(super) pins: PathBuf,
    // Behind the cgroup: programs go last.
    _attached: Attached,
}

impl Judged {
    /// A program inside, with what it says.
    pub(super) fn started(&self, words: &[&str]) -> Child {
        let procs = self.cgroup.inner().join("cgroup.procs");
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("echo 0 > {} && exec \"$@\"", procs.display()));
        command.arg("sh").args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
        command.spawn().expect("start it")
    }

    /// Connects so many times from inside. Gives how many were refused.
    pub(super) fn connect(&self, times: usize) -> usize {
        let procs = self.cgroup.inner().join("cgroup.procs");
        let script = format!(
            "echo 0 > {} || exit 9; n=0; for i in $(seq {times}); do \
             true >/dev/tcp/{TARGET}/9 || n=$((n+1)); done; echo $n",
            procs.display()
        );
        let out = Command::new("bash").args(["-c", &script]).output().expect("run bash");
        assert!(out.status.success(), "{out:?}");
        let refused: usize = String::from_utf8_lossy(&out.stdout).trim().parse().expect("a number");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(
            refused == 0
                || ["connect: Operation not permitted", "Protocol not supported"]
                    .iter()
                    .any(|why| said.contains(why)),
            "{said}"
        );
        refused
    }
}
