//! The program behind `cargo xtask real`: programs that people run, each without the filter and with it, against real
//! servers in the test world.
//!
//! A test target, as the demo is; outside CI, for its programs are some gigabytes of packages.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a broken world must stop it, as it would a test"
)]

mod servers;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod trial;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use support::World;
use tables::{Program, Server};
use trial::Trial;

/// Where xtask has put what it fetched from npm, PyPI and crates.io.
const FETCHED: &str = "EGRESS_REAL";
/// Most programs that may differ.
const MOST_UNEQUAL: usize = 3;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let asked = words.next();
    if !matches!(asked.as_deref(), Some("run" | "shell")) {
        // `--list`, and other words of test harnesses.
        println!("the programs are run by: cargo xtask real");
        return ExitCode::SUCCESS;
    }
    let only: Vec<_> = words.collect();
    let servers = tables::servers();
    eprintln!("starting {} servers ...", servers.len());
    let world = world(&servers);
    let env = environment(&world, &servers);
    let _running = servers::Running::start(&world, &servers, &env);
    if asked.as_deref() == Some("shell") {
        return shell(&world, &servers, &env);
    }
    let programs = tables::programs(&only);
    let trials: Vec<_> = programs.iter().map(|program| tried(&world, program, &env)).collect();
    println!("{}", report(&trials));
    let unequal: Vec<_> = trials.iter().filter(|trial| trial.works && !trial.is_equal()).collect();
    let silent = unequal.iter().filter(|trial| !trial.is_told).count();
    let broken = trials.iter().filter(|trial| !trial.works).count();
    if unequal.len() <= MOST_UNEQUAL && silent == 0 && broken == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A shell of one's own among the servers: what is started there runs without the filter, unless it is started by
/// `egress run`.
fn shell(world: &World, servers: &[Server], env: &[(&'static str, String)]) -> ExitCode {
    let names: Vec<_> = servers.iter().map(|server| server.name.as_str()).collect();
    eprintln!("servers: {}; `exit` ends them", names.join(", "));
    let resolv = world.path("resolv.conf");
    let mounts =
        "mount --bind \"$RESOLV\" \"$(readlink -f /etc/resolv.conf)\" && exec \"${SHELL:-sh}\"";
    let status = Command::new("nsenter")
        .arg(format!("--net={}", world.client_netns().path()))
        .args(["unshare", "--mount", "sh", "-c", mounts])
        .envs(env.iter().map(|(key, value)| (*key, value)))
        .env("RESOLV", resolv)
        .current_dir(world.path("."))
        .status()
        .expect("start nsenter");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn tried(world: &World, program: &Program, env: &[(&str, String)]) -> Trial {
    let trial = Trial::run(world, program, env);
    let [without, with] = trial.took.map(|took| took.as_secs_f64());
    eprintln!("{:<20} {without:>6.1} s {with:>6.1} s  {}", word(&trial), trial.name);
    if !trial.is_equal() || !trial.works {
        eprintln!("{}", trial.difference());
    }
    trial
}

fn word(trial: &Trial) -> &'static str {
    match (trial.works, trial.is_equal(), trial.is_told) {
        (false, ..) => "does not work here",
        (_, true, _) => "yes",
        (_, false, true) => "no, told",
        (_, false, false) => "no, without a word",
    }
}

/// A table in Markdown: the page in docs has it.
fn report(trials: &[Trial]) -> String {
    let mut text = String::from("| program | without | with | equal |\n|---|---|---|---|\n");
    for trial in trials {
        let side = |outcome: &trial::Outcome| {
            format!("exit {}, {} bytes", outcome.code, outcome.output.len())
        };
        let (without, with) = (side(&trial.without), side(&trial.with));
        // Writing to a String does not fail.
        let _ = writeln!(text, "| {} | {without} | {with} | {} |", trial.name, word(trial));
    }
    let equal = trials.iter().filter(|trial| trial.works && trial.is_equal()).count();
    let _ = writeln!(text, "\n{equal} of {} equal", trials.len());
    text
}

/// The far side has an address for each server, with nothing else on it.
fn world(servers: &[Server]) -> World {
    let mut builder = World::new();
    for (place, server) in servers.iter().enumerate() {
        let address = servers::address(place);
        builder = builder.closed(&address).record(&server.name, &[&address]);
    }
    builder.build()
}

/// What servers and programs find in their environment.
fn environment(world: &World, servers: &[Server]) -> Vec<(&'static str, String)> {
    let fetched = std::env::var(FETCHED).expect("EGRESS_REAL, which xtask sets");
    let at = |name: &str| world.path(name).to_str().expect("a path in UTF-8").to_owned();
    let (certificate, key, authority) = certificates(servers);
    world.file("real-cert.pem", certificate);
    world.file("real-key.pem", key);
    world.file("real-ca.pem", authority);
    let files = at("files");
    let content = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/real/content.py");
    done(Command::new(support::PYTHON).arg(content).args([&files, &fetched]));
    done(Command::new("chmod").args(["-R", "a+rX", &files]));
    // Readable to the user who runs ssh, and to nobody else: ssh insists.
    done(Command::new("install").args([
        "-m",
        "600",
        "-o",
        "nobody",
        &format!("{files}/id"),
        &at("id"),
    ]));
    let ca = at("real-ca.pem");
    if Path::new("/usr/bin/keytool").exists() {
        let mut keytool = Command::new("keytool");
        keytool.args([
            "-importcert",
            "-noprompt",
            "-alias",
            "ca",
            "-storepass",
            "changeit",
            "-file",
            &ca,
        ]);
        done(keytool.args(["-keystore", &at("trust")]));
    }
    let mut env = vec![
        ("FILES", files),
        ("CERT", at("real-cert.pem")),
        ("KEY", at("real-key.pem")),
        ("CA", ca.clone()),
        ("KEY_FILE", at("id")),
        ("TRUST", at("trust")),
        ("JS", format!("{fetched}/js/node_modules/.bin")),
        ("PY", format!("{fetched}/py/bin/python")),
        ("CARGO", std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_TERMINAL_PROMPT", "0".to_owned()),
    ];
    let trusting = [
        "SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
        "GIT_SSL_CAINFO",
        "PIP_CERT",
        "npm_config_cafile",
    ];
    env.extend(trusting.map(|key| (key, ca.clone())));
    env
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("start {command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

/// A certificate for all names, its key, and the authority's certificate, in PEM.
fn certificates(servers: &[Server]) -> (String, String, String) {
    let key = || KeyPair::generate().expect("make a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("describe the authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(rcgen::DnType::CommonName, "real programs authority");
    let authority = CertifiedIssuer::self_signed(authority, key()).expect("sign the authority");
    let names = servers.iter().map(|server| server.name.clone()).collect::<Vec<_>>();
    let mut leaf = CertificateParams::new(names).expect("describe the certificate");
    leaf.use_authority_key_identifier_extension = true;
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "web.test");
    let leaf_key = key();
    let leaf = leaf.signed_by(&leaf_key, &authority).expect("sign the certificate");
    (leaf.pem(), leaf_key.serialize_pem(), authority.pem())
}
