//! `cargo xtask test`: every test in its group, and an account of what ran.
//!
//! Plain `cargo test` cannot say "skipped, because": a run without root looks like a run with it.
//! Here each test that exists is counted as passed, failed or skipped with a reason, and as root a
//! kernel test that did not run is a failure.

pub(crate) mod discover;
pub(crate) mod report;
pub(crate) mod runner;

use std::process::{Command, ExitCode};

use anyhow::bail;
use clap::Args;

use crate::{cargo, debian};
use discover::{Executable, Group};
use report::{Report, Row};
use runner::Tally;

/// Programs that the kernel tests run inside sandboxes, with the Debian package of each.
const PROGRAMS: [(&str, &str); 10] = [
    ("dig", "dnsutils"),
    ("gnutls-serv", "gnutls-bin"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("ping", "iputils-ping"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("musl-gcc", "musl-tools"),
    ("node", "nodejs"),
    ("/usr/bin/python3", "python3"),
];

/// A program that unit tests marked `#[ignore]` need: they run where it is. On a person's machine
/// nothing is installed for them.
const UNIT_PROGRAM: (&str, &str) = ("unbound", "unbound");

#[derive(Args)]
pub(crate) struct Options {
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Name the tests by group, and run none
    #[arg(long)]
    list: bool,
    /// Leave the kernel group out; its tests are counted as skipped
    #[arg(long)]
    no_kernel: bool,
    /// Install nothing; without the packages that they need, the kernel tests count as failed
    #[arg(long)]
    no_install: bool,
}

/// Whether the kernel group can run here.
enum Kernel {
    Runs,
    /// Counted as skipped, with this reason.
    Skipped(String),
    /// Counted as failed, with this reason: it should have run.
    Barred(String),
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let packages = missing_packages();
    let wanted = !options.list && !options.no_kernel && !options.no_install;
    if wanted && !packages.is_empty() && debian::is_root() && debian::has_apt() {
        println!(
            "the kernel tests run programs that are not here; installing: {}",
            packages.join(" ")
        );
        debian::install(&packages)?;
    }
    let has_unit_program = || debian::find(UNIT_PROGRAM.0).is_some();
    let in_ci = std::env::var_os("CI").is_some() && debian::is_root() && debian::has_apt();
    if !options.list && !options.no_install && in_ci && !has_unit_program() {
        debian::install_without_services(&[UNIT_PROGRAM.1])?;
    }
    println!("building the tests");
    let executables = discover::build(&["--workspace", "--tests"])?;
    let filter = options.filter.as_deref();
    if options.list {
        return list(&executables, filter);
    }
    let mut report = Report::default();
    let kernel = kernel(options);
    let mut found = 0;
    for executable in &executables {
        let listed = runner::list(&mut executable.command(), filter)?;
        found += listed.len();
        let group = executable.group;
        let row = report.row(group);
        match (&kernel, group) {
            (Kernel::Skipped(reason), Group::Kernel) => row.skip(listed.len(), reason),
            (Kernel::Barred(reason), Group::Kernel) => row.bar(&listed, reason),
            _ if listed.is_empty() => {}
            _ => {
                println!("\n{}: {}", group.name(), executable.label);
                let all = group == Group::Kernel || (group == Group::Unit && has_unit_program());
                let arguments: &[&str] = if all { &["--include-ignored"] } else { &[] };
                row.add(runner::run(&mut executable.command(), &listed, filter, arguments)?);
            }
        }
    }
    found += doc_tests(report.row(Group::Unit), filter)?;
    if let (0, Some(filter)) = (found, filter) {
        bail!("no test's name contains {filter:?}; cargo xtask test --list names them all");
    }
    if let Kernel::Runs | Kernel::Barred(_) = kernel
        && filter.is_none()
        && !executables.iter().any(|executable| executable.group == Group::Kernel)
    {
        report.row(Group::Kernel).absent("no test target `kernel` in egress-user/tests");
    }
    print!("\n{report}");
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs the examples in the documentation of all library crates; how many there are.
fn doc_tests(row: &mut Row, filter: Option<&str>) -> anyhow::Result<usize> {
    let command = || -> anyhow::Result<Command> {
        let mut command = cargo::command_of_owner()?;
        command.args(["test", "--workspace", "--doc", "--"]);
        Ok(command)
    };
    let listed = runner::list(&mut command()?, filter)?;
    let tally = if listed.is_empty() {
        Tally::default()
    } else {
        println!("\nunit: examples in the documentation");
        runner::run(&mut command()?, &listed, filter, &[])?
    };
    row.add(tally);
    Ok(listed.len())
}

fn list(executables: &[Executable], filter: Option<&str>) -> anyhow::Result<ExitCode> {
    for executable in executables {
        for name in runner::list(&mut executable.command(), filter)? {
            println!("{:<11} {:<28} {name}", executable.group.name(), executable.label);
        }
    }
    let mut documentation = cargo::command_of_owner()?;
    documentation.args(["test", "--workspace", "--doc", "--"]);
    for name in runner::list(&mut documentation, filter)? {
        println!("{:<11} {:<28} {name}", Group::Unit.name(), "documentation");
    }
    Ok(ExitCode::SUCCESS)
}

/// Decides whether the kernel group runs.
fn kernel(options: &Options) -> Kernel {
    if options.no_kernel {
        return Kernel::Skipped("--no-kernel was given".to_owned());
    }
    if !debian::is_root() {
        let how = "sudo target/debug/xtask test";
        return Kernel::Skipped(format!("not root; run: {how}"));
    }
    let packages = missing_packages();
    if packages.is_empty() {
        return Kernel::Runs;
    }
    Kernel::Barred(if debian::has_apt() {
        format!("missing packages; run: {}", debian::install_line(&packages))
    } else {
        format!("missing programs; install what Debian calls {}", packages.join(" "))
    })
}

/// Debian's packages for the programs that are not here.
pub(crate) fn missing_packages() -> Vec<&'static str> {
    PROGRAMS
        .iter()
        .filter(|(program, _)| debian::find(program).is_none())
        .map(|(_, package)| *package)
        .collect()
}
