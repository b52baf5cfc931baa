//! What was measured on: kernel, processors, versions.
use std::{fs, process::Command};

use crate::{variant::Variant, way};

/// One line a fact.
pub(super) fn lines() -> Vec<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    // A machine's own suffix says nothing to anybody else.
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    let about = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("processors of an unknown model", |(_, model)| model.trim());
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let system = system.unwrap_or_default().trim_matches('"');
    let mut programs = vec![format!("egress {}", version(&way::egress(), "--version"))];
    for (program, word) in Variant::ALL.into_iter().filter_map(Variant::version) {
        let entry = format!("{program} {}", version(program.as_ref(), word));
        if !programs.contains(&entry) {
            programs.push(entry);
        }
    }
    let control = "cubic as congestion control, whatever the machine's default is";
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(2).unwrap_or("unknown").to_owned();
    vec![
        format!("Linux {kernel}, {system}"),
        format!("{processors} x {model}"),
        programs.join(", "),
        control.to_owned(),
        format!("load of the machine in the last 15 minutes, this benchmark among it: {load}"),
    ]
}

/// The first number that a program says about itself.
fn version(program: &std::path::Path, word: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new("timeout").arg("5").arg(program).arg(word).env("PATH", path).output();
    let text = output.map(|output| {
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    });
    number_in(&text.unwrap_or_default()).unwrap_or_else(|| "(version unknown)".to_owned())
}

fn number_in(text: &str) -> Option<String> {
    let words = text.split([' ', '\n', '/']).map(|word| word.trim_start_matches('v'));
    let is_version =
        |word: &&str| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
    words.filter(is_version).map(|word| word.trim_end_matches(['.', ',']).to_owned()).next()
}

#[cfg(test)]
mod tests {
    use super::number_in;

    #[test]
    fn versions_are_found_as_programs_tell_them() {
        for (text, version) in [
            ("Squid Cache: Version 5.7\nService Name: squid", "5.7"),
            (
                "HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/",
                "2.6.12-1+deb12u4",
            ),
            ("nginx version: nginx/1.22.1\n", "1.22.1"),
            ("redsocks/0.5\nBuilt with libevent-2.1", "0.5"),
        ] {
            assert_eq!(number_in(text).as_deref(), Some(version));
        }
        assert_eq!(number_in("no such program"), None);
    }
}
