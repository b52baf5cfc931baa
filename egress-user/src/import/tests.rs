//! What comes out of settings, judged as `egress check` judges.
use std::sync::LazyLock;

use super::*;
use crate::{
    config::{Assembled, Flags, assemble_layers, parse},
    policy::{Answer, Lookup, Name},
    target::{Target, judge},
};

mod codex;
mod others;
mod patterns;
mod rows;
mod runtime;
mod squid;
mod written;
mod yaml;

/// The name of a file or of a case, the text, a profile, what it must say of targets, and what is told.
type Row = (
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static [(&'static str, bool)],
    &'static [&'static str],
);

/// Of a user whose home this is, who takes lists as allows.
static OPTIONS: LazyLock<Options<'static>> =
    LazyLock::new(|| Options { home: Some(Path::new("/home/user")), lists: Action::Allow });

fn imported(name: &str, text: &str) -> Imported {
    import(&[Source { name, text }], &OPTIONS).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

fn refused(text: &str) -> String {
    import(&[Source { name: "f", text }], &OPTIONS).unwrap_err().to_string()
}

/// The policy that comes out must be one, and `egress run` must start with it.
fn policy(imported: &Imported, profile: Option<&str>) -> Assembled {
    let loaded = parse(&imported.text, "imported.toml");
    let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{}", imported.text));
    let layers = match imported.is_requirements {
        true => vec![loaded, Default::default(), Default::default()],
        false => vec![loaded],
    };
    let flags = Flags { profile: profile.map(str::to_owned), ..Flags::default() };
    let assembled = assemble_layers(layers, &flags).unwrap();
    assert_eq!(assembled.not_built, [], "{}", imported.text);
    assembled
}

struct Public;

impl Lookup for Public {
    fn lookup(&mut self, _: &Name) -> Answer {
        Answer::Found { chain: Vec::new(), addresses: vec!["93.184.216.34".parse().unwrap()] }
    }
}

fn check(imported: &Imported, profile: Option<&str>, expected: &[(&str, bool)]) {
    let policy = policy(imported, profile).policy;
    for (target, allowed) in expected {
        let verdict = judge(&policy, &target.parse::<Target>().unwrap(), &mut Public);
        assert_eq!(verdict.is_allow(), *allowed, "{target}: {verdict}\n{}", imported.text);
    }
}

/// Each of these is told, and stands in the file as well.
fn tells(imported: &Imported, expected: &[&str]) {
    for text in expected {
        let said = |told: &&Told| format!("{}: {}", told.place, told.why).contains(text);
        let told = imported.told.iter().find(said);
        let told = told.unwrap_or_else(|| panic!("{text}\n{:#?}", imported.told));
        assert!(imported.text.contains(&one_line(&told.why)), "{}", imported.text);
    }
}
