//! `cargo xtask bench`: egress beside its peers (`benches/peers`).

use std::{
    os::unix::process::CommandExt as _,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    cargo,
    debian::{self, Missing},
};

/// Programs without which nothing is measured, and their Debian packages.
const NEEDED: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nice", "coreutils"),
    ("nsenter", "util-linux"),
    ("taskset", "util-linux"),
    ("unshare", "util-linux"),
];
/// What the peers are. One that cannot be had is "not available" in the report, and no more.
const PEERS: [(&str, &str); 7] = [
    ("squid", "squid"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream"),
    ("tinyproxy", "tinyproxy"),
    ("redsocks", "redsocks"),
    ("nft", "nftables"),
];
/// Other work on the machine disturbs less; children inherit it.
const NICENESS: &str = "-20";

#[derive(Args)]
pub(crate) struct Options {
    /// A quick look, under three minutes; written to target/bench, not to benches/
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if !debian::is_root() {
        bail!(Missing(
            "the network of the benchmark is made as root: sudo cargo xtask bench".into()
        ));
    }
    let needed = missing(&NEEDED);
    if !needed.is_empty() {
        debian::install(&needed)?;
    }
    let peers = missing(&PEERS);
    if !peers.is_empty() {
        println!("installing the peers; their services are not started: {}", peers.join(" "));
        if debian::install_without_services(&peers).is_err() {
            // One that the machine's sources lack must not keep the others away.
            for package in peers {
                if let Err(error) = debian::install_without_services(&[package]) {
                    eprintln!("xtask: {package} is left out: {error:#}");
                }
            }
        }
    }
    let build = ["build", "--release", "--locked", "-p", "egress-user", "-p", "benches", "--bins"];
    let status = cargo::command_of_owner()?.args(build).status().context("start cargo")?;
    if !status.success() {
        bail!("building egress and the benchmark failed ({status})");
    }
    let mut peers = Command::new("nice");
    peers.args(["-n", NICENESS]).arg(cargo::root().join("target/release/peers"));
    if options.quick {
        peers.arg("--quick");
    }
    // In place of this program, so that a signal reaches what has a network to take down.
    Err(peers.exec()).context("start nice target/release/peers")
}

/// Packages of what is not here.
fn missing(wanted: &[(&str, &'static str)]) -> Vec<&'static str> {
    let there = |name: &str| debian::find(name).is_some();
    let mut packages: Vec<_> =
        wanted.iter().filter(|(name, _)| !there(name)).map(|(_, package)| *package).collect();
    packages.dedup();
    packages
}
