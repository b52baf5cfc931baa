//! `cargo xtask vm`: the kernel tests under another kernel than this machine's.
//!
//! What one kernel's verifier accepts, an older one's may refuse, and what a hook sees differs. The
//! guest runs what is built here, on this machine's root, so that nothing has to be copied.

mod guest;
mod image;
mod kernel;

use std::{env, fs, path::Path, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Args;

use crate::{
    debian::{self, Missing},
    test::{
        self,
        discover::{self, Executable, Group},
        report::Report,
        runner,
    },
};
use guest::Job;
use kernel::Kernel;

/// Programs that the guest is made with, with the Debian package of each.
const PROGRAMS: [(&str, &str); 3] =
    [("depmod", "kmod"), ("qemu-system-x86_64", "qemu-system-x86"), ("xz", "xz-utils")];

#[derive(Args)]
pub(crate) struct Options {
    /// The kernel: a version that apt has, as 6.1 or 6.12, or the path of a Debian package
    #[arg(default_value = "6.1")]
    kernel: String,
    /// Only tests whose name contains this. May be given several times: those of any
    #[arg(long, value_name = "TEXT", conflicts_with = "command")]
    filter: Vec<String>,
    /// Not the tests whose name contains this; they are counted as skipped. May be given several times
    #[arg(long, value_name = "TEXT", conflicts_with = "command")]
    skip: Vec<String>,
    /// Stop the guest after this time
    #[arg(long, value_name = "SECONDS", default_value_t = 3600, value_parser = clap::value_parser!(u32).range(10..))]
    limit: u32,
    /// Run this in the guest, in the folder where you are, in place of the tests
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if env::consts::ARCH != "x86_64" {
        bail!(Missing("guests are x86-64 as yet, and so must this machine be".to_owned()));
    }
    if !debian::is_root() {
        let how = "sudo target/debug/xtask vm";
        bail!(Missing(format!(
            "the guest shares this machine's root, which needs root; run: {how}"
        )));
    }
    let packages = missing_packages();
    if !packages.is_empty() {
        debian::install(&packages)?;
    }
    let kernel = kernel::get(&options.kernel)?;
    let console = kernel::folder().join(format!("{}.console.log", kernel.release));
    println!("kernel {}; its own words: {}", kernel.release, console.display());
    if !options.command.is_empty() {
        let folder = env::current_dir().context("read the working directory")?;
        let (words, seconds) = (&options.command, options.limit);
        let job = Job { words, folder: &folder, seconds, console: &console };
        let code = guest::run(&kernel, &job, |_| {})?;
        return match code {
            Some(code) => Ok(ExitCode::from(code)),
            None => bail!("the guest ended before the command did{}", last_words(&console)),
        };
    }
    let built = discover::build(&["--package", "egress-user", "--test", "kernel"])?;
    let Some(tests) = built.into_iter().find(|built| built.group == Group::Kernel) else {
        bail!("no test target `kernel` in egress-user/tests");
    };
    run_tests(options, &kernel, &tests, &console)
}

/// Runs the kernel tests in a guest, and gives an account of them.
fn run_tests(
    options: &Options,
    kernel: &Kernel,
    tests: &Executable,
    console: &Path,
) -> anyhow::Result<ExitCode> {
    let mut listed = runner::list(&mut tests.command(), None)?;
    let is_meant = |name: &String| options.filter.iter().any(|text| name.contains(text));
    listed.retain(|name| options.filter.is_empty() || is_meant(name));
    let found = listed.len();
    listed.retain(|name| !options.skip.iter().any(|text| name.contains(text)));
    if listed.is_empty() {
        let which = "no kernel test is left by --filter and --skip";
        bail!(Missing(format!("{which}; cargo xtask test --list names them all")));
    }
    // Tests wait more than they work.
    let threads = format!("--test-threads={}", 2 * guest::cpus());
    let program = tests.path.to_string_lossy();
    let mut words = vec![&*program, "--include-ignored", "--color=never", &threads];
    words.extend(options.skip.iter().flat_map(|text| ["--skip", text]));
    words.extend(options.filter.iter().map(String::as_str));
    let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
    let job = Job { words: &words, folder: &tests.package, seconds: options.limit, console };
    let mut reader = runner::Reader::default();
    let code = guest::run(kernel, &job, |line| reader.line(line))?;
    let mut tally = reader.tally(&listed);
    if code.is_none() {
        println!("the guest ended before the tests did{}", last_words(console));
    }
    if code != Some(0) && tally.failed.is_empty() {
        tally.failed.push("(the tests ended badly)".to_owned());
    }
    let mut report = Report::default();
    let row = report.row(Group::Kernel);
    row.add(tally);
    row.skip(found - listed.len(), "--skip was given");
    print!("\nkernel {}\n{report}", kernel.release);
    Ok(if report.failed() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The end of what the guest's kernel said, for a guest that did not do its work.
fn last_words(console: &Path) -> String {
    let said = fs::read(console).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<_> = said.lines().collect();
    if lines.is_empty() {
        return ", and its kernel said nothing".to_owned();
    }
    let tail = &lines[lines.len().saturating_sub(20)..];
    format!("; its kernel's last words:\n{}", tail.join("\n"))
}

/// Debian's packages for the programs that are not here, those of the tests among them.
fn missing_packages() -> Vec<&'static str> {
    let own = PROGRAMS.iter().filter(|(program, _)| debian::find(program).is_none());
    let busybox = image::busybox().is_none().then_some("busybox-static");
    own.map(|(_, package)| *package).chain(busybox).chain(test::missing_packages()).collect()
}
