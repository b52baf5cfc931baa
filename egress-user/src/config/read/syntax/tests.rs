use crate::config::parse;

fn errors(text: &str) -> Vec<String> {
    parse(text, "p.toml").unwrap_err().iter().map(ToString::to_string).collect()
}

#[test]
fn every_slip_is_put_in_words() {
    let mut wrong = Vec::new();
    for (text, expected) in [
        (
            "[network]\nmode = \"full\"\n\nmode = \"limited\"",
            "p.toml:4:1: mode is written twice, first in line 2; keep one of the two",
        ),
        (
            "[network.domains]\n\"a.com\" = \"allow\"\n\"a.com\" = \"deny\"",
            "p.toml:3:1: \"a.com\" is written twice, first in line 2; keep one of the two",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", action = \"deny\" }",
            "p.toml:2:31: action is written twice; keep one of the two",
        ),
        (
            "[network.dns]\n[network]\n[network.dns] # again",
            "p.toml:3:10: [network.dns] is written twice, first in line 1; write the keys of both \
             below one heading",
        ),
        ("[network]\nmode = limited", "p.toml:2:8: a text needs quotes; write \"limited\""),
        ("[network.dns]\ntimeout = 5s", "p.toml:2:11: a text needs quotes; write \"5s\""),
        (
            "[network.upstream]\nurl = http://user:secret@proxy.test:1",
            "p.toml:2:7: a text needs quotes; write a quote \" before and after it",
        ),
        ("[network]\nenabled = True", "p.toml:2:11: True is no boolean; write true"),
        ("[network]\nenabled = off", "p.toml:2:11: off is no boolean; write false"),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\", ports = [22 443] }",
            "p.toml:2:40: commas are missing; write 22, 443",
        ),
        ("[network.dns\n", "p.toml:1:13: the heading is not closed; write ] at its end"),
        ("[[attach]\n", "p.toml:1:10: the heading is not closed; write ]] at its end"),
        ("[network]\npresets = [\"all\"", "p.toml:2:17: a list is not closed; write ] at its end"),
        (
            "[network]\npresets = [\"all\" \"none\"]",
            "p.toml:2:18: a comma is missing in a list, or its ]; write , before this, or ] after \
             the last entry",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\"",
            "p.toml:2:29: a table is not closed; write } at its end",
        ),
        (
            "[network.domains]\n\"a.com\" = { action = \"allow\" ports = [1] }",
            "p.toml:2:30: a comma is missing in a table; write , before this",
        ),
        (
            "[network.domains]\n\"a.com\": \"allow\"",
            "p.toml:2:8: `:` is no TOML; write = in its place",
        ),
        (
            "[network.domains]\n\"a.com\" \"allow\"",
            "p.toml:2:9: the key has no value; write = and a value after the key",
        ),
        (
            "[network.domains]\n\"a.com\"\n",
            "p.toml:2:8: the key has no value; write = and a value after the key",
        ),
        (
            "[network.domains]\n\"a.com\" =\n",
            "p.toml:2:10: the key has no value; write one after the =",
        ),
        (
            "[network.domains]\n*.a.com = \"allow\"",
            "p.toml:2:1: a key of other characters than letters, digits, - and _ needs quotes; \
             write \"*.a.com\"",
        ),
        (
            "[network.addresses]\n10.0.0.0/8 = \"allow\"",
            "p.toml:2:9: a key of other characters than letters, digits, - and _ needs quotes; \
             write \"10.0.0.0/8\"",
        ),
        (
            "[network.domains]\n\"a.com\" = \"allow\n",
            "p.toml:2:17: a text is not closed; write the closing quote",
        ),
        (
            "[network.domains]\n\"a.com = \"allow\"\n",
            "p.toml:2:11: a quote is missing in this line; write one before and after each text",
        ),
        (
            "[network.domains]\n\"a.com\" = \"allow\", ports = [1]\n",
            "p.toml:2:18: the line goes on after its value; write each key in a line of its own, and \
             a rule with options in braces: { action = \"allow\", ports = [443] }",
        ),
        (
            "\n{\n \"network\": {}\n}",
            "p.toml:2:1: this is JSON, and a policy is TOML; convert it with `egress policy import \
             FILE`, or write [network.domains] and below it \"example.com\" = \"allow\"",
        ),
    ] {
        let all = errors(text);
        if all.first().map(String::as_str) != Some(expected) {
            wrong.push((text, all.clone()));
        }
        assert!(!all.concat().contains("secret"), "{all:?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_stands_around_a_slip_is_read_too() {
    let text = "[network]\nmode = \"limitted\"\nenabled = True\n[network.domains]\n*.a.com = \"allow\"\n\"b*.com\" = \"allow\"\n[network.domains.\"c.com\"]\naction = allow\n";
    let places: Vec<_> =
        errors(text).iter().map(|error| error.chars().take(10).collect::<String>()).collect();
    // The rule of line 7 has an action, if a wrong one: nobody says that it has none.
    assert_eq!(places, ["p.toml:2:8", "p.toml:3:1", "p.toml:5:1", "p.toml:6:1", "p.toml:8:1"]);
}

#[test]
fn after_an_open_bracket_nothing_is_guessed() {
    let text = "[network]\nmod = \"full\"\npresets = [\"all\", \"none\"\n[network.domains]\n\"a*.com\" = \"allow\"\n";
    let all = errors(text);
    assert_eq!(all.len(), 1, "{all:#?}");
}
