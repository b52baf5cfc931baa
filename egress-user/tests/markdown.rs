//! Every Markdown file of the repository: lines that a reader's window holds, and names of files and
//! headings that are there.
#![expect(clippy::unwrap_used, reason = "a test's helpers stop it by panicking")]

#[path = "markdown/names.rs"]
mod names;
#[path = "markdown/walks.rs"]
mod walks;

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Most characters that a line may have. A row of a table is one line whatever it holds, and may be longer.
const WIDTH: usize = 120;

/// Folders that are made and not written, or hold inputs and not documents.
const PASSED_OVER: [&str; 5] = ["target", ".git", "corpus", "artifacts", "node_modules"];

/// Where the names in a document may begin, besides the repository's root and the document's own folder.
const BEGINNINGS: [&str; 8] = [
    "egress-user",
    "egress-user/src",
    "egress-broker/src",
    "egress-user/fuzz",
    "egress-ebpf",
    "egress-ebpf/src",
    "egress-common/src",
    "benches",
];

/// Documents that tell of the past: what they name may be gone since.
const PAST: [&str; 1] = ["CHANGELOG.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// (path from the repository's root, text) of every Markdown file.
fn documents() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !PASSED_OVER.contains(&name) {
                    folders.push(path);
                }
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() >= 15, "the documents are gone: {found:?}");
    found.sort();
    found
}

#[test]
fn lines_are_at_most_120_characters_long() {
    let mut wrong = Vec::new();
    for (file, text) in documents() {
        for (number, line) in text.lines().enumerate() {
            let is_row = line.trim_start().starts_with('|');
            if !is_row && line.chars().count() > WIDTH {
                wrong.push(format!("{file}:{}: {} characters", number + 1, line.chars().count()));
            }
        }
    }
    assert!(wrong.is_empty(), "longer than {WIDTH}: {wrong:#?}");
}

#[test]
fn every_file_that_is_named_exists() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (file, text) in documents() {
        if PAST.contains(&file.as_str()) {
            continue;
        }
        for name in names::in_backticks(&text).filter(|word| names::is_path(word, &root())) {
            checked += 1;
            if !exists(&file, name) {
                wrong.push(format!("{file}: no file {name}"));
            }
        }
    }
    assert!(checked > 60, "only {checked} files are named: are the documents still read?");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_link_leads_somewhere() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for (file, text) in documents() {
        for target in names::links(&text).filter(|target| !target.contains("://")) {
            checked += 1;
            let (path, heading) = target.split_once('#').unwrap_or((target, ""));
            let path = match path {
                "" => root().join(&file),
                path => root().join(&file).parent().unwrap().join(path),
            };
            let has = |heading: &str| {
                let text = fs::read_to_string(&path).unwrap_or_default();
                names::headings(&text).any(|found| found == heading)
            };
            if !path.exists() || !heading.is_empty() && !has(heading) {
                wrong.push(format!("{file}: {target}"));
            }
        }
    }
    assert!(checked > 60, "only {checked} links: are the documents still read?");
    assert!(wrong.is_empty(), "these lead nowhere: {wrong:#?}");
}

#[test]
fn every_module_is_in_the_table_and_no_other() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let (_, table) = text.split_once("\n| module |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut named: Vec<_> = rows
        .flat_map(|row| names::in_backticks(row.split('|').nth(1).unwrap_or_default()))
        .map(str::to_owned)
        .collect();
    named.sort();
    let folders = ["egress-user/src", "egress-broker/src"].into_iter();
    let places = folders.flat_map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let mut modules: Vec<String> = places
        .map(|place| place.unwrap().path().file_stem().unwrap().to_string_lossy().into())
        .filter(|name: &String| !["lib", "main", "wire", "bin"].contains(&name.as_str()))
        .collect();
    modules.sort();
    modules.dedup();
    assert_eq!(named, modules, "left: docs/architecture.md; right: the sources");
}

/// Whether a name in a document is a file or folder; `*` stands for any run of letters.
fn exists(document: &str, name: &str) -> bool {
    let own = Path::new(document).parent().unwrap().to_str().unwrap();
    let beginnings = ["", own].into_iter().chain(BEGINNINGS);
    beginnings.map(|beginning| root().join(beginning).join(name)).any(|path| {
        let last = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some((start, end)) = last.split_once('*') else { return path.exists() };
        let entries = fs::read_dir(path.parent().unwrap()).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .any(|entry| entry.starts_with(start) && entry.ends_with(end))
    })
}

#[test]
fn what_is_gone_is_noticed() {
    let text =
        "`egress-user/src/main.rs` and `egress-user/src/gone.rs`, [here](#a-heading-of-it)\n";
    let named: Vec<_> =
        names::in_backticks(text).filter(|word| names::is_path(word, &root())).collect();
    assert_eq!(named, ["egress-user/src/main.rs", "egress-user/src/gone.rs"]);
    assert_eq!(
        named.iter().map(|name| exists("README.md", name)).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(names::links(text).collect::<Vec<_>>(), ["#a-heading-of-it"]);
    let headings: Vec<_> = names::headings("## A heading, of `it`\n").collect();
    assert_eq!(headings, ["a-heading-of-it"]);
    for word in
        ["/etc/resolv.conf", "10.0.0.0/8", "egress/ID", "network.mode", "target/vm", "--all"]
    {
        assert!(!names::is_path(word, &root()), "{word}");
    }
}
