//! The tables of attempts in `tests/README.md`, of claims in `SECURITY.md`, and of threads and known faults in
//! `docs/security-model.md`: every row is there once, and every test that it names exists.
#![expect(clippy::expect_used, reason = "a test may panic")]
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The catalogue: a letter for each kind, and how many rows it has. A new attempt gets the next number.
const CATALOGUE: [(char, usize); 4] = [('K', 27), ('D', 12), ('A', 7), ('P', 15)];

/// What stands in the last column where a part is not built yet: its name, as the README gives it.
const WAITS: &str = "waits for: ";

/// First cells that are none of a row's.
const HEADS: [&str; 6] = ["#", "---", "attempt", "claim", "process or thread", "known fault"];

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// First and last cell of every row of every table.
fn rows(text: &str) -> Vec<(&str, &str)> {
    text.lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
            Some((*cells.first()?, *cells.last()?))
        })
        .collect()
}

/// Words in backticks.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[test]
fn every_attempt_is_in_the_table_once() {
    let text = fs::read_to_string(here("tests/README.md")).unwrap();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (first, _) in rows(&text) {
        *seen.entry(first).or_default() += 1;
    }
    let ids = CATALOGUE
        .into_iter()
        .flat_map(|(kind, count)| (1..=count).map(move |n| format!("{kind}{n}")));
    let wrong: Vec<_> = ids.filter(|id| seen.get(id.as_str()) != Some(&1)).collect();
    assert_eq!(wrong, [] as [String; 0], "each of these needs one row in tests/README.md");
}

#[test]
fn every_test_that_holds_an_attempt_exists() {
    let pages = ["tests/README.md", "../SECURITY.md", "../docs/security-model.md"]
        .map(|page| fs::read_to_string(here(page)).unwrap());
    let readme = fs::read_to_string(here("../README.md")).unwrap().to_lowercase();
    let missing =
        readme.split("## what it does not do yet").nth(1).expect("a section in the README");
    let missing = missing.split("\n## ").next().unwrap_or_default();
    // A part may be named across the end of a line.
    let missing = missing.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut wrong = BTreeSet::new();
    let mut checked = 0;
    let sections = pages.iter().flat_map(|page| page.split("\n## "));
    let tables = sections.filter(|section| section.contains("which test holds"));
    for (row, cell) in tables.flat_map(rows).filter(|(row, _)| !HEADS.contains(row)) {
        let tests: Vec<_> = named(cell).filter(|word| word.contains("::")).collect();
        let part = cell.split(WAITS).nth(1).map(|part| part.trim().to_lowercase());
        if tests.is_empty() && part.is_none() {
            wrong.insert(format!("{row}: names neither a test nor a part that it waits for"));
        }
        if let Some(part) = part.filter(|part| !missing.contains(part.as_str())) {
            wrong.insert(format!("{row}: the README does not say that {part:?} is missing"));
        }
        checked += tests.len();
        wrong.extend(
            tests
                .into_iter()
                .filter(|test| !exists(test))
                .map(|test| format!("{row}: no test {test}")),
        );
    }
    assert!(checked > 150, "only {checked} tests are named: is the table still read?");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether `file::test` of `tests/kernel`, or `module::test` or `module` of the sources, has tests of that name;
/// `*` stands for any run of letters.
fn exists(name: &str) -> bool {
    let path: Vec<_> = name.split("::").collect();
    let (last, parents) = path.split_last().expect("a name");
    ["tests/kernel", "src", "../egress-broker/src", "tests", "../egress-common/src"]
        .into_iter()
        .any(|root| {
            let is_module = sources(root, &path).iter().any(|text| text.contains("test]"));
            is_module || sources(root, parents).iter().any(|text| has_test(text, last))
        })
}

/// A module's file, and its tests' files.
fn sources(root: &str, module: &[&str]) -> Vec<String> {
    if module.is_empty() {
        return Vec::new();
    }
    let path = here(root).join(module.join("/"));
    let mut files = vec![path.with_extension("rs"), path.join("mod.rs"), path.join("tests.rs")];
    if let [parents @ .., last] = module {
        files
            .push(here(root).join(parents.join("/")).join("tests").join(last).with_extension("rs"));
    }
    let more = fs::read_dir(path.join("tests")).into_iter().flatten().flatten();
    files.extend(more.map(|entry| entry.path()));
    files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect()
}

fn has_test(source: &str, pattern: &str) -> bool {
    let mut names = source.split("fn ").skip(1).map(|rest| {
        rest.split(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .next()
            .unwrap_or_default()
    });
    names.any(|name| match pattern.split_once('*') {
        Some((start, end)) => name.starts_with(start) && name.ends_with(end),
        None => name == pattern,
    })
}

/// `confine.rs` fails for a thread that it does not know, and this for one that the page does not tell of.
#[test]
fn every_thread_is_in_the_security_model() {
    let page = fs::read_to_string(here("../docs/security-model.md")).unwrap();
    let first_cells: String = rows(&page).into_iter().map(|(first, _)| first).collect();
    let source = fs::read_to_string(here("tests/kernel/confine.rs")).unwrap();
    let known = source.split('"').filter(|word| {
        word.starts_with("egress") && word.chars().all(|one| one == '-' || one.is_ascii_lowercase())
    });
    let known: BTreeSet<_> = known.collect();
    assert!(known.len() >= 9, "{known:?}");
    let missing: Vec<_> =
        known.into_iter().filter(|name| !first_cells.contains(&format!("`{name}`"))).collect();
    assert_eq!(missing, [] as [&str; 0], "each of these needs a row in docs/security-model.md");
}

#[test]
fn a_name_without_a_test_is_noticed() {
    for name in [
        "dns::another_server_is_never_reached",
        "dns::an_allowed_name_with_*_stays_closed",
        "dns::limits",
    ] {
        assert!(exists(name), "{name}");
    }
    for name in ["dns::nothing_of_this_name", "nowhere::at_all", "dns::settings"] {
        assert!(!exists(name), "{name}");
    }
}
