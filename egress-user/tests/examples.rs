//! The policies of `examples/` load, with nothing to warn of.
use std::path::Path;

use egress_user::config::{self, Flags};

#[test]
fn every_example_loads_without_a_warning() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            match config::assemble(std::slice::from_ref(&path), &Flags::default()) {
                Ok(assembled) => assert_eq!(assembled.warnings, [], "{}", path.display()),
                Err(errors) => panic!("{errors}"),
            }
            count += 1;
        }
    }
    assert!(count > 0, "no example was found");
}
