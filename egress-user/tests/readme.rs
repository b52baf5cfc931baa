//! The README shows what `cargo xtask demo` prints when all is as intended; the demo itself fails
//! when it is not.
#![allow(dead_code, reason = "the demo's own program uses the rest of its words")]

#[path = "demo/attempts.rs"]
mod attempts;
#[path = "demo/table.rs"]
mod table;

#[test]
fn the_readme_shows_what_the_demo_prints() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let intended = table::intended(&attempts::all(), &attempts::totals());
    let block =
        readme.split("```\n$ cargo xtask demo\n").nth(1).and_then(|text| text.split("```").next());
    assert!(
        block == Some(intended.as_str()),
        "README.md lacks the demo's transcript; put this below Start:\n\n\
         ```\n$ cargo xtask demo\n{intended}```\n"
    );
}
