//! Policies by file and by option, and what happens to one that cannot be understood.
use super::support::{Finished, World};
use super::{ALLOWED, OTHER, REFUSED, SITE, THIRD, two_sites};

#[test]
#[ignore = "kernel: needs root"]
fn a_file_and_options_are_one_policy() {
    let world = two_sites();
    let policy = world.domains(&[("allowed.test", "\"allow\""), ("refused.test", "\"allow\"")]);
    let options = &["--policy", policy.path(), "--allow", "six.test", "--deny", "refused.test"];
    world.egress(options).run(["curl", "-sS", "https://allowed.test/"]).succeeded();
    world.egress(options).run(["curl", "-6sS", "https://six.test/"]).succeeded();
    world.egress(options).run(["curl", "-sS", "https://refused.test/"]).failed();
    world.never_asked_for("refused.test");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn a_rule_opens_its_ports_alone() {
    let world = two_sites();
    let rule = "{ action = \"allow\", ports = [8443] }";
    let policy = world.domains(&[("allowed.test", rule)]);
    let options = &policy.options();
    world.egress(options).run(["curl", "-sS", "https://allowed.test:8443/"]).succeeded();
    let refused =
        [format!("connect {SITE} 443"), format!("connect {SITE} 22"), format!("connect {SITE} 80")];
    let words: Vec<_> =
        ["resolve allowed.test"].into_iter().chain(refused.iter().map(String::as_str)).collect();
    let out = world.egress(options).probes(&words);
    for probe in &refused {
        out.probe(probe, REFUSED);
    }
    for port in [443, 22, 80] {
        world.arrived_at(SITE).on_port(port).none();
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn address_tables_open_addresses() {
    let world = two_sites();
    let text =
        format!("[network.addresses]\n\"{THIRD}\" = {{ action = \"allow\", ports = [22] }}\n");
    let policy = world.policy(text);
    let (open, other_port, other) = (
        format!("connect {THIRD} 22"),
        format!("connect {THIRD} 25"),
        format!("connect {OTHER} 22"),
    );
    let out = world.egress(&policy.options()).probes(&[&open, &other_port, &other]);
    out.probe(&open, &["ok"]).probe(&other_port, REFUSED).probe(&other, REFUSED);
}

#[test]
#[ignore = "kernel: needs root"]
fn an_empty_policy_refuses_everything() {
    let world = two_sites();
    let connect = format!("connect {SITE} 443");
    let out = world.egress(&[]).probes(&["resolve allowed.test", &connect]);
    assert!(!out.probed("resolve allowed.test").starts_with("ok"), "{out}");
    out.probe(&connect, REFUSED);
    world.arrived().none();
}

#[test]
#[ignore = "kernel: needs root"]
fn no_network_access_overrules_every_rule() {
    let world = two_sites();
    let text =
        "[network]\nnetwork_access = false\n[network.domains]\n\"allowed.test\" = \"allow\"\n";
    let policy = world.policy(text);
    world.egress(&policy.options()).run(["curl", "-sS", "https://allowed.test/"]).failed();
    world.arrived().none();
}

/// Runs under a policy that must not be accepted: nothing may start, not even a cgroup.
fn rejected<'w>(world: &'w World, options: &[&str]) -> Finished<'w> {
    let hidden = world.path("no-cgroups");
    std::fs::create_dir_all(&hidden).expect("make an empty directory");
    let started = world.path("started");
    // With no cgroups in sight, whoever goes for them first ends with another code than 2.
    let out = world
        .egress(options)
        .mount(&hidden, "/sys/fs/cgroup")
        .run(["touch", &started.display().to_string()]);
    assert!(!started.exists(), "the command ran\n{out}");
    world.arrived().none();
    out.exited(2).printed("");
    out
}

#[test]
#[ignore = "kernel: needs root"]
fn a_broken_file_is_named_by_line_and_column() {
    let world = two_sites();
    let broken = [
        // text, line of the offence, its column where there is no doubt, what the message has to name
        ("[network]\nnetwork_access = true\nnetwork_acess = true\n", 3, Some(1), "network_acess"),
        ("[network]\nenabled = \"yes\"\n", 2, None, "enabled"),
        ("[network.domains]\n\"a*.test\" = \"allow\"\n", 2, Some(1), "a*.test"),
        ("[network.domains]\n\"allowed.test\" = \"alow\"\n", 2, Some(18), "alow"),
        ("[network.domains]\n\"*\" = \"deny\"\n", 2, Some(1), "*"),
        (
            "[network.domains]\n\"https://allowed.test/\" = \"allow\"\n",
            2,
            Some(1),
            "https://allowed.test/",
        ),
        ("[network.domains\n", 1, None, "policy-"),
    ];
    for (text, line, column, offence) in broken {
        let policy = world.policy(text);
        let out = rejected(&world, &policy.options());
        out.complained(policy.path()).complained(offence);
        let found = place(&out.complaints(), policy.path());
        assert!(
            found.is_some_and(|(l, c)| l == line && column.is_none_or(|column| c == column)),
            "{found:?} for {text:?}\n{out}"
        );
    }
    // A key that is right, but that nothing would hold.
    let policy = world.policy("[network]\nproxy_env = true\n");
    let file = policy.path();
    let out = rejected(&world, &policy.options());
    out.complained(&format!("{file}:2: proxy_env is not built yet"));
}

/// Line and column in a message of the form `FILE:LINE:COLUMN...`.
fn place(message: &str, file: &str) -> Option<(usize, usize)> {
    let (_, rest) = message.split_once(&format!("{file}:"))?;
    let mut numbers = rest.split(|character: char| !character.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[test]
#[ignore = "kernel: needs root"]
fn a_missing_file_starts_nothing() {
    let world = two_sites();
    rejected(&world, &["--policy", "/nonexistent/policy.toml"])
        .complained("/nonexistent/policy.toml");
}

#[test]
#[ignore = "kernel: needs root"]
fn bad_options_start_nothing() {
    let world = two_sites();
    for options in
        [&["--deny", "*"][..], &["--allow", "a*.test"], &["--allow", ""], &["--nonsense"]]
    {
        let out = rejected(&world, options);
        assert!(!out.stderr.is_empty(), "no word of what is wrong with {options:?}\n{out}");
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn a_filter_that_is_off_is_not_started_by_mistake() {
    let world = two_sites();
    let policy = world.policy("[network]\nenabled = false\n");
    rejected(&world, &policy.options()).complained("--unrestricted");
    // The same world, with a policy that is fine.
    world.egress(ALLOWED).run(["true"]).succeeded();
}
