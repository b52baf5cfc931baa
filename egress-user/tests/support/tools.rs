//! The programs that the tests borrow from the system.
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The system's Python: one that any user may run.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The program under test.
pub(crate) const EGRESS: &str = env!("CARGO_BIN_EXE_egress");

/// Programs that must be there, and the Debian package of each.
pub(crate) const TOOLS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("dig", "dnsutils"),
    ("getent", "libc-bin"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("ping", "iputils-ping"),
    (PYTHON, "python3"),
    ("unshare", "util-linux"),
];

/// As [`TOOLS`], and resolvers of other makes, for the tests that try them.
pub(crate) const RESOLVERS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("dig", "dnsutils"),
    ("getent", "libc-bin"),
    ("ip", "iproute2"),
    ("musl-gcc", "musl-tools"),
    ("node", "nodejs"),
    (PYTHON, "python3"),
];

/// As [`TOOLS`], and TLS servers of other makes, for the tests that try them.
pub(crate) const TLS_SERVERS: &[(&str, &str)] = &[
    ("curl", "curl"),
    ("getent", "libc-bin"),
    ("gnutls-serv", "gnutls-bin"),
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    (PYTHON, "python3"),
];

/// Scripts that stand in every world's directory.
pub(crate) const SCRIPTS: &[(&str, &str)] = &[
    ("associated.py", include_str!("clients/associated.py")),
    ("shapes.py", include_str!("clients/shapes.py")),
    ("attacks.py", include_str!("clients/attacks.py")),
    ("base.py", include_str!("clients/base.py")),
    ("connects.py", include_str!("clients/connects.py")),
    ("datagrams.py", include_str!("clients/datagrams.py")),
    ("far_connects.py", include_str!("clients/far_connects.py")),
    ("far_mail.py", include_str!("clients/far_mail.py")),
    ("far_opaque.py", include_str!("clients/far_opaque.py")),
    ("forge.py", include_str!("clients/forge.py")),
    ("getaddrinfo.c", include_str!("clients/getaddrinfo.c")),
    ("hellos.py", include_str!("clients/hellos.py")),
    ("loopback.py", include_str!("clients/loopback.py")),
    ("loopback_base.py", include_str!("clients/loopback_base.py")),
    ("messages.py", include_str!("clients/messages.py")),
    ("opaque.py", include_str!("clients/opaque.py")),
    ("others.py", include_str!("clients/others.py")),
    ("outage.py", include_str!("clients/outage.py")),
    ("ports.py", include_str!("clients/ports.py")),
    ("probe.py", include_str!("clients/probe.py")),
    ("resolvers.py", include_str!("clients/resolvers.py")),
    ("retries.py", include_str!("clients/retries.py")),
    ("rivals.py", include_str!("clients/rivals.py")),
    ("streams.py", include_str!("clients/streams.py")),
    ("terminal.py", include_str!("clients/terminal.py")),
    ("timed.py", include_str!("clients/timed.py")),
    ("uploads.py", include_str!("clients/uploads.py")),
];

/// Fails with the line that installs what of `tools` is missing.
pub(crate) fn require(tools: &[(&str, &str)]) {
    let path = std::env::var("PATH").unwrap_or_default();
    let is_there =
        |tool: &str| path.split(':').any(|directory| Path::new(directory).join(tool).exists());
    let missing: Vec<_> =
        tools.iter().filter(|(tool, _)| !is_there(tool)).map(|(_, package)| *package).collect();
    assert!(missing.is_empty(), "this needs: apt-get install -y {}", missing.join(" "));
    assert!(nix::unistd::geteuid().is_root(), "this needs root: run it as root");
}

/// How many times longer than on an idle machine a thing may take here. `cargo xtask vm` says so of its guests, which
/// are emulated.
pub(crate) fn slowness() -> u32 {
    let said = std::env::var("EGRESS_TEST_SLOWNESS").unwrap_or_else(|_| "1".to_owned());
    said.parse().expect("EGRESS_TEST_SLOWNESS: write a whole number, as 4")
}

/// Says that this test could not hold what it claims here, and why: `cargo xtask test` counts it as skipped. The test
/// returns after it.
pub(crate) fn skip(reason: &str) {
    // Not `println!`, whose words are kept back when a test passes; one write, so that no other test's words get in.
    let line = format!("\nskipped: {reason}\n");
    std::io::stdout().write_all(line.as_bytes()).expect("write to standard output");
}

/// Where this machine has mounted cgroup v2.
pub(crate) fn cgroup2() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("read the mounts");
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let found = fields.find(|fields| fields[2] == "cgroup2");
    found.map(|fields| fields[1].into()).expect("cgroup v2 is mounted")
}

/// Version of the kernel's Landlock, 0 where there is none; scopes came with 6.
pub(crate) fn landlock_version() -> u32 {
    egress_user::sys::landlock::abi().unwrap_or(0)
}
