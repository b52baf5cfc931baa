//! The walks in docs/architecture.md: each step is a function that is there, and the rooms are counted.

use std::{collections::BTreeSet, fs, path::Path};

use super::names::in_backticks;

/// Where a room's files are.
const ROOMS: [&str; 2] = ["egress-user/src/", "egress-broker/src/"];

/// A walk: its title, the number of rooms that this says, and its steps, file and function.
struct Walk<'a> {
    title: &'a str,
    rooms: usize,
    steps: Vec<(&'a str, &'a str)>,
}

fn walks(text: &str) -> Vec<Walk<'_>> {
    let (_, rest) = text.split_once("\n## Three walks\n").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let walk = |text| {
        let (title, table): (&str, &str) = str::split_once(text, '\n').unwrap();
        let rooms = title.rsplit_once(": ").unwrap().1.strip_suffix(" rooms").unwrap();
        let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
        let step = |row| {
            let mut named = in_backticks(row);
            (named.next().unwrap(), named.next().unwrap())
        };
        Walk { title, rooms: rooms.parse().unwrap(), steps: rows.map(step).collect() }
    };
    section.split("\n### ").skip(1).map(walk).collect()
}

/// Whether the source has a function of this name.
fn has_function(source: &str, name: &str) -> bool {
    let head = format!("fn {name}");
    source.split(&head).skip(1).any(|rest| rest.starts_with(['(', '<']))
}

#[test]
fn every_step_of_a_walk_is_there_and_its_rooms_are_counted() {
    let root = super::root();
    let text = fs::read_to_string(root.join("docs/architecture.md")).unwrap();
    let walks = walks(&text);
    assert_eq!(walks.len(), 4);
    for Walk { title, rooms, steps } in walks {
        assert!(steps.len() > 4, "{title}: are its steps still read?");
        let mut entered = BTreeSet::new();
        for (file, function) in steps {
            let source = fs::read_to_string(root.join(file))
                .unwrap_or_else(|error| panic!("{title}: {file}: {error}"));
            assert!(has_function(&source, function), "{title}: no fn {function} in {file}");
            if let Some(within) = ROOMS.iter().find_map(|rooms| file.strip_prefix(rooms)) {
                let room = within.split('/').next().unwrap();
                entered.insert(Path::new(room).file_stem().unwrap().to_str().unwrap());
            }
        }
        assert!(!entered.contains("cli"), "{title} goes through cli");
        assert_eq!(entered.len(), rooms, "{title}: {entered:?}");
    }
}

#[test]
fn a_step_that_is_gone_is_noticed() {
    let source = "fn walks() {}\nasync fn one<T>() {}\n";
    assert!(has_function(source, "walks") && has_function(source, "one"));
    assert!(!has_function(source, "walk") && !has_function(source, "two"));
}
