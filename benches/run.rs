//! What `egress run` adds to a command, interleaved with the bare command so that the machine's
//! moods hit both alike. Needs root: `sudo cargo bench -p benches --bench run`.

use std::{
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

const ROUNDS: usize = 40;

fn main() -> ExitCode {
    let egress = release_binary();
    if !egress.exists() {
        eprintln!("build it first: cargo build --release -p egress-user");
        return ExitCode::from(2);
    }
    let filtered = || {
        let mut command = Command::new(&egress);
        command.args(["run", "--user", "nobody", "--", "true"]);
        command
    };
    if !timed(filtered()).1 {
        eprintln!("`egress run -- true` failed; as root: sudo cargo bench -p benches --bench run");
        return ExitCode::from(2);
    }
    let (mut bare, mut added) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (direct, _) = timed(Command::new("true"));
        let (through, _) = timed(filtered());
        bare.push(direct);
        added.push(through.saturating_sub(direct));
    }
    println!("`true`:                        {}", spread(bare));
    println!("added by `egress run -- true`: {}", spread(added));
    ExitCode::SUCCESS
}

fn timed(mut command: Command) -> (Duration, bool) {
    command.stdout(Stdio::null());
    let begun = Instant::now();
    let succeeded = command.status().is_ok_and(|status| status.success());
    (begun.elapsed(), succeeded)
}

/// Least, median and most.
fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    match (times.first(), times.get(times.len() / 2), times.last()) {
        (Some(least), Some(median), Some(most)) => {
            format!("{least:.1?} / {median:.1?} / {most:.1?} (least / median / most of {ROUNDS})")
        }
        _ => String::new(),
    }
}

fn release_binary() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/release/egress")
}
