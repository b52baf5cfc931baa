//! One program, without the filter and with it.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::User;

use super::support::{Client, Finished, World};
use super::tables::Program;

/// What `egress` begins its own lines with.
const OWN_WORDS: &str = "egress: ";
/// Most of an output that the report of a difference shows, bytes.
const SHOWN: usize = 1500;

/// What came of one run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Exit code, or the signal, as a shell has them.
    pub(crate) code: i32,
    /// Its standard output.
    pub(crate) output: String,
}

/// What came of both.
pub(crate) struct Trial {
    pub(crate) name: String,
    pub(crate) without: Outcome,
    pub(crate) with: Outcome,
    /// How long each took.
    pub(crate) took: [Duration; 2],
    /// Whether it did its work where nothing filters it.
    pub(crate) works: bool,
    /// Whether `egress` said a word.
    pub(crate) is_told: bool,
    /// What both wrote to standard error.
    pub(crate) complaints: [String; 2],
}

impl Trial {
    /// Runs the program twice.
    pub(crate) fn run(world: &World, program: &Program, env: &[(&str, String)]) -> Self {
        let folder = world.path(&format!("program-{}", slug(&program.name)));
        fs::create_dir_all(&folder).expect("make a program's folder");
        let mut env = env.to_vec();
        env.push(("DIR", text(&folder)));
        if let Some(build) = &program.build {
            with_env(world.direct(), &env).shell(build).succeeded();
        }
        let policy = folder.join("policy.toml");
        fs::write(&policy, program.policy()).expect("write the policy");
        let home = |run: &str| home(&folder.join(run), &program.user);

        let ids = User::from_name(&program.user).expect("look up a user").expect("a known user");
        let (uid, gid) = (format!("--reuid={}", ids.uid), format!("--regid={}", ids.gid));
        let plain = world.under(["setpriv", &uid, &gid, "--clear-groups", "--"]);
        let without = finish(with_env(plain, &env), &home("without"), program);

        let policy = text(&policy);
        let mut options = vec!["--policy", policy.as_str(), "--user", &program.user];
        if let Some(capabilities) = &program.capabilities {
            options.extend(["--capabilities", capabilities]);
        }
        let with = finish(with_env(world.egress(&options), &env), &home("with"), program);
        Trial {
            name: program.name.clone(),
            works: without.status.code() == Some(program.exit),
            took: [without.took, with.took],
            is_told: with.complaints().lines().any(|line| line.starts_with(OWN_WORDS)),
            complaints: [without.complaints(), with.complaints()],
            without: outcome(&without, &text(&folder.join("without"))),
            with: outcome(&with, &text(&folder.join("with"))),
        }
    }

    /// Whether the program could not tell that it was filtered.
    pub(crate) fn is_equal(&self) -> bool {
        self.without == self.with
    }

    /// The difference, for a person.
    pub(crate) fn difference(&self) -> String {
        let side = |outcome: &Outcome, complaints: &str| {
            format!("exit {}\n{}{}", outcome.code, shown(&outcome.output), shown(complaints))
        };
        format!(
            "== {}: without\n{}== with\n{}",
            self.name,
            side(&self.without, &self.complaints[0]),
            side(&self.with, &self.complaints[1]),
        )
    }
}

fn finish<'w>(client: Client<'w>, home: &Path, program: &Program) -> Finished<'w> {
    // `--user` gives the command that user's HOME.
    let home = text(home);
    let line = format!("cd '{home}' && export HOME='{home}' || exit 99\n{}", program.run);
    client.shell(&line)
}

fn outcome(finished: &Finished<'_>, home: &str) -> Outcome {
    let code = finished.status.code();
    let signal = || finished.status.signal().map_or(-1, |signal| 128 + signal);
    // The home is another in each run.
    Outcome { code: code.unwrap_or_else(signal), output: finished.text().replace(home, "~") }
}

fn with_env<'w>(client: Client<'w>, env: &[(&str, String)]) -> Client<'w> {
    env.iter().fold(client, |client, (key, value)| client.env(key, value))
}

/// An empty home folder.
fn home(at: &Path, user: &str) -> PathBuf {
    fs::create_dir(at).expect("make a home");
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).expect("let others read it");
    let user = User::from_name(user).expect("look up a user").expect("a known user");
    chown(at, Some(user.uid.as_raw()), Some(user.gid.as_raw())).expect("give the home away");
    at.to_path_buf()
}

fn slug(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect()
}

fn shown(output: &str) -> String {
    let mut text: String = output.chars().take(SHOWN).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn text(path: &Path) -> String {
    path.to_str().expect("a path in UTF-8").to_owned()
}
