//! Name servers that lie, and answers that carry more than was asked for: only what follows from the question counts.
use hickory_proto::rr::{
    Name, RData,
    rdata::{
        A, AAAA, HTTPS, MX, TXT,
        svcb::{Alpn, EchConfigList, IpHint, Mandatory, SVCB, SvcParamKey, SvcParamValue},
    },
};

use super::support::{Answer, PYTHON, World};
use super::{METADATA, OTHER, OTHER_V6, REFUSED, SITE, THIRD};

/// Claims that the address is neither reached nor asked for, after the name was resolved.
#[track_caller]
fn stays_closed_after(world: &World, options: &[&str], name: &str, address: &str) {
    let (resolve, connect) = (format!("resolve {name}"), format!("connect {address} 443"));
    let out = world.egress(options).probes(&[&resolve, &connect]);
    out.probe(&connect, REFUSED);
    world.arrived_at(address).none();
}

#[test]
#[ignore = "kernel: needs root"]
fn records_of_other_names_open_nothing() {
    let addresses = |of: &[&str]| of.iter().map(|address| address.parse().unwrap()).collect();
    let beside = [("bank.test", OTHER), ("sub.allowed.test", THIRD), ("bank.test", OTHER_V6)];
    let others = beside.map(|(name, address)| (name.to_owned(), address.parse().unwrap()));
    let answer = Answer::Beside(addresses(&[SITE]), others.to_vec());
    let world = World::new().address(SITE).answers("allowed.test", answer).build();
    world.direct().run(["dig", "allowed.test"]).said(OTHER).said(THIRD);
    let options = &["--allow", "allowed.test", "--allow", "bank.test"];
    let out = world.egress(options).run(["dig", "+short", "allowed.test"]);
    out.printed(&format!("{SITE}\n"));
    for address in [OTHER, THIRD, OTHER_V6] {
        stays_closed_after(&world, options, "allowed.test", address);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn chains_are_bounded_and_loops_end() {
    let mut builder = World::new().site("end.test", SITE);
    for (name, length) in [("short", 16), ("long", 20)] {
        for number in 0..length {
            let to = if number + 1 == length {
                "end.test".to_owned()
            } else {
                format!("{name}{}.test", number + 1)
            };
            builder = builder.answers(&format!("{name}{number}.test"), Answer::Alias(to));
        }
    }
    for (name, to) in
        [("loop.test", "back.test"), ("back.test", "loop.test"), ("me.test", "me.test")]
    {
        builder = builder.answers(name, Answer::Alias(to.into()));
    }
    let world = builder.build();
    let dig = |name: &str| {
        let options = &["--allow", name];
        world.egress(options).run(["dig", "+tries=1", "+time=20", name])
    };
    dig("short0.test").said("status: NOERROR").said(SITE);
    for name in ["long0.test", "loop.test", "me.test"] {
        dig(name).succeeded().said("status: SERVFAIL").said("ANSWER: 0");
        stays_closed_after(&world, &["--allow", name], name, SITE);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn every_name_of_a_chain_is_judged_for_denies() {
    let world = World::new()
        .answers("shop.test", Answer::Alias("edge.cdn.test".into()))
        .answers("edge.cdn.test", Answer::Alias("node.evil.test".into()))
        .site("node.evil.test", SITE)
        .build();
    for denied in ["edge.cdn.test", "**.evil.test", "node.evil.test"] {
        let options = &["--allow", "shop.test", "--deny", denied];
        world.egress(options).run(["dig", "shop.test"]).said("status: NXDOMAIN");
        stays_closed_after(&world, options, "shop.test", SITE);
    }
}

#[test]
#[ignore = "kernel: needs root"]
fn forged_answers_are_ignored() {
    let truth = vec![SITE.parse().unwrap()];
    let answer = Answer::Forged { lies: vec![OTHER.parse().unwrap()], truth };
    let world = World::new().address(SITE).answers("allowed.test", answer).build();
    let options = &["--allow", "allowed.test"];
    let out = world.egress(options).run(["dig", "+short", "allowed.test"]);
    out.printed(&format!("{SITE}\n"));
    stays_closed_after(&world, options, "allowed.test", OTHER);
}

#[test]
#[ignore = "kernel: needs root"]
fn a_dead_server_fails_the_lookup_in_its_time_and_opens_nothing() {
    let world =
        World::new().answers("silent.test", Answer::Silence).site("allowed.test", SITE).build();
    let out = world.egress(&["--allow", "silent.test"]).run([
        "dig",
        "+tries=1",
        "+time=10",
        "silent.test",
    ]);
    out.succeeded().said("status: SERVFAIL").said("egress: dns_failed");
    // A lookup that waits holds up no other.
    let both =
        "dig +tries=1 +time=10 silent.test > silent & dig +short allowed.test; wait; cat silent";
    let options = &["--allow", "silent.test", "--allow", "allowed.test"];
    let out = world.egress(options).shell(both);
    let text = out.text();
    let (answered, failed) = (text.find(SITE), text.find("SERVFAIL"));
    assert!(answered.is_some() && failed.is_some() && answered < failed, "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn a_lost_question_is_asked_again() {
    let answer = Answer::Late(vec![SITE.parse().unwrap()]);
    let world = World::new().address(SITE).answers("late.test", answer).build();
    let text = "[network.domains]\n\"late.test\" = \"allow\"\n[network.dns]\ntimeout = \"20s\"\n";
    let policy = world.policy(text);
    let lookup = format!("import socket; print(socket.gethostbyname('late.test') == '{SITE}')");
    // glibc asks us again after 5 s, if our own time was up meanwhile.
    let out = world.egress(&policy.options()).run([PYTHON, "-c", &lookup]);
    out.succeeded().said("True");
}

#[test]
#[ignore = "kernel: needs root"]
fn sixty_four_addresses_are_the_most_of_a_name() {
    let many: Vec<String> = (1..=100).map(|last| format!("93.184.217.{last}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let world = World::new().record("many.test", &many).build();
    let out = world.egress(&["--allow", "many.test"]).run(["dig", "+short", "many.test"]);
    assert_eq!(out.text().lines().count(), 64, "{out}");
}

/// A name with HTTPS records that lead elsewhere, and a text.
fn bound() -> World {
    let name = |text: &str| Name::from_ascii(text).unwrap();
    let hints = || {
        vec![
            (SvcParamKey::Alpn, SvcParamValue::Alpn(Alpn(vec!["h2".into()]))),
            (SvcParamKey::Port, SvcParamValue::Port(8443)),
            (
                SvcParamKey::Ipv4Hint,
                SvcParamValue::Ipv4Hint(IpHint(vec![
                    A(OTHER.parse().unwrap()),
                    A(METADATA.parse().unwrap()),
                ])),
            ),
            (
                SvcParamKey::EchConfigList,
                SvcParamValue::EchConfigList(EchConfigList(vec![0, 4, 1, 2, 3, 4])),
            ),
            (
                SvcParamKey::Ipv6Hint,
                SvcParamValue::Ipv6Hint(IpHint(vec![AAAA(OTHER_V6.parse().unwrap())])),
            ),
        ]
    };
    let https = |priority, target: &str, params| {
        RData::HTTPS(HTTPS(SVCB::new(priority, name(target), params)))
    };
    let mut needs_hint = hints();
    let keys = SvcParamValue::Mandatory(Mandatory(vec![SvcParamKey::Ipv4Hint]));
    needs_hint.insert(0, (SvcParamKey::Mandatory, keys));
    let data = vec![
        RData::A(A(SITE.parse().unwrap())),
        https(1, ".", hints()),
        https(2, "elsewhere.test.", hints()),
        https(3, "svc.allowed.test.", hints()),
        https(4, ".", needs_hint),
        RData::MX(MX::new(10, name("mail.elsewhere.test."))),
        RData::TXT(TXT::new(vec!["a word".into()])),
    ];
    World::new().address(SITE).answers("allowed.test", Answer::Data(data)).build()
}

#[test]
#[ignore = "kernel: needs root"]
fn service_bindings_lose_what_leads_elsewhere() {
    let world = bound();
    world
        .direct()
        .run(["dig", "allowed.test", "HTTPS"])
        .said("ipv4hint")
        .said("ech")
        .said("ANSWER: 4");
    let options = &["--allow", "allowed.test", "--allow", "svc.allowed.test"];
    let out = world.egress(options).run(["dig", "allowed.test", "HTTPS"]);
    out.said("ANSWER: 2").said("1 . alpn=\"h2\" port=8443").said("3 svc.allowed.test. alpn");
    for gone in ["hint", "ech=", "elsewhere.test", OTHER, OTHER_V6, METADATA] {
        assert!(!out.text().contains(gone), "{gone}\n{out}");
    }
    // Hints are pins of nobody.
    let words: Vec<_> = [OTHER, OTHER_V6, METADATA]
        .iter()
        .map(|address| format!("connect {address} 443"))
        .collect();
    let ask = format!(
        "dig +short allowed.test HTTPS; dig +short allowed.test; {PYTHON} probe.py {}",
        words.iter().map(|word| format!("'{word}' ")).collect::<String>()
    );
    let out = world.egress(options).shell(&ask);
    for word in &words {
        out.probe(word, REFUSED);
    }
    for address in [OTHER, OTHER_V6, METADATA] {
        world.arrived_at(address).none();
    }
    world.egress(options).run(["dig", "refused.test", "HTTPS"]).said("status: NXDOMAIN");
    world.never_asked_for("refused.test");
    world.never_asked_for("elsewhere.test");
}

#[test]
#[ignore = "kernel: needs root"]
fn ech_stays_where_the_policy_allows_it() {
    let world = bound();
    let text = "[network]\nech = \"allow\"\n[network.domains]\n\"allowed.test\" = \"allow\"\n";
    let policy = world.policy(text);
    let out = world.egress(&policy.options()).run(["dig", "allowed.test", "HTTPS"]);
    out.said("ANSWER: 1").said("ech=");
    assert!(!out.text().contains("hint"), "{out}");
}

#[test]
#[ignore = "kernel: needs root"]
fn listed_types_are_answered_and_open_nothing() {
    let world = bound();
    let text = "[network.domains]\n\"allowed.test\" = \"allow\"\n\
                [network.dns]\nrecord_types = [\"TXT\"]\nrefusal = \"refused\"\n";
    let policy = world.policy(text);
    let dig = |name, kind| world.egress(&policy.options()).run(["dig", "+tries=1", name, kind]);
    dig("allowed.test", "TXT").said("\"a word\"");
    dig("allowed.test", "MX").said("status: NOERROR").said("ANSWER: 0");
    let refused = dig("secret.refused.test", "TXT");
    refused.said("status: REFUSED").said("EDE: 17").said("--allow secret.refused.test");
    world.never_asked_for("refused.test");
    assert!(world.queries().iter().all(|query| query.kind != "MX"), "{world}");
    stays_closed_after(&world, &policy.options(), "mail.elsewhere.test", OTHER);
}

#[test]
#[ignore = "kernel: needs root"]
fn other_ways_to_look_up_are_refused() {
    let world = World::new().site("allowed.test", SITE).build();
    // By TLS, by HTTPS, by QUIC; multicast DNS, LLMNR, NetBIOS.
    let probes = [
        "connect 8.8.8.8 853",
        "connect 8.8.8.8 443",
        "tls 8.8.8.8 443 dns.test",
        "udp 8.8.8.8 853",
        "udp 8.8.8.8 443",
        "udp 224.0.0.251 5353",
        "udp 224.0.0.252 5355",
        "udp 93.184.216.35 137",
        "connect 93.184.216.35 5355",
    ];
    let out = world.egress(&["--allow", "allowed.test"]).probes(&probes);
    for probe in probes {
        out.probe(probe, REFUSED);
    }
    world.arrived().none();
}
