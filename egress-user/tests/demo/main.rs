//! The program behind `cargo xtask demo`: ordinary programs under `egress run`, in the test world.
//!
//! A test target, as the world is test code and cargo names the built `egress` to test targets; but
//! one without a harness, so that its output is its own. `cargo test` has nothing to run here.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a broken world must stop the demo, as it would a test"
)]

mod attempts;
mod observe;
#[path = "../support/mod.rs"]
mod support;
mod table;

use std::path::Path;
use std::process::ExitCode;

use attempts::{Attempt, Totals};
use observe::Mark;
use support::{Client, Finished, World};

/// Exit code of `egress run` when no sandbox could be made.
const NOT_STARTED: i32 = 125;

/// Lookups in the demo go where the world's own copy of this says.
const RESOLV_CONF: &str = "/etc/resolv.conf";

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("show") => show(),
        // `--list`, and other words of test harnesses.
        Some(_) => ExitCode::SUCCESS,
        None => {
            println!("the demo is shown by: cargo xtask demo");
            ExitCode::SUCCESS
        }
    }
}

/// Runs everything and prints the account; fails when anything is not as intended.
fn show() -> ExitCode {
    if !Path::new(RESOLV_CONF).exists() {
        eprintln!(
            "no {RESOLV_CONF}, over which each program gets one of its own; run: touch {RESOLV_CONF}"
        );
        return ExitCode::FAILURE;
    }
    eprintln!("making the namespaces and their servers ...");
    let world = world();
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(attempts::POLICY);
    let policy = policy.to_str().expect("a path in UTF-8");
    let attempts = attempts::all();

    println!();
    let mut account = Account::default();
    account.say(&table::head());
    let mut previous = None;
    for attempt in &attempts {
        account.say(table::heading(previous, attempt));
        previous = Some(attempt);
        let mark = Mark::now(&world);
        let finished = run(&world, world.egress(&["--policy", policy]), attempt);
        if finished.status.code() == Some(NOT_STARTED) {
            eprintln!("{}", finished.complaints().trim_end());
            eprintln!("what this machine lacks: {} doctor", env!("CARGO_BIN_EXE_egress"));
            return ExitCode::FAILURE;
        }
        let outcome = observe::outcome(attempt, policy, &finished, &mark);
        account.say(&table::row(attempt, &outcome));
        if outcome != attempt.intended {
            println!("!! intended was: {:?}", attempt.intended);
            eprintln!("{finished}");
        }
    }
    let totals = totals(&world, &attempts);
    account.say(&table::foot(&attempts, &totals));
    if account.text == table::intended(&attempts, &attempts::totals()) {
        return ExitCode::SUCCESS;
    }
    if totals != attempts::totals() {
        println!("!! intended was: {:?}", attempts::totals());
    }
    println!("\n!! not all is as intended; please report it with the lines above");
    ExitCode::FAILURE
}

/// What was printed, for comparison with what the README shows.
#[derive(Default)]
struct Account {
    text: String,
}

impl Account {
    fn say(&mut self, text: &str) {
        print!("{text}");
        self.text.push_str(text);
    }
}

fn totals(world: &World, attempts: &[Attempt]) -> Totals {
    let tripped = attempts::TRIPWIRES.iter().map(|at| world.arrived_at(at).count()).sum();
    let mut names: Vec<_> = world.queries().into_iter().map(|query| query.name).collect();
    names.sort();
    names.dedup();
    // Last, as it trips every wire.
    let unheld = attempts.iter().filter(|attempt| arrives_unheld(world, attempt)).count();
    Totals { tripped, names, unheld }
}

/// The internet of the demo.
fn world() -> World {
    World::new()
        .tools(attempts::TOOLS)
        .site("www.example.org", attempts::SITE)
        .site("git.example.org", attempts::SITE)
        .site("ssh.example.org", attempts::SSH)
        .site("www.example.com", attempts::OTHER)
        // Another site on the address of the allowed one, as on any large host of sites.
        .record("cdn.example.com", &[attempts::SITE])
        .record("intranet.example.org", &[attempts::PRIVATE])
        .build()
}

fn run<'w>(world: &World, client: Client<'w>, attempt: &Attempt) -> Finished<'w> {
    let port = world.host_port().to_string();
    let authority = world.path("ca.pem");
    client
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_SSL_CAINFO", authority.to_str().expect("a path in UTF-8"))
        .run(attempt.command.iter().map(|word| word.replace(attempts::PORT, &port)))
}

/// Whether the attempt arrives where nothing holds it: else that it was stopped would mean little.
fn arrives_unheld(world: &World, attempt: &Attempt) -> bool {
    let mark = Mark::now(world);
    run(world, world.direct(), attempt);
    mark != Mark::now(world)
}
