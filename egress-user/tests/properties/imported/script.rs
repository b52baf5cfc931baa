//! Firewall scripts: lists of names, and the loops that open them, or do not.
use std::{cell::Cell, fmt::Write};

use super::*;

#[derive(Clone, Debug)]
struct List {
    names: Vec<String>,
    form: Form,
    /// What the loop does with each.
    then: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    Array,
    Words,
    Text,
}

const OPENS: &str = "ips=$(dig +short A \"$domain\")\n  while read -r ip; do\n    ipset add allowed \"$ip\"\n  \
                     done < <(echo \"$ips\")";
const TESTS: &str = "if curl -s \"https://$domain\"; then echo \"ERROR: open\"; fi";
const CLOSES: &str = "ipset add blocked \"$domain\"";
const CALLS: &str = "allow_name \"$domain\"";

fn list() -> impl Strategy<Value = List> {
    let name = pattern().prop_map(|item| item.trim().to_owned());
    let form = prop::sample::select(vec![Form::Array, Form::Words, Form::Text]);
    let then = prop::sample::select(vec![OPENS, OPENS, CALLS, TESTS, CLOSES]);
    (prop::collection::vec(name, 1..4), form, then).prop_map(|(names, form, then)| List {
        names,
        form,
        then,
    })
}

fn text(lists: &[List]) -> String {
    let mut text = "#!/bin/bash\nset -e\nallow_name() {\n  ipset add allowed \"$(dig +short \"$1\")\"\n}\n\
                    cat > /x << EOF\nfor domain in b.test; do\n  ipset add allowed $domain\ndone\nEOF\n"
        .to_owned();
    for (at, List { names, form, then }) in lists.iter().enumerate() {
        let quoted: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let source = match form {
            Form::Array => {
                write!(text, "LIST{at}=(\n  # of a.test\n  {}\n)\n", quoted.join("\n  ")).unwrap();
                format!("\"${{LIST{at}[@]}}\"")
            }
            Form::Words => format!("\\\n  {}", quoted.join(" \\\n  ")),
            Form::Text => {
                writeln!(text, "LIST{at}=\"{}\"", names.join(" ")).unwrap();
                format!("$LIST{at}")
            }
        };
        write!(text, "for domain in {source}; do\n  {then}\ndone\n").unwrap();
    }
    text
}

fn allows(lists: &[List], asked: Asked) -> bool {
    let has = |list: &List| list.names.iter().any(|name| is_same(name, asked));
    let is_open = lists.iter().any(|list| (list.then == OPENS || list.then == CALLS) && has(list));
    is_open && !lists.iter().any(|list| list.then == CLOSES && has(list))
}

#[test]
fn scripts_are_never_wider_here() {
    let passed = Cell::new(0);
    proptest!(|(lists in prop::collection::vec(list(), 1..4))| {
        let text = text(&lists);
        passed.set(passed.get() + hold(&text, None, |asked| allows(&lists, asked)));
    });
    assert!(passed.get() > 1000, "hardly anything is open: {}", passed.get());
}
