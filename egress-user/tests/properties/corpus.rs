//! Every input that fuzzing kept, on stable Rust.
use std::{fs, path::Path};

use super::bodies::TARGETS;

#[test]
fn what_fuzzing_kept_still_holds() {
    for (name, target) in TARGETS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        let mut count = 0;
        for entry in fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            // Shown only when the test fails: the input that did it is the last.
            println!("{}", path.display());
            target(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", corpus.display());
    }
}
