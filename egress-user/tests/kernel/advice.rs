//! What the end of a run advises helps: whoever does it, and runs again, reaches the target.
//!
//! Each case is refused for one reason, and told to do one thing; the test takes that from the text,
//! as a person pastes it, and demands that what was refused arrives in the end. Where no line of a
//! policy would help, the text says so: those are listed, and few.
use std::collections::BTreeSet;

use super::support::{Answer, Finished, NAME_SERVER, PYTHON, World};
use super::{OTHER, PRIVATE, SITE};

/// How often somebody does as told before giving up: one thing may be refused for two reasons.
const MOST_ROUNDS: usize = 3;

/// By what a case has reached its target.
#[derive(Clone, Copy)]
enum Reached {
    /// Standard output has this.
    Said(&'static str),
    /// Bytes came to this port of [`SITE`].
    Bytes(u16),
    /// It is not: no line of a policy helps, and these words say so.
    Never(&'static str),
}

struct Case {
    reason: &'static str,
    policy: &'static str,
    flags: &'static [&'static str],
    command: &'static [&'static str],
    reached: Reached,
}

const fn curl(
    reason: &'static str,
    policy: &'static str,
    command: &'static [&'static str],
) -> Case {
    Case { reason, policy, flags: &[], command, reached: Reached::Said("path=/x") }
}

/// Looks `shared.test` up, whatever comes of it, and asks the address of `allowed.test` for it.
const CLAIM: &str = "import socket, ssl, sys\n\
    try: socket.getaddrinfo('shared.test', 443)\n\
    except OSError: pass\n\
    s = socket.create_connection(('allowed.test', int(sys.argv[1])), 60)\n\
    if sys.argv[1] == '443': s = ssl._create_unverified_context().wrap_socket(s, server_hostname='shared.test')\n\
    s.sendall(b'GET /x HTTP/1.1\\r\\nHost: shared.test\\r\\nConnection: close\\r\\n\\r\\n')\n\
    while (data := s.recv(65536)): print(data.decode(), end='')";
const OPAQUE: &str = "import socket\n\
    s = socket.create_connection(('allowed.test', 80), 60); s.sendall(b'\\0hello'); s.recv(1)";

const CASES: &[Case] = &[
    curl("not_allowed", "", &["curl", "-sS", "http://allowed.test/x"]),
    curl("not_allowed", "", &["curl", "-sS", "http://93.184.216.34/x"]),
    curl("not_allowed", "", &["curl", "-sS", "http://[2606:2800:220:1::34]/x"]),
    curl(
        "denied",
        "[network.domains]\n\"**.test\" = \"allow\"\n\"allowed.test\" = \"deny\"\n",
        &["curl", "-sS", "http://allowed.test/x"],
    ),
    curl(
        "denied",
        "[network.domains]\n\"*\" = \"allow\"\n[network.addresses]\n\"93.184.216.0/24\" = \"deny\"\n",
        &["curl", "-sS", "http://93.184.216.34/x"],
    ),
    curl(
        "not_allowed_local",
        "[network.domains]\n\"*\" = \"allow\"\n",
        &["curl", "-sS", "http://10.9.8.7/x"],
    ),
    curl("not_allowed_local", "", &["curl", "-sS", "http://169.254.169.254/x"]),
    curl(
        "not_allowed_local",
        "[network.domains]\n\"inside.test\" = \"allow\"\n",
        &["curl", "-sS", "http://inside.test/x"],
    ),
    curl(
        "port_not_allowed",
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", ports = [443] }\n",
        &["curl", "-sS", "http://allowed.test/x"],
    ),
    Case {
        flags: &["--allow", "allowed.test:443"],
        ..curl("port_not_allowed", "", &["curl", "-sS", "http://allowed.test/x"])
    },
    curl(
        "inspection_required",
        "[network]\nmode = \"limited\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n",
        &["curl", "-sS", "https://allowed.test/x"],
    ),
    curl(
        "inspection_required",
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", methods = [\"GET\"] }\n",
        &["curl", "-sS", "https://allowed.test/x"],
    ),
    Case {
        reached: Reached::Bytes(80),
        ..curl(
            "protocol_not_allowed",
            "[network.domains]\n\"allowed.test\" = \"allow\"\n",
            &[PYTHON, "-c", OPAQUE],
        )
    },
    curl(
        "sni_mismatch",
        "[network.domains]\n\"allowed.test\" = \"allow\"\n",
        &[PYTHON, "-c", CLAIM, "443"],
    ),
    curl(
        "host_mismatch",
        "[network.domains]\n\"allowed.test\" = \"allow\"\n",
        &[PYTHON, "-c", CLAIM, "80"],
    ),
    Case {
        reached: Reached::Bytes(443),
        ..curl(
            "ech_refused",
            "[network.domains]\n\"allowed.test\" = \"allow\"\n",
            &[PYTHON, "hellos.py", SITE, "443", "allowed.test", "lookup=allowed.test", "grease"],
        )
    },
    curl(
        "method_not_allowed",
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", methods = [\"GET\"] }\n",
        &["curl", "-sS", "-X", "PUT", "http://allowed.test/x"],
    ),
    curl(
        "method_not_allowed",
        "[network]\nmode = \"limited\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n",
        &["curl", "-sS", "-X", "PUT", "http://allowed.test/x"],
    ),
    curl(
        "path_not_allowed",
        "[network.domains]\n\"allowed.test\" = { action = \"allow\", paths = [\"/open/\"] }\n",
        &["curl", "-sS", "http://allowed.test/x"],
    ),
    curl(
        "network_disabled",
        "[network]\nnetwork_access = false\n[network.domains]\n\"allowed.test\" = \"allow\"\n",
        &["curl", "-sS", "http://allowed.test/x"],
    ),
    Case {
        reached: Reached::Never(
            "no line of a policy changes it: look at the name, and at the name servers",
        ),
        ..curl(
            "dns_failed",
            "[network.domains]\n\"broken.test\" = \"allow\"\n",
            &["curl", "-sS", "http://broken.test/x"],
        )
    },
    Case {
        reached: Reached::Never("no line of a policy changes it: no rule opens a device"),
        ..curl("device_not_allowed", "", &["sh", "-c", "exec 3<>/dev/net/tun"])
    },
];

/// Reasons that no run gives by itself.
const NOT_HERE: &[(&str, &str)] = &[
    ("invalid_host", "the text is told what a name is: names_that_are_none, in dns_messages"),
    ("not_pinned", "the pin has to end first: pins"),
    ("unix_socket_not_allowed", "rules for unix sockets are not enforced yet"),
    ("approval_denied", "nobody is asked yet"),
    ("approval_timeout", "nobody is asked yet"),
    ("rate_limited", "it takes a flood: many"),
];

fn world() -> World {
    World::new()
        .site("allowed.test", SITE)
        .site("refused.test", OTHER)
        .record("shared.test", &[SITE])
        .record("inside.test", &[PRIVATE])
        .answers("broken.test", Answer::Failure)
        .build()
}

/// The advice below the refusal of this reason; without one, the first of all.
fn advice(out: &Finished<'_>, reason: Option<&str>) -> Option<String> {
    let text = out.complaints();
    let is_of = |line: &&str| reason.is_none_or(|reason| line.contains(&format!(": {reason}")));
    let mut lines = text.lines().skip_while(|line| !line.starts_with("egress: refused")).skip(1);
    lines.find(is_of)?;
    Some(lines.next()?.trim().to_owned())
}

/// Does what the advice says: pastes its flag, or takes the line away that it names.
fn follow(advice: &str, policy: &mut String, flags: &mut Vec<String>) {
    let advice = advice.strip_prefix("to allow: ").unwrap_or(advice);
    if let Some(rest) = advice.strip_prefix("remove the deny of ") {
        let (_, place) = rest.split_once("toml:").expect("the place of the deny");
        let line: usize = place.split(')').next().expect("its line").parse().expect("a number");
        let kept = policy.lines().enumerate().filter(|(at, _)| at + 1 != line);
        *policy = kept.map(|(_, line)| format!("{line}\n")).collect();
        return;
    }
    if let Some((_, rest)) = advice.split_once("--set '") {
        flags.extend(["--set".to_owned(), rest.split('\'').next().expect("a line").to_owned()]);
        return;
    }
    let words: Vec<_> = advice.split([' ', ',']).collect();
    let at = words.iter().position(|word| ["--allow", "--set"].contains(word));
    let at = at.unwrap_or_else(|| panic!("nothing to paste: {advice}"));
    flags.extend([words[at].to_owned(), words[at + 1].to_owned()]);
}

fn has_reached(world: &World, out: &Finished<'_>, reached: Reached) -> bool {
    match reached {
        Reached::Said(text) => out.text().contains(text),
        Reached::Bytes(port) => world.arrived_at(SITE).on_port(port).payload() > 0,
        Reached::Never(_) => false,
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn whoever_follows_the_advice_reaches_the_target() {
    for Case { reason, policy, flags, command, reached } in CASES {
        let world = world();
        let (mut policy, mut flags) =
            ((*policy).to_owned(), flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>());
        for round in 0.. {
            let file = world.policy(&policy);
            let options: Vec<&str> =
                file.options().into_iter().chain(flags.iter().map(String::as_str)).collect();
            let out = world.egress(&options).run(command.iter().copied());
            if has_reached(&world, &out, *reached) {
                assert!(round > 0, "{reason} refused nothing\n{out}");
                break;
            }
            // What comes next may have another reason.
            let Some(told) = advice(&out, (round == 0).then_some(reason)) else {
                panic!("{reason}: no advice\n{out}")
            };
            if let Reached::Never(words) = reached {
                assert!(told.contains(words), "{told}\n{out}");
                break;
            }
            assert!(round < MOST_ROUNDS, "{told} does not help\n{policy}{flags:?}\n{out}");
            println!("{reason}: {told}");
            follow(&told, &mut policy, &mut flags);
        }
    }
}

#[test]
fn every_reason_is_followed_and_few_have_no_line() {
    let tried: BTreeSet<_> = CASES.iter().map(|case| case.reason).collect();
    let other: BTreeSet<_> = NOT_HERE.iter().map(|(reason, _)| *reason).collect();
    let all: BTreeSet<_> = egress_common::Reason::ALL.iter().map(|reason| reason.name()).collect();
    let both: BTreeSet<_> = tried.union(&other).copied().collect();
    assert_eq!(both, all);
    assert!(tried.is_disjoint(&other));
    let never = CASES.iter().filter(|case| matches!(case.reached, Reached::Never(_))).count();
    assert!(never * 10 <= CASES.len(), "{never} of {} have no line", CASES.len());
}

#[test]
#[ignore = "kernel: needs root"]
fn what_is_no_refusal_is_not_told() {
    let world = world();
    let resolv =
        format!("nameserver {NAME_SERVER}\nsearch corp.test other.test\noptions ndots:5\n");
    world.file("resolv.conf", resolv);
    // Libraries complete the name first, and the rule is of the name alone.
    let options = ["--allow", "allowed.test", "--allow", "absent.test"];
    let out = world.egress(&options).run(["curl", "-sS", "http://allowed.test/x"]);
    out.succeeded();
    assert!(!out.complaints().contains("refused"), "{out}");
    let line = "dig +short -t SRV _http._tcp.allowed.test && curl -sS http://allowed.test/x";
    let out = world.egress(&options).shell(line);
    out.succeeded();
    assert!(!out.complaints().contains("refused"), "{out}");
    // A name that does not exist is no refusal either; a refused one is.
    let out = world.egress(&options).run(["dig", "absent.test"]);
    out.said("status: NXDOMAIN");
    assert!(!out.complaints().contains("refused"), "{out}");
    world.asked_for("absent.test");
    let out = world.egress(&options).shell("curl -sS http://refused.test/x");
    out.complained("egress: refused").complained("refused.test.corp.test: not_allowed");
    out.complained("  refused.test: not_allowed");
}
