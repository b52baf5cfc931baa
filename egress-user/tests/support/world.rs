//! The test world: a client's network, a far side full of servers, and one link between them.
use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tempfile::TempDir;

use super::arrivals::{Arrivals, Flow, flows};
use super::capture::Tripwire;
use super::certificates::authority_for;
use super::command::Client;
use super::log::{Contact, Log, Query, Request};
use super::name_server::{Answer, Zone};
use super::netns::Netns;
use super::services::{Listeners, Servers, Service};
use super::tools;

/// The client's own address and the device it is on.
pub(crate) const CLIENT: &str = "93.184.216.2";
pub(crate) const CLIENT_DEVICE: &str = "client0";
/// The name server in the client's resolv.conf.
pub(crate) const NAME_SERVER: &str = "93.184.216.53";
/// Far side addresses that every world has: three sites, a name server, a foreign resolver, the metadata service, a
/// private address; the same for IPv6, where the last is the NAT64 form of the private one.
const FAR: &[&str] = &[
    "93.184.216.34",
    "93.184.216.35",
    "93.184.216.36",
    NAME_SERVER,
    "8.8.8.8",
    "169.254.169.254",
    "10.9.8.7",
    "2606:2800:220:1::34",
    "2606:2800:220:1::35",
    "2001:4860:4860::8888",
    "fd00:9::7",
    "64:ff9b::10.9.8.7",
];
/// An address that the far side does not have: what is sent there is never answered.
pub(crate) const SILENT: &str = "151.101.1.40";
/// Most flows in the report of a failed claim.
const FLOWS_SHOWN: usize = 40;
const FAR_DEVICE: &str = "far0";
const FAR_GATEWAY: Ipv4Addr = Ipv4Addr::new(93, 184, 216, 1);

/// A world in the making.
#[must_use]
pub(crate) struct Builder {
    zone: Zone,
    names: Vec<String>,
    addresses: Vec<IpAddr>,
    closed: Vec<IpAddr>,
    tools: &'static [(&'static str, &'static str)],
}

impl Builder {
    /// Other programs than those of the tests must be there: (program, Debian package) each.
    pub(crate) fn tools(self, tools: &'static [(&'static str, &'static str)]) -> Self {
        Builder { tools, ..self }
    }

    /// A name with one address, and all servers there.
    pub(crate) fn site(self, name: &str, address: &str) -> Self {
        self.address(address).record(name, &[address])
    }

    /// A name with these addresses, whatever is there.
    pub(crate) fn record(self, name: &str, addresses: &[&str]) -> Self {
        self.answers(name, Answer::Addresses(parsed(addresses)))
    }

    /// A name whose addresses change from lookup to lookup; the last list stays.
    pub(crate) fn flips(self, name: &str, rounds: &[&[&str]]) -> Self {
        self.answers(
            name,
            Answer::Sequence(rounds.iter().map(|addresses| parsed(addresses)).collect()),
        )
    }

    /// A name with any other answer.
    pub(crate) fn answers(mut self, name: &str, answer: Answer) -> Self {
        self.zone.set(name, answer);
        self.names.push(name.to_owned());
        self
    }

    /// One more address with all servers.
    pub(crate) fn address(mut self, address: &str) -> Self {
        self.addresses.extend(parsed(&[address]));
        self
    }

    /// An address where nothing listens: a connect is answered with a reset.
    pub(crate) fn closed(mut self, address: &str) -> Self {
        self.closed.extend(parsed(&[address]));
        self
    }

    /// Seconds that the name server lets its answers live; 60 unless told.
    pub(crate) fn ttl(mut self, seconds: u32) -> Self {
        self.zone.ttl = seconds;
        self
    }

    /// Makes the namespaces, the link and the servers.
    pub(crate) fn build(mut self) -> World {
        tools::require(self.tools);
        raise_descriptor_limit();
        self.addresses.extend(parsed(FAR));
        self.addresses.retain(|address| !self.closed.contains(address));
        self.addresses.sort_unstable();
        self.addresses.dedup();

        let (client, far) = (Netns::new(), Netns::new());
        link(&client, &far, self.addresses.iter().chain(&self.closed));
        let tripwire = Tripwire::on(&far, FAR_DEVICE);

        let mut certified = self.names.clone();
        certified.extend(self.addresses.iter().map(IpAddr::to_string));
        let (tls, authority) = authority_for(certified);
        let directory = directory(&authority);

        let (far_log, host_log) = (Arc::new(Log::default()), Arc::new(Log::default()));
        let servers = Listeners::on(&far, &self.addresses).serve(
            Arc::clone(&far_log),
            self.zone,
            Arc::clone(&tls),
        );
        let (host_doors, host_port) = client.enter(|| {
            let mut listeners = Listeners::default();
            let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
            let at = listeners.open_tcp(any, Service::Http);
            listeners.open_udp(SocketAddr::new(any.ip(), at.port()), Service::Echo);
            (listeners, at.port())
        });
        let host_servers = host_doors.serve(Arc::clone(&host_log), Zone::with_ttl(60), tls);
        let _servers = [servers, host_servers];
        World { _servers, tripwire, client, far, far_log, host_log, host_port, directory }
    }
}

/// Every world has a hundred listeners, tests run side by side, and the usual limit is 1024.
fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("read the limit of descriptors");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raise the limit of descriptors");
}

thread_local! {
    /// What [`World::egress`] adds in this test's thread, where the command runs as root.
    static ROOTS_OPTIONS: Cell<&'static [&'static str]> = const { Cell::new(&[]) };
}

/// Tells a test once more, with these options wherever a command runs as root. For tests that tell their story in
/// one thread.
pub(crate) fn with_options_for_root(options: &'static [&'static str], story: impl FnOnce()) {
    ROOTS_OPTIONS.set(options);
    story();
}

/// The running world. Fields are dropped in this order: servers first, the network last.
pub(crate) struct World {
    _servers: [Servers; 2],
    tripwire: Tripwire,
    client: Netns,
    far: Netns,
    far_log: Arc<Log>,
    host_log: Arc<Log>,
    host_port: u16,
    directory: TempDir,
}

impl World {
    /// An empty world: add names, then [`Builder::build`].
    #[expect(clippy::new_ret_no_self, reason = "a world begins as its builder")]
    pub(crate) fn new() -> Builder {
        Builder {
            zone: Zone::with_ttl(60),
            names: Vec::new(),
            addresses: Vec::new(),
            closed: Vec::new(),
            tools: tools::TOOLS,
        }
    }

    /// The client without a filter: what it reaches, a filter would have to stop.
    pub(crate) fn direct(&self) -> Client<'_> {
        Client::new(self, Vec::new())
    }

    /// The client under `egress run` with these options.
    pub(crate) fn egress(&self, options: &[&str]) -> Client<'_> {
        let is_root = !options.iter().any(|option| ["--user", "--capabilities"].contains(option));
        let added = if is_root { ROOTS_OPTIONS.get() } else { &[] };
        let words = [tools::EGRESS, "run"].into_iter().chain(added.iter().copied());
        let words = words.chain(options.iter().copied()).chain(["--"]);
        Client::new(self, words.map(Into::into).collect())
    }

    /// The client under `egress run` without CAP_NET_RAW: no connect is held.
    pub(crate) fn unheld(&self, options: &[&str]) -> Client<'_> {
        let without = ["setpriv", "--bounding-set", "-net_raw", tools::EGRESS, "run"];
        self.under(without.into_iter().chain(options.iter().copied()).chain(["--"]))
    }

    /// The client under another program, which is given the command.
    pub(crate) fn under<'a>(&self, program: impl IntoIterator<Item = &'a str>) -> Client<'_> {
        Client::new(self, program.into_iter().map(Into::into).collect())
    }

    /// Everything that arrived on the far side until now.
    #[must_use]
    pub(crate) fn arrived(&self) -> Arrivals<'_> {
        self.tripwire.settle(&self.client, FAR_GATEWAY);
        Arrivals::new(self, self.tripwire.arrivals())
    }

    /// Everything that arrived at one address until now.
    #[must_use]
    pub(crate) fn arrived_at(&self, address: &str) -> Arrivals<'_> {
        self.arrived().at(address)
    }

    /// Queries that reached any name server of the far side.
    pub(crate) fn queries(&self) -> Vec<Query> {
        self.far_log.queries()
    }

    /// HTTP requests that reached the far side.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.far_log.requests()
    }

    /// Connections that the far side's servers accepted, and datagrams they got.
    pub(crate) fn contacts(&self) -> Vec<Contact> {
        self.far_log.contacts()
    }

    /// What came to the service on the client's own addresses, loopback among them: the host's service, to a sandbox.
    pub(crate) fn host_contacts(&self) -> Vec<Contact> {
        self.host_log.contacts()
    }

    /// TCP and UDP port of the service on the client's own addresses.
    pub(crate) fn host_port(&self) -> u16 {
        self.host_port
    }

    /// Claims that no name server was asked for `name`, nor for anything below it.
    #[track_caller]
    pub(crate) fn never_asked_for(&self, name: &str) {
        let asked = |query: &Query| query.name == name || query.name.ends_with(&format!(".{name}"));
        assert!(!self.queries().iter().any(asked), "a name server was asked for {name}\n{self}");
    }

    /// Claims that a name server was asked for `name`.
    #[track_caller]
    pub(crate) fn asked_for(&self, name: &str) {
        assert!(
            self.queries().iter().any(|query| query.name == name),
            "nobody was asked for {name}\n{self}"
        );
    }

    /// A path in the world's own directory, which every user may read.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file into the world's own directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content)
            .unwrap_or_else(|error| panic!("write {}: {error}", path.display()));
        path
    }

    pub(crate) fn client_netns(&self) -> &Netns {
        &self.client
    }

    pub(crate) fn far_netns(&self) -> &Netns {
        &self.far
    }
}

/// The evidence, for the message of a failed claim.
impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "-- servers\n{}-- the client's own service\n{}-- arrivals\n",
            self.far_log, self.host_log
        )?;
        for (number, Flow { packets, bytes, first }) in
            flows(&self.tripwire.arrivals()).iter().enumerate()
        {
            if number == FLOWS_SHOWN {
                return writeln!(f, "  ... and more");
            }
            writeln!(f, "  {packets} packets, {bytes} bytes, the first: {first}")?;
        }
        Ok(())
    }
}

/// Joins the two namespaces and gives each its addresses.
fn link<'a>(client: &Netns, far: &Netns, addresses: impl Iterator<Item = &'a IpAddr>) {
    let mut lines = format!(
        "link set lo up\n\
         link add {FAR_DEVICE} type veth peer name {CLIENT_DEVICE} netns {}\n\
         link set {FAR_DEVICE} up\n\
         addr add {FAR_GATEWAY}/24 dev {FAR_DEVICE}\n\
         addr add 2606:2800:220:1::1/64 dev {FAR_DEVICE} nodad\n",
        client.path()
    );
    for address in addresses {
        let bits = if address.is_ipv4() { "32" } else { "128 nodad" };
        let (bits, flag) = bits.split_once(' ').unwrap_or((bits, ""));
        lines.push_str(&format!("addr add {address}/{bits} dev {FAR_DEVICE} {flag}\n"));
    }
    far.ip(&lines);
    client.ip(&format!(
        "link set lo up\n\
         link set {CLIENT_DEVICE} up\n\
         addr add {CLIENT}/24 dev {CLIENT_DEVICE}\n\
         addr add 2606:2800:220:1::2/64 dev {CLIENT_DEVICE} nodad\n\
         route add default via {FAR_GATEWAY}\n\
         route add ::/0 via 2606:2800:220:1::1\n"
    ));
    // Anyone may ping, so that what stops a ping is the filter.
    client.sysctl("net/ipv4/ping_group_range", "0 2147483647");
    // Fast Open without cookies: 1 client, 2 server, 4 data in the first SYN, 0x200 accept it, 0x400 on all listeners.
    client.sysctl("net/ipv4/tcp_fastopen", "5");
    far.sysctl("net/ipv4/tcp_fastopen", "1539");
}

/// The world's own directory, with what the client programs read.
fn directory(authority: &str) -> TempDir {
    let directory =
        tempfile::Builder::new().prefix("egress-world-").tempdir().expect("make a directory");
    let path = directory.path();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755))
        .expect("let other users read it");
    std::fs::write(path.join("resolv.conf"), format!("nameserver {NAME_SERVER}\n"))
        .expect("write resolv.conf");
    std::fs::write(path.join("ca.pem"), authority).expect("write the authority's certificate");
    for (name, content) in tools::SCRIPTS {
        std::fs::write(path.join(name), content).expect("write a script");
    }
    directory
}

fn parsed(addresses: &[&str]) -> Vec<IpAddr> {
    let parse =
        |address: &&str| address.parse().unwrap_or_else(|error| panic!("{address:?}: {error}"));
    addresses.iter().map(parse).collect()
}
