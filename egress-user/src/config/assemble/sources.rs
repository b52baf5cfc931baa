//! The texts of the files, for errors about rules: these keep their line alone, as there may be a
//! hundred thousand.
use std::sync::Arc;

use crate::{
    config::{ConfigError, Loaded, Place, Source},
    policy::{Layer, Origin},
};

/// A rule that goes beyond a bound, or a limit.
pub(super) struct Beyond {
    /// As it is written in the line.
    pub(super) text: String,
    pub(super) message: String,
    /// What to write instead.
    pub(super) suggestion: &'static str,
    pub(super) origin: Origin,
}

impl Beyond {
    /// What to write instead of what requirements do not let pass.
    pub(super) const REMOVE: &'static str = "remove it, or ask who keeps the requirements";
}

/// The file's layer, name and text.
pub(super) struct Sources(Vec<(Layer, Arc<str>, Arc<str>)>);

impl Sources {
    pub(super) fn of(layers: &[Loaded]) -> Self {
        let file = |loaded: &Loaded| (loaded.layer, loaded.file.clone(), loaded.text.clone());
        Self(layers.iter().map(file).collect())
    }

    /// The errors in the order of files and lines, each with the text underlined where it is found.
    pub(super) fn errors(&self, mut beyond: Vec<Beyond>) -> impl Iterator<Item = ConfigError> {
        let sources: Vec<_> =
            self.0.iter().map(|(layer, file, text)| (*layer, Source::new(text, file))).collect();
        beyond
            .sort_by(|a, b| (&a.origin.file, a.origin.line).cmp(&(&b.origin.file, b.origin.line)));
        beyond.into_iter().map(move |Beyond { text, message, suggestion, origin }| {
            let of_file = |(layer, source): &&(Layer, Source<'_>)| {
                *layer == origin.layer && *source.file == *origin.file
            };
            let place = sources
                .iter()
                .filter(of_file)
                .find_map(|(_, source)| place(source, origin.line?, &text));
            let file = match place {
                Some(_) => origin.file.to_string(),
                None => origin.to_string(),
            };
            let suggestion = suggestion.to_owned();
            ConfigError { file, place, message, suggestion }
        })
    }
}

/// The text in its line, with its quotation marks.
fn place(source: &Source<'_>, line: u32, text: &str) -> Option<Place> {
    let (start, content) = source.line_at(usize::try_from(line).ok()?)?;
    let quoted = [format!("\"{text}\""), format!("'{text}'"), text.to_owned()];
    quoted.iter().find_map(|text| {
        let at = start + content.find(text.as_str())?;
        Some(source.place(at..at + text.len()))
    })
}
