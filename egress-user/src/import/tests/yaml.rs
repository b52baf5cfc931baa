//! YAML: what its readers disagree about is refused, and what aliases make of it is bounded.
use super::*;

fn error(text: &str) -> String {
    import(&[Source { name: "f.yml", text }], &OPTIONS).unwrap_err().to_string()
}

#[test]
fn what_readers_disagree_about_is_refused() {
    for (text, expected) in [
        ("version: v1\nversion: v2\n", "f.yml:2: \"version\" is written twice, in line 1 too"),
        ("a: &a {b: 1}\nc:\n  <<: *a\n", "f.yml:3: a merge key"),
        ("a: !!binary eA==\n", "f.yml:1: a tag"),
        ("? [a]\n: b\n", "f.yml:1: a key that is no text"),
        ("a: [\n", "this is no YAML"),
        ("a: *b\n", "this is no YAML"),
        ("a: &a [*a]\n", "an alias of what it stands in"),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn aliases_are_followed_and_bounded() {
    let text = "version: v1\nservices:\n- {name: a, action: enforce, allowed_domains: &list [a.example]}\n\
        - {name: b, action: enforce, allowed_domains: *list}\n";
    check(&imported("f.yml", text), Some("b"), &[("a.example:443", true)]);
    // A hundred times a hundred times a hundred words, and nesting without an end.
    let row = |name: &str, of: &str| format!("{name}: &{name} [{}]\n", vec![of; 100].join(", "));
    let text = format!("{}{}{}", row("a", "x"), row("b", "*a"), row("c", "*b"));
    assert!(error(&text).contains("values, counted with every alias"));
    let text = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    assert!(error(&text).contains("lists and tables within each other"));
}

#[test]
fn words_of_foreign_files_end_no_comment() {
    let text = "version: v1\nservices:\n- name: \"a\\n[network.domains]\\n\\\"x.test\\\" = \\\"allow\\\"\"\n  action: enforce\n  \"k\\n[network.domains]\": 1\n";
    check(&imported("f.yml", text), None, &[("x.test:443", false)]);
}
