//! docs/policy.md says what the code does: its tables are made from the code's own, and its
//! examples are read by the code.
//!
//! Where it differs: `EGRESS_WRITE_DOCS=1 cargo test -p egress-user --test reference` writes the
//! tables anew.
#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

#[path = "reference/tables.rs"]
mod tables;

use std::{net::IpAddr, path::PathBuf};

use egress_user::{
    cases,
    config::{self, Flags},
    policy::{Host, Policy, is_public},
};
use ipnet::IpNet;

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md")
}

fn document() -> String {
    std::fs::read_to_string(path()).unwrap()
}

#[test]
fn the_tables_are_those_of_the_code() {
    let mut text = document();
    for (name, table) in tables::all() {
        let start = format!("<!-- generated: {name} -->\n");
        let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
        let (_, after) =
            rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("no end: {name}"));
        text = format!("{before}{start}{table}<!-- end -->{after}");
    }
    if std::env::var_os("EGRESS_WRITE_DOCS").is_some() {
        std::fs::write(path(), &text).unwrap();
    }
    assert!(
        text == document(),
        "docs/policy.md is not what the code says; write it anew with\n\
         EGRESS_WRITE_DOCS=1 cargo test -p egress-user --test reference"
    );
}

/// The text of each TOML block.
fn toml_blocks(text: &str) -> Vec<&str> {
    let blocks = text.split("```toml\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_toml_block_is_read_by_the_code() {
    let text = document();
    let blocks = toml_blocks(&text);
    assert!(blocks.len() >= 8, "the examples are gone");
    for block in blocks {
        if block.contains("[[case]]") {
            cases::read(block, "policy.md").unwrap_or_else(|errors| panic!("{errors}"));
            continue;
        }
        let layer = config::parse(block, "policy.md").unwrap_or_else(|errors| panic!("{errors}"));
        let assembled = config::assemble_layers(vec![layer], &Flags::default());
        // The requirements' own keys are no user's.
        if !block.starts_with("# /etc/egress/requirements.toml") {
            let assembled = assembled.unwrap_or_else(|errors| panic!("{errors}"));
            assert_eq!(assembled.warnings, [], "{block}");
        }
    }
}

#[test]
fn every_key_has_an_example_that_is_read() {
    for key in config::KEYS.iter() {
        let file = tables::file_of(key);
        config::parse(&file, key.name).unwrap_or_else(|errors| panic!("{file}\n{errors}"));
    }
}

/// The rows of the table below a mark, each cell's `code`.
fn checked(name: &str) -> Vec<Vec<Vec<String>>> {
    let text = document();
    let (_, rest) = text.split_once(&format!("<!-- checked: {name} -->\n")).unwrap();
    let cell = |cell: &str| -> Vec<String> {
        let parts = cell.trim().split('`').map(|part| part.trim().trim_matches(','));
        parts.filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let rows = rest.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| row.trim_matches('|').split('|').map(cell).collect()).collect()
}

#[test]
fn patterns_match_as_the_table_says() {
    let rows = checked("patterns");
    assert!(rows.len() >= 4);
    for row in rows {
        let [pattern, matches, others] = &row[..] else { panic!("{row:?}") };
        let file = format!("[network.domains]\n\"{}\" = \"allow\"\n", pattern[0]);
        let layer = config::parse(&file, "p.toml").unwrap();
        let policy = config::assemble_layers(vec![layer], &Flags::default()).unwrap().policy;
        for (hosts, allowed) in [(matches, true), (others, false)] {
            for host in hosts {
                assert_eq!(allows(&policy, host), allowed, "{pattern:?} {host}");
            }
        }
    }
}

fn allows(policy: &Policy, host: &str) -> bool {
    match Host::parse(host).unwrap() {
        Host::Name(name) => policy.name(&name).is_ok(),
        Host::Address(address) => policy.address(address).is_ok(),
    }
}

#[test]
fn addresses_are_public_as_the_table_says() {
    let rows = checked("addresses");
    assert!(rows.len() >= 12);
    for row in rows {
        let public = row[1] == ["yes"];
        assert!(public || row[1] == ["no"], "{row:?}");
        for block in &row[0] {
            let block: IpNet = block.parse().unwrap();
            let edges: [IpAddr; 2] = [block.network(), block.broadcast()];
            assert_eq!(edges.map(is_public), [public; 2], "{block}");
        }
    }
}
