//! What a Markdown text names: words in backticks, targets of links, headings.

use std::path::Path;

/// Endings of files that documents name by the name alone.
const ENDINGS: [&str; 3] = [".rs", ".md", ".bpf.o"];

/// Folders that a build makes: they are named, and need not be there.
const MADE: [&str; 3] = ["target", "artifacts", "corpus"];

/// Words in backticks, blocks of code left out.
pub(crate) fn in_backticks(text: &str) -> impl Iterator<Item = &str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|text| text.split('`').skip(1).step_by(2))
}

/// Whether a word is meant as a file or folder of the repository: it ends as a source or a document
/// does or in `/`, or begins with a folder of the repository's root.
pub(crate) fn is_path(word: &str, root: &Path) -> bool {
    let letters = |letter: char| letter.is_ascii_alphanumeric() || "._-/*".contains(letter);
    let (first, rest) = word.split_once('/').unwrap_or((word, ""));
    let is_written = word.chars().all(letters) && !first.is_empty() && !first.starts_with("--");
    let ends_so = ENDINGS.iter().any(|end| word.ends_with(end) && word != *end);
    let begins_so = !rest.is_empty() && root.join(first).is_dir();
    let is_folder =
        word.ends_with('/') && word.starts_with(|letter: char| letter.is_ascii_lowercase());
    let is_made = MADE.iter().any(|folder| word.split('/').any(|part| part == *folder));
    is_written && !is_made && (ends_so || begins_so || is_folder)
}

/// Targets of links and pictures, blocks of code left out.
pub(crate) fn links(text: &str) -> impl Iterator<Item = &str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|text| {
        text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
    })
}

/// The anchors that GitHub gives the headings.
pub(crate) fn headings(text: &str) -> impl Iterator<Item = String> {
    let lines = text.lines().filter(|line| line.starts_with('#'));
    lines.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        let kept = words
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect()
    })
}
