//! `cargo xtask bench`: egress beside its peers (`benches/peers`).

use std::{
    path::Path,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    cargo,
    debian::{self, Missing},
};

/// Programs and their Debian packages.
const PROGRAMS: [(&str, &str); 9] = [
    ("squid", "squid"),
    ("haproxy", "haproxy"),
    ("nginx", "nginx-light"),
    ("tinyproxy", "tinyproxy"),
    ("redsocks", "redsocks"),
    ("nft", "nftables"),
    ("ip", "iproute2"),
    ("taskset", "util-linux"),
    ("unshare", "util-linux"),
];
const STREAM_MODULE: (&str, &str) =
    ("/usr/lib/nginx/modules/ngx_stream_module.so", "libnginx-mod-stream");

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
    let mut packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| debian::find(program).is_none())
        .map(|(_, package)| *package)
        .collect();
    if !Path::new(STREAM_MODULE.0).exists() {
        packages.push(STREAM_MODULE.1);
    }
    if !packages.is_empty() {
        println!("installing the peers; their services are not started: {}", packages.join(" "));
        debian::install_without_services(&packages)?;
    }
    let build = ["build", "--release", "--locked", "-p", "egress-user", "-p", "benches", "--bins"];
    let status = cargo::command_of_owner()?.args(build).status().context("start cargo")?;
    if !status.success() {
        bail!("building egress and the benchmark failed ({status})");
    }
    let mut peers = Command::new(cargo::root().join("target/release/peers"));
    if options.quick {
        peers.arg("--quick");
    }
    let status = peers.status().context("start target/release/peers")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
