//! Messages that no resolver sends, and those that every resolver does: each is judged, none harms.
use super::support::{PYTHON, World};
use super::{ALLOWED, OTHER, SITE, two_sites};

/// Runs cases of `messages.py`, and claims the result of each.
#[track_caller]
fn claims(world: &World, cases: &[(&str, &str)]) {
    let words = [PYTHON, "messages.py"].into_iter().chain(cases.iter().map(|(case, _)| *case));
    let out = world.egress(ALLOWED).run(words);
    out.succeeded();
    for (case, result) in cases {
        out.probe(case, &[result]);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn messages_in_any_portions_are_judged_one_by_one() {
    let world = two_sites();
    claims(
        &world,
        &[
            ("two-in-one-segment", "NOERROR NXDOMAIN"),
            ("byte-by-byte", "NOERROR"),
            ("many-pipelined", &["NXDOMAIN"; 40].join(" ")),
        ],
    );
    world.never_asked_for("refused.test");
    world.arrived_at(OTHER).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn malformed_messages_are_refused_and_responses_are_dropped() {
    let world = two_sites();
    claims(
        &world,
        &[
            ("two-questions", "FORMERR"),
            ("no-question", "FORMERR"),
            ("pointer-to-itself", "FORMERR"),
            ("pointer-loop", "FORMERR"),
            ("truncated", "FORMERR"),
            ("response", "nothing"),
            ("eleven-bytes", "nothing"),
            ("notify", "NOTIMP"),
            ("update", "NOTIMP"),
            ("opcode-15", "NOTIMP"),
            ("chaos", "REFUSED"),
        ],
    );
    world.never_asked_for("refused.test");
    world.never_asked_for("version.bind");
}

#[test]
#[ignore = "kernel: needs root"]
fn what_a_query_may_carry_is_answered_politely() {
    let world = two_sites();
    claims(
        &world,
        &[
            ("case", "NOERROR repeated"),
            ("any", "NOERROR"),
            ("axfr", "NOERROR"),
            // BADVERS
            ("edns-1", "16"),
            ("edns-tiny", "NOERROR"),
            ("ad-and-cd", "NOERROR"),
            ("cookie-short", "NOERROR"),
            ("cookie-client", "NOERROR"),
            ("cookie-both", "NOERROR"),
            ("cookie-long", "NOERROR"),
        ],
    );
    assert!(world.queries().iter().all(|query| query.kind != "ANY"), "{world}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_large_answer_comes_over_tcp_and_all_of_it_is_pinned() {
    let addresses: Vec<String> = (0..60).map(|last| format!("93.184.217.{last}")).collect();
    let many: Vec<&str> = addresses.iter().map(String::as_str).chain([SITE]).collect();
    let world = World::new().record("many.test", &many).build();
    let many = &["--allow", "many.test"];
    let cut = world.egress(many).run(["dig", "+ignore", "+bufsize=512", "+noedns", "many.test"]);
    cut.succeeded().said(" tc ").said("ANSWER: 0");
    // By itself it comes again over TCP.
    let whole = world.egress(many).run(["dig", "+noedns", "many.test"]);
    whole.succeeded().said("ANSWER: 61").said("(TCP)");
    let connect = format!("connect {SITE} 22");
    let out = world.egress(many).probes(&["resolve many.test", &connect]);
    assert!(out.probed(&connect).starts_with("ok"), "{out}");
}
