use std::{sync::Arc, time::Duration};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RecordType,
};

mod other;
mod renewals;
mod shared;

use super::*;
use crate::{
    dns::support::{Entry, World, address, addresses, ask, code, extended, name, query},
    pins::NEVER_NS,
    policy::{Answer, Remedy},
    record::Heard,
};

const HOME: &str = "9.9.9.9";
const HOME6: &str = "2620:fe::fe";

#[tokio::test]
async fn refused_names_are_never_looked_up() {
    let world = World::new(&["allow example.org", "deny evil.test", "allow **.test"]);
    for (refused, info_code) in [("secret.evil.example.", 17), ("EVIL.test.", 15)] {
        for record_type in [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::HTTPS] {
            let response = world.ask(refused, record_type).await;
            assert_eq!(code(&response), ResponseCode::NXDomain);
            assert_eq!(extended(&response).unwrap().0, info_code);
        }
    }
    assert_eq!(world.diary.entries(), []);
    let mut noted = world.noted();
    noted.sort();
    assert_eq!(noted, ["evil.test denied", "secret.evil.example not_allowed"]);
    let entries = world.sandbox.journal.entries();
    let denied = entries.iter().find(|(refused, _)| refused.what() == "evil.test").unwrap();
    assert!(denied.0.cited_rule().unwrap().contains("(egress.toml:2)"));
}

#[tokio::test]
async fn allowed_names_are_looked_up_pinned_and_answered() {
    let world = World::new(&["allow example.org"]).knows("example.org", &[HOME, HOME6]);
    let response = world.ask("Example.ORG.", RecordType::A).await;
    assert_eq!(code(&response), ResponseCode::NoError);
    assert_eq!(addresses(&response), [address(HOME)]);
    assert_eq!(response.answers[0].ttl, 60);
    assert!(world.diary.open().contains_key(&address(HOME)));
    assert!(world.diary.open().contains_key(&address(HOME6)), "both families, whichever was asked");
    assert!(matches!(
        world.diary.entries().as_slice(),
        [Entry::Lookup(_), Entry::Pin(..), Entry::Pin(..)]
    ));
    let pinned = world.pins().names_of(address(HOME), boottime_ns());
    assert_eq!(pinned[0].name, name("example.org"));
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn an_observer_hears_of_every_lookup() {
    let world = World::new(&["allow example.org", "allow gone.test", "deny evil.test"])
        .knows("example.org", &[HOME]);
    let heard = Arc::new(Heard::default());
    world.sandbox.journal.set_observer(heard.clone());
    for name in ["example.org.", "evil.test.", "other.test.", "gone.test."] {
        world.ask(name, RecordType::AAAA).await;
    }
    let heard = heard.events();
    let told: Vec<_> = heard.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "example.org: allowed, by example.org (egress.toml:1)",
            "evil.test: denied, by evil.test (egress.toml:3)",
            "other.test: not_allowed",
            "gone.test: dns_failed",
        ]
    );
    let asked = |name: &str| Subject::Lookup { name: name.into(), record_type: RecordType::AAAA };
    assert_eq!(heard[0].subject, asked("example.org"));
    assert_eq!(heard[2].remedy, Some(Remedy::AllowName(name("other.test"))));
}

#[tokio::test]
async fn every_question_is_judged_by_what_the_name_servers_say_then() {
    let world = World::new(&["allow example.org"]).knows("example.org", &[HOME]);
    world.ask("example.org.", RecordType::A).await;
    let world = world.knows("example.org", &["10.0.0.1"]);
    let flipped = world.ask("example.org.", RecordType::A).await;
    assert_eq!(code(&flipped), ResponseCode::NXDomain);
    assert_eq!(world.diary.lookups(), 2);
    assert!(!world.diary.open().contains_key(&address("10.0.0.1")));
}

#[tokio::test]
async fn one_bad_address_refuses_the_whole_answer() {
    for bad in ["10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "fd00::1", "64:ff9b::a00:1"] {
        let world = World::new(&["allow example.org"]).knows("example.org", &[HOME, bad]);
        let response = world.ask("example.org.", RecordType::A).await;
        assert_eq!(code(&response), ResponseCode::NXDomain, "{bad}");
        assert_eq!(extended(&response).unwrap().0, 17, "{bad}");
        assert!(world.diary.open().is_empty(), "{bad}");
        assert_eq!(world.noted(), ["example.org not_allowed_local"]);
    }
}

#[tokio::test]
async fn a_denied_name_in_the_chain_refuses() {
    let world = World::new(&["allow example.org", "deny **.evil.test"]);
    let (chain, addresses) = (vec![name("cdn.evil.test")], vec![address(HOME)]);
    world.diary.script("example.org", Answer::Found { chain, addresses });
    let response = world.ask("example.org.", RecordType::A).await;
    assert_eq!(extended(&response).unwrap().0, 15);
    assert!(world.diary.open().is_empty());
}

#[tokio::test]
async fn upstream_failures_are_passed_on_and_pin_nothing() {
    let empty = Answer::Found { chain: vec![], addresses: vec![] };
    for (answer, expected) in [
        (Answer::NxDomain, ResponseCode::NXDomain),
        (Answer::ServFail, ResponseCode::ServFail),
        (Answer::Timeout, ResponseCode::ServFail),
        (empty, ResponseCode::NoError),
    ] {
        let world = World::new(&["allow example.org"]);
        world.diary.script("example.org", answer);
        let response = world.ask("example.org.", RecordType::A).await;
        assert_eq!((code(&response), response.answers.len()), (expected, 0));
        assert!(world.diary.open().is_empty());
        // That a name does not exist is no refusal.
        let is_told = expected != ResponseCode::NXDomain;
        let noted = world.noted();
        assert_eq!(noted.len(), usize::from(is_told), "{noted:?}");
        let says_why =
            |line: &String| line.starts_with("example.org (") && line.ends_with(" dns_failed");
        assert!(noted.iter().all(says_why), "{noted:?}");
    }
}

#[tokio::test]
async fn an_answer_that_cannot_be_pinned_does_not_leave() {
    let world = World::new(&["allow example.org"]).knows("example.org", &[HOME, HOME6]);
    world.diary.fail_at(Some(address(HOME6)));
    let response = world.ask("example.org.", RecordType::A).await;
    assert_eq!((code(&response), response.answers.len()), (ResponseCode::ServFail, 0));
    assert!(world.diary.open().is_empty());
    assert!(world.pins().names_of(address(HOME), boottime_ns()).is_empty());
}

#[tokio::test]
async fn other_types_of_allowed_names_have_no_data_and_ask_nobody() {
    let world = World::new(&["allow example.org"]).knows("example.org", &[HOME]);
    for record_type in [
        RecordType::TXT,
        RecordType::MX,
        RecordType::SRV,
        RecordType::NULL,
        RecordType::ANY,
        RecordType::AXFR,
        RecordType::CNAME,
        RecordType::PTR,
        RecordType::Unknown(65_280),
    ] {
        let response = world.ask("example.org.", record_type).await;
        let size = (code(&response), response.answers.len());
        assert_eq!(size, (ResponseCode::NoError, 0), "{record_type}");
    }
    assert_eq!(world.diary.entries(), []);
}

#[tokio::test]
async fn localhost_is_never_looked_up() {
    let world = World::new(&["allow localhost"]);
    assert_eq!(addresses(&world.ask("localhost.", RecordType::A).await), [address("127.0.0.1")]);
    assert_eq!(addresses(&world.ask("LocalHost.", RecordType::AAAA).await), [address("::1")]);
    assert_eq!(
        world.diary.open(),
        [(address("127.0.0.1"), NEVER_NS), (address("::1"), NEVER_NS)].into()
    );
    assert_eq!(world.diary.lookups(), 0);
    let world = World::new(&["allow example.org"]);
    let response = world.ask("localhost.", RecordType::A).await;
    assert_eq!(code(&response), ResponseCode::NXDomain);
    assert!(!world.service.pin_localhost().unwrap());
    assert_eq!(world.diary.entries(), []);
}

#[tokio::test]
async fn localhost_is_pinned_at_the_start() {
    let world = World::new(&["allow localhost"]);
    assert!(world.service.pin_localhost().unwrap());
    assert_eq!(world.diary.open().len(), 2);
    world.diary.fail_at(Some(address("::1")));
    assert!(world.service.pin_localhost().unwrap(), "nothing is left to write");
    let world = World::new(&["allow localhost"]);
    world.diary.fail_at(Some(address("::1")));
    assert!(world.service.pin_localhost().is_err());
    assert!(world.diary.open().is_empty());
}

#[tokio::test]
async fn reverse_names_come_from_pins_and_are_never_forwarded() {
    let world = World::new(&["allow *"]).knows("example.org", &[HOME]);
    let before = world.ask("9.9.9.9.in-addr.arpa.", RecordType::PTR).await;
    assert_eq!(code(&before), ResponseCode::NXDomain);
    world.ask("example.org.", RecordType::A).await;
    let after = world.ask("9.9.9.9.in-addr.arpa.", RecordType::PTR).await;
    assert_eq!(after.answers[0].data.to_string(), "example.org.");
    assert!(after.answers[0].ttl <= 300);
    for other in ["9.9.9.in-addr.arpa.", "secret.in-addr.arpa.", "1.ip6.arpa."] {
        let response = world.ask(other, RecordType::PTR).await;
        assert_eq!(code(&response), ResponseCode::NXDomain, "{other}");
    }
    assert_eq!(world.diary.lookups(), 1);
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn names_that_are_none_are_refused() {
    let world = World::new(&["allow *"]);
    for labels in [
        &[&b"a.b"[..], b"example", b"org"][..],
        &[b"a\0b", b"org"],
        &[b"2130706433"],
        &["b\u{fc}cher".as_bytes(), b"de"],
        &[],
    ] {
        let mut message = query("example.org.", RecordType::A);
        message.queries[0].set_name(rr::Name::from_labels(labels.iter().copied()).unwrap());
        let response = world
            .service
            .answer(&message.to_vec().unwrap(), Carrier::Udp, world.service.admit())
            .await;
        let response = Message::from_vec(&response.unwrap()).unwrap();
        assert_eq!(code(&response), ResponseCode::NXDomain, "{labels:?}");
        assert_eq!(extended(&response).unwrap().0, 18, "{labels:?}");
    }
    assert_eq!(world.diary.lookups(), 0);
    assert!(world.noted().iter().all(|noted| noted.ends_with(" invalid_host") && noted.is_ascii()));
}

#[tokio::test]
async fn aaaa_is_withheld_without_an_ipv6_route_but_judged() {
    let settings = Settings { has_ipv6: false, ..Settings::default() };
    let world = World::with(&["allow **.org"], settings, true)
        .knows("example.org", &[HOME, HOME6])
        .knows("bad.org", &[HOME, "fd00::1"]);
    assert_eq!(addresses(&world.ask("example.org.", RecordType::A).await), [address(HOME)]);
    let aaaa = world.ask("example.org.", RecordType::AAAA).await;
    assert_eq!((code(&aaaa), aaaa.answers.len()), (ResponseCode::NoError, 0));
    assert!(!world.diary.open().contains_key(&address(HOME6)));
    assert_eq!(code(&world.ask("bad.org.", RecordType::A).await), ResponseCode::NXDomain);
}

#[tokio::test]
async fn ttls_never_exceed_the_pins_life() {
    let settings = Settings {
        min_ttl: Duration::from_secs(5),
        max_ttl: Duration::from_secs(20),
        ..Settings::default()
    };
    let world =
        World::with(&["allow example.org"], settings, true).knows("example.org", &[HOME, HOME6]);
    let response = world.ask("example.org.", RecordType::A).await;
    assert!((18..=20).contains(&response.answers[0].ttl), "{}", response.answers[0].ttl);
    let expires_ns = world.diary.open()[&address(HOME)];
    assert!(seconds_left(expires_ns, boottime_ns()) <= 20);
}

#[tokio::test]
async fn a_flood_of_names_fills_only_this_table() {
    let world = World::new(&["allow **.test"]);
    for number in 0..=crate::pins::MAX_PINS {
        let of = format!("n{number}.test");
        let answer = Answer::Found { chain: vec![], addresses: vec![address(HOME)] };
        world.diary.script(&of, answer);
        // It is not the limit of queries a second that is tried here.
        *world.service.limits() = Limits::new(1000, boottime_ns());
        let response = world.ask(&format!("{of}."), RecordType::A).await;
        let fits = number < crate::pins::MAX_PINS;
        assert_eq!(code(&response) == ResponseCode::NoError, fits, "{number}");
    }
    assert_eq!(world.diary.open().len(), 1);
    // One line for all of them, which says what the limit is.
    assert_eq!(world.noted(), ["live pins of names at once rate_limited"]);
}

#[tokio::test]
async fn errors_are_answered_as_errors() {
    let world = World::new(&["allow *"]);
    let service = &world.service;
    let answer = |message: Vec<u8>| async move {
        let response = service.answer(&message, Carrier::Tcp, service.admit()).await?;
        Some(Message::from_vec(&response).unwrap())
    };
    let mut message = ask("example.org.", RecordType::A);
    message.truncate(20);
    assert_eq!(code(&answer(message).await.unwrap()), ResponseCode::FormErr);
    assert!(answer(vec![0; 11]).await.is_none());
    let mut response = ask("example.org.", RecordType::A);
    response[2] |= 0x80;
    assert!(answer(response).await.is_none());
    let mut newer = query("example.org.", RecordType::A);
    newer.edns.as_mut().unwrap().set_version(9);
    let response = answer(newer.to_vec().unwrap()).await.unwrap();
    // 16 is BADSIG as well, which hickory reads.
    assert_eq!(u16::from(code(&response)), 16);
    assert_eq!(world.diary.entries(), []);
}
