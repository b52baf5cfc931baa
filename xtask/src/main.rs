//! The project's own commands: `cargo xtask demo`, `cargo xtask test`, `cargo xtask vm`,
//! `cargo xtask build-ebpf`.
//!
//! Everything that needs more than plain `cargo` stands here, in Rust, so that a contributor needs
//! no other tool to build or test.

mod bench;
mod build_ebpf;
mod cargo;
mod debian;
mod demo;
mod digest;
mod real;
mod test;
mod toolchain;
mod vm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code for a wrong command line or a machine that lacks what the command needs.
const EXIT_USAGE: u8 = 2;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Builds and tests egress", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show egress at work on ordinary programs, in an internet of network namespaces (root)
    Demo,
    /// Measure egress beside squid, haproxy, nginx, tinyproxy and redsocks, and write the report (root)
    Bench(bench::Options),
    /// Run programs that people use, each without the filter and with it, and say which differ (root; not in CI)
    Real(real::Options),
    /// Build the kernel object, egress-ebpf/egress.bpf.o, and the digest beside it
    BuildEbpf(build_ebpf::Options),
    /// Run the tests in groups and say how many ran, failed and were skipped, and why
    Test(test::Options),
    /// Run the kernel tests under another kernel, in a virtual machine (root)
    Vm(vm::Options),
}

fn main() -> ExitCode {
    // cargo calls this same executable in place of rustc while the kernel object is built.
    if let Some(code) = toolchain::wrapped_rustc() {
        return code;
    }
    let outcome = match Arguments::parse().command {
        Command::Demo => demo::run(),
        Command::Bench(options) => bench::run(&options),
        Command::Real(options) => real::run(&options),
        Command::BuildEbpf(options) => build_ebpf::run(&options),
        Command::Test(options) => test::run(&options),
        Command::Vm(options) => vm::run(&options),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            match error.downcast_ref::<debian::Missing>() {
                Some(_) => ExitCode::from(EXIT_USAGE),
                None => ExitCode::FAILURE,
            }
        }
    }
}
