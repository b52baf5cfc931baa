//! `resolves_to`: what is read, what is an error, what requirements bound.
use super::*;

fn layers(requirements: &str, user: &str) -> Result<Assembled, String> {
    let layers = [(requirements, "r.toml"), ("", "m.toml"), (user, "u.toml")];
    let layers = layers.map(|(text, name)| parse(text, name).unwrap());
    assemble_layers(layers.into(), &Flags::default()).map_err(|errors| errors.to_string())
}

#[test]
fn what_is_no_block_of_a_name_is_an_error_with_what_to_write() {
    let of = |rule: &str| {
        let text = format!("[network.domains]\n{rule}\n");
        parse(&text, "p.toml").err().map(|errors| errors.to_string())
    };
    let with = |pattern: &str, blocks: &str| {
        of(&format!("\"{pattern}\" = {{ action = \"allow\", resolves_to = {blocks} }}"))
    };
    for pattern in ["a.test", "*.a.test", "**.a.test"] {
        assert_eq!(with(pattern, "[\"10.20.0.0/16\", \"127.0.0.1\", \"fe80::1/128\"]"), None);
    }
    for (pattern, blocks, expected) in [
        ("*", "[\"10.0.0.0/8\"]", "to every name, whoever has it"),
        ("localhost", "[\"10.0.0.0/8\"]", "localhost is never looked up"),
        ("192.0.2.1", "[\"10.0.0.0/8\"]", "an address is not looked up"),
        ("a.test", "[]", "empty"),
        ("a.test", "[\"b.test\"]", "is a name, not an address"),
        ("a.test", "[\"10.0.0.1/8\"]", "10.0.0.0/8"),
        ("a.test", "[\"10.0.0.0/33\"]", "10.0.0.0/33"),
        (
            "a.test",
            "[\"127.0.0.0/8\"]",
            "write each that is meant by itself, such as \"127.0.0.0\"",
        ),
        ("a.test", "[\"169.254.0.0/16\"]", "loopback, link-local or metadata addresses"),
        ("a.test", "[\"fe80::/64\"]", "loopback, link-local or metadata addresses"),
        ("a.test", "[\"64:ff9b::7f00:0/104\"]", "loopback, link-local or metadata addresses"),
        ("a.test", "[10]", "10 is not an address"),
        ("a.test", "\"10.0.0.0/8\"", "write [\"10.0.0.0/8\"]"),
    ] {
        let error = with(pattern, blocks).unwrap_or_default();
        assert!(error.contains(expected), "{pattern} {blocks}: {error}");
        assert!(error.starts_with("p.toml:2:"), "{error}");
    }
    let denied = of("\"a.test\" = { action = \"deny\", resolves_to = [\"10.0.0.0/8\"] }").unwrap();
    assert!(denied.contains("takes no options; remove resolves_to"), "{denied}");
    let block = "[network.addresses]\n\"10.0.0.0/8\" = { action = \"allow\", resolves_to = [\"10.0.0.0/8\"] }";
    assert!(
        parse(block, "p.toml").unwrap_err().to_string().contains("an address is not looked up")
    );
}

#[test]
fn requirements_bound_it_as_they_bound_an_allow() {
    let requirements = |options: &str| {
        format!(
            "[network]\nmanaged_allowed_domains_only = true\n[network.domains]\n\
             \"**.corp.test\" = {{ action = \"allow\"{options} }}\n"
        )
    };
    let user = |blocks: &str| {
        format!(
            "[network.domains]\n\"a.corp.test\" = {{ action = \"allow\", resolves_to = [{blocks}] }}\n"
        )
    };
    let ten = "\"10.0.0.0/8\"";
    let bound = requirements(&format!(", resolves_to = [{ten}, \"127.0.0.1\", \"2001:db8::/32\"]"));
    for (blocks, allowed) in [
        (ten, true),
        ("\"10.20.0.0/16\", \"127.0.0.1\"", true),
        ("\"10.1.2.3\"", true),
        ("\"172.16.0.0/12\"", false),
        ("\"10.0.0.0/7\"", false),
        ("\"127.0.0.2\"", false),
        ("\"0.0.0.0/0\"", false),
    ] {
        let outcome = layers(&bound, &user(blocks));
        assert_eq!(outcome.is_ok(), allowed, "{blocks} {outcome:?}");
        if let Err(error) = outcome {
            assert!(error.starts_with("u.toml:2:1: ") && error.contains("(r.toml:2)"), "{error}");
        }
    }
    assert!(layers(&requirements(""), &user(ten)).is_err());
    // A wide block of the bound does not hold what counts only by itself.
    let all = requirements(", resolves_to = [\"0.0.0.0/0\"]");
    assert!(layers(&all, &user("\"127.0.0.1\"")).is_err());
    assert!(layers(&all, &user("\"93.184.216.2\"")).is_err());
    assert!(layers(&all, &user("\"10.1.2.3\"")).is_ok());
    // Where requirements bound no names, they bound none of this.
    assert!(layers("[network]\nallow_local_binding = false", &user(ten)).is_ok());
}

#[test]
fn it_is_set_shown_and_read_back() {
    let line = "network.domains.\"a.test\"={ action = \"allow\", resolves_to = [\"fd12::/16\", \"10.1.2.3\"] }";
    let flags = Flags { set: vec![line.to_owned()], ..Flags::default() };
    let assembled = assemble_layers(vec![parse("", "p.toml").unwrap()], &flags).unwrap();
    let shown = show(&assembled, false);
    let expected =
        "\"a.test\" = { action = \"allow\", resolves_to = [\"10.1.2.3/32\", \"fd12::/16\"] }";
    assert!(shown.contains(expected), "{shown}");
    let again = assemble_layers(vec![parse(&shown, "s.toml").unwrap()], &Flags::default()).unwrap();
    assert_eq!(show(&again, false), shown);
}
