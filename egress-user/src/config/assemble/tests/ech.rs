//! `ech` of rules, within what requirements say.
use super::*;

const OPEN: &str = "[network.domains]\n\"a.test\" = { action = \"allow\", ech = \"allow\" }\n";

#[test]
fn no_rule_goes_beyond_requirements_that_refuse_it() {
    let refuse = "[network]\nech = \"refuse\"\n";
    let error = three(refuse, "", OPEN).unwrap_err().to_string();
    assert!(
        error.contains("ech = \"allow\" of \"a.test\" of the user's layer goes beyond"),
        "{error}"
    );
    assert!(three(refuse, OPEN, "").unwrap_err().to_string().contains("of the managed"));
    // Nobody has said so, and their own lines are theirs.
    assert!(three("", "", OPEN).is_ok());
    assert!(three("[network]\nech = \"allow\"\n", "", OPEN).is_ok());
    assert!(three(&format!("{refuse}{OPEN}"), "", "").is_ok());
    assert!(three(refuse, "", &OPEN.replace("ech = \"allow\"", "ech = \"refuse\"")).is_ok());
}

#[test]
fn a_rule_of_requirements_that_refuses_it_covers_none_that_does_not() {
    let bound = |ech: &str| {
        format!(
            "[network]\nmanaged_allowed_domains_only = true\n[network.domains]\n\
             \"**.test\" = {{ action = \"allow\"{ech} }}\n"
        )
    };
    let closed = bound(", ech = \"refuse\"");
    assert!(
        three(&closed, "", OPEN).unwrap_err().to_string().contains("goes beyond the requirements")
    );
    assert!(three(&closed, "", "[network.domains]\n\"a.test\" = \"allow\"\n").is_err());
    let refuses = OPEN.replace("ech = \"allow\"", "ech = \"refuse\"");
    assert!(three(&closed, "", &refuses).is_ok());
    assert!(three(&bound(""), "", OPEN).is_ok());
}

#[test]
fn where_requests_are_read_it_contradicts() {
    let rule = "[network.domains]\n\"a.test\" = { action = \"allow\", methods = [\"GET\"], ech = \"allow\" }\n";
    let error = parse(rule, "p.toml").unwrap_err().to_string();
    assert!(error.contains("no request can be read"), "{error}");
    let by_kernel = rule.replace("methods = [\"GET\"]", "ports = [443], via = \"kernel\"");
    assert!(parse(&by_kernel, "p.toml").unwrap_err().to_string().contains("remove via, or ech"));
    let deny = "[network.domains]\n\"a.test\" = { action = \"deny\", ech = \"refuse\" }\n";
    assert!(parse(deny, "p.toml").unwrap_err().to_string().contains("remove ech"));
}
