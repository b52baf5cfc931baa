//! `cargo xtask real`: programs that people run, without the filter and with it.
//!
//! What they do is `egress-user/tests/real`. Here it is built, and what it needs is fetched: packages of Debian, npm,
//! PyPI and crates.io, as the tables there name them.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;

use crate::{
    cargo,
    debian::{self, Missing},
    demo,
};

/// Where the packages of npm, PyPI and crates.io stand. Not below the repository, which a program that runs as nobody
/// may not be able to read.
const FETCHED: &str = "/var/tmp/egress-real";
const TABLES: [&str; 2] = ["servers.toml", "programs.toml"];
/// What xtask and the world need besides.
const OWN_PACKAGES: [&str; 6] =
    ["iproute2", "npm", "python3-venv", "openssl", "dpkg-dev", "netcat-openbsd"];
const PYTHON: &str = "/usr/bin/python3";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run programs whose name contains this; may be given several times
    #[arg(long, value_name = "PART")]
    only: Vec<String>,
    /// Start a shell among the servers, to try things, in place of the programs
    #[arg(long, conflicts_with = "only")]
    shell: bool,
    /// Use the packages that are there: install and fetch nothing
    #[arg(long)]
    offline: bool,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if !debian::is_root() {
        bail!(Missing(
            "network namespaces, servers and the kernel's hooks need root: sudo cargo xtask real"
                .to_owned()
        ));
    }
    println!("building egress and the trials; the first time this takes some minutes");
    let built = demo::built("real")?;
    let wanted = Wanted::read(&cargo::root().join("egress-user/tests/real"))?;
    if !options.offline {
        let mut packages: Vec<_> =
            wanted.debian.iter().map(String::as_str).chain(OWN_PACKAGES).collect();
        // Where Node.js is its makers' own, Debian's npm conflicts with it.
        packages.retain(|package| match *package {
            "nodejs" => debian::find("node").is_none(),
            "npm" => debian::find("npm").is_none(),
            _ => true,
        });
        debian::install_without_services(&packages)?;
        wanted.fetch(Path::new(FETCHED))?;
    }
    let status = Command::new(built)
        .arg(if options.shell { "shell" } else { "run" })
        .args(&options.only)
        .env("EGRESS_REAL", FETCHED)
        .env("CARGO", own_cargo())
        .stdin(if options.shell { Stdio::inherit() } else { Stdio::null() })
        .status()
        .context("start the trials")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The cargo of the toolchain itself: rustup's stand-in would look for a toolchain below the program's home.
fn own_cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), PathBuf::from)
}

/// All packages that the tables name.
#[derive(Default)]
struct Wanted {
    debian: BTreeSet<String>,
    /// Installed.
    npm: BTreeSet<String>,
    pypi: BTreeSet<String>,
    /// Served by the world's registries.
    npm_served: BTreeSet<String>,
    pypi_served: BTreeSet<String>,
    crates_served: BTreeSet<String>,
}

impl Wanted {
    fn read(tables: &Path) -> anyhow::Result<Self> {
        let mut wanted = Self::default();
        for table in TABLES {
            let path = tables.join(table);
            let text =
                fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let table: toml::Table = text.parse().with_context(|| path.display().to_string())?;
            for row in table.values().filter_map(toml::Value::as_array).flatten() {
                wanted.add(row);
            }
        }
        Ok(wanted)
    }

    fn add(&mut self, row: &toml::Value) {
        let lists = [
            ("debian", &mut self.debian),
            ("npm", &mut self.npm),
            ("pypi", &mut self.pypi),
            ("npm_served", &mut self.npm_served),
            ("pypi_served", &mut self.pypi_served),
            ("crates_served", &mut self.crates_served),
        ];
        for (key, list) in lists {
            let words = row.get(key).and_then(toml::Value::as_array).into_iter().flatten();
            list.extend(words.filter_map(toml::Value::as_str).map(str::to_owned));
        }
    }

    /// Fetches what is not there yet.
    fn fetch(&self, into: &Path) -> anyhow::Result<()> {
        for folder in ["npm", "pypi", "crates", "js", "tree", "cargo"] {
            fs::create_dir_all(into.join(folder)).context("make a folder for the packages")?;
        }
        let at = |name: &str| into.join(name).display().to_string();
        let quiet = ["--silent", "--no-audit", "--no-fund"];
        run_in(
            into,
            "npm",
            &[&["install", "--prefix", &at("js")], &quiet[..], &words(&self.npm)].concat(),
        )?;
        // The tree of what is served, package by package.
        let tree = ["install", "--package-lock-only", "--prefix"];
        run_in(
            into,
            "npm",
            &[&tree[..], &[&at("tree")], &quiet[..], &words(&self.npm_served)].concat(),
        )?;
        let locked = locked(&into.join("tree/package-lock.json"))?;
        let missing = locked.iter().filter(|spec| !into.join("npm").join(tarball(spec)).exists());
        let missing: Vec<_> = missing.map(String::as_str).collect();
        for some in missing.chunks(20) {
            run_in(&into.join("npm"), "npm", &[&["pack", "--silent"][..], some].concat())?;
        }
        let python = at("py/bin/python");
        if !Path::new(&python).exists() {
            run_in(into, PYTHON, &["-m", "venv", &at("py")])?;
        }
        let pip = ["-m", "pip", "--quiet", "--disable-pip-version-check"];
        run_in(into, &python, &[&pip[..], &["install"], &words(&self.pypi)].concat())?;
        run_in(
            into,
            &python,
            &[&pip[..], &["download", "--dest", &at("pypi")], &words(&self.pypi_served)].concat(),
        )?;
        self.fetch_crates(into)?;
        run_in(into, "chmod", &["-R", "a+rX", "."])
    }

    /// The crates as cargo keeps them.
    fn fetch_crates(&self, into: &Path) -> anyhow::Result<()> {
        let (package, home) = (into.join("tree"), into.join("cargo"));
        let dependencies: String =
            self.crates_served.iter().map(|name| format!("{name} = \"*\"\n")).collect();
        let head = "[package]\nname = \"tree\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\npath = \"lib.rs\"\n[dependencies]\n";
        fs::write(package.join("Cargo.toml"), format!("{head}{dependencies}"))
            .context("write a manifest")?;
        fs::write(package.join("lib.rs"), "").context("write a crate")?;
        let status = Command::new(own_cargo())
            .args(["fetch", "--quiet"])
            .env("CARGO_HOME", &home)
            .current_dir(&package)
            .status()
            .context("start cargo fetch")?;
        if !status.success() {
            bail!("cargo fetch failed ({status})");
        }
        for source in
            fs::read_dir(home.join("registry/cache")).context("read what cargo fetched")?
        {
            for file in fs::read_dir(source?.path())? {
                let file = file?;
                fs::copy(file.path(), into.join("crates").join(file.file_name()))?;
            }
        }
        Ok(())
    }
}

fn words(list: &BTreeSet<String>) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

fn run_in(folder: &Path, program: &str, words: &[&str]) -> anyhow::Result<()> {
    println!("+ {program} {}", words.join(" "));
    let status = Command::new(program)
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("start {program}"))?;
    if !status.success() {
        bail!("{program} {} failed ({status})", words.join(" "));
    }
    Ok(())
}

/// `name@version` of every package in a lock file of npm's.
fn locked(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    Ok(specs(&serde_json::from_str(&text).with_context(|| path.display().to_string())?))
}

fn specs(lock: &Value) -> Vec<String> {
    let packages = lock["packages"].as_object().into_iter().flatten();
    let spec = |(place, about): (&String, &Value)| {
        let (_, name) = place.rsplit_once("node_modules/")?;
        Some(format!("{name}@{}", about["version"].as_str()?))
    };
    packages.filter_map(spec).collect()
}

/// What `npm pack` names a package's file.
fn tarball(spec: &str) -> String {
    let name = spec.trim_start_matches('@').replace('/', "-");
    format!("{}.tgz", name.replace('@', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_files_packages_are_read_with_their_scopes() {
        let lock = serde_json::json!({"packages": {
            "": {"name": "tree"},
            "node_modules/express": {"version": "5.0.1"},
            "node_modules/a/node_modules/@s/b": {"version": "1.0.0"},
        }});
        let mut found = specs(&lock);
        found.sort();
        assert_eq!(found, ["@s/b@1.0.0", "express@5.0.1"]);
        assert_eq!(tarball("@s/b@1.0.0"), "s-b-1.0.0.tgz");
    }

    #[test]
    fn the_tables_name_packages_of_every_kind() {
        let wanted = Wanted::read(&cargo::root().join("egress-user/tests/real")).unwrap();
        assert!(wanted.debian.contains("curl") && wanted.npm.contains("deno"));
        assert!(wanted.pypi.contains("uv") && wanted.crates_served.contains("itoa"));
        assert!(wanted.npm_served.contains("express") && wanted.pypi_served.contains("idna"));
    }
}
