//! Records of other types than addresses, refusals as configured, and limits.

use hickory_proto::rr::{
    self, RData, Record, RecordType,
    rdata::{
        HTTPS, MX, TXT,
        svcb::{SVCB, SvcParamKey, SvcParamValue},
    },
};

use super::*;
use crate::{
    config::{DnsSettings, RecordType as Number, RefusalCode},
    dns::{Records, answer::Refuse},
};

const TEXT: &str = "v=spf1 -all";

fn settings(types: &[u16]) -> Settings {
    let record_types = types.iter().map(|&number| Number(number)).collect();
    Settings::new(&DnsSettings { record_types, ..DnsSettings::default() })
}

fn found(data: RData) -> Records {
    chained(&[], data)
}

fn chained(chain: &[&str], data: RData) -> Records {
    let owner = rr::Name::from_ascii("end.of.chain.").unwrap();
    let chain = chain.iter().map(|of| name(of)).collect();
    Records::Found { chain, records: vec![Record::from_rdata(owner, 900, data)], ttl: 90 }
}

fn text() -> RData {
    RData::TXT(TXT::new(vec![TEXT.into()]))
}

fn https(target: &str) -> RData {
    let target = rr::Name::from_ascii(target).unwrap();
    let port = (SvcParamKey::Port, SvcParamValue::Port(443));
    RData::HTTPS(HTTPS(SVCB::new(1, target, vec![port])))
}

#[tokio::test]
async fn listed_types_are_asked_for_and_pin_nothing() {
    let world = World::with(&["allow example.org"], settings(&[16, 15]), true);
    world.diary.script_records("example.org", RecordType::TXT, found(text()));
    let mail = rr::Name::from_ascii("mail.elsewhere.net.").unwrap();
    let mx = RData::MX(MX::new(10, mail));
    world.diary.script_records("example.org", RecordType::MX, found(mx.clone()));
    let response = world.ask("eXample.org.", RecordType::TXT).await;
    assert_eq!(code(&response), ResponseCode::NoError);
    assert_eq!(response.answers[0].data, text());
    assert_eq!(response.answers[0].name.to_ascii(), "eXample.org.");
    assert_eq!(response.answers[0].ttl, 90);
    assert_eq!(world.ask("example.org.", RecordType::MX).await.answers[0].data, mx);
    let unlisted = world.ask("example.org.", RecordType::SRV).await;
    assert_eq!((code(&unlisted), unlisted.answers.len()), (ResponseCode::NoError, 0));
    let record = |record_type| Entry::Records("example.org".into(), record_type);
    assert_eq!(world.diary.entries(), [record(RecordType::TXT), record(RecordType::MX)]);
    assert!(world.sandbox.journal.is_empty());
}

#[tokio::test]
async fn listed_types_of_other_names_are_asked_of_nobody() {
    let world = World::with(&["allow example.org", "allow localhost"], settings(&[16]), true);
    let refused = world.ask("example.com.", RecordType::TXT).await;
    assert_eq!(code(&refused), ResponseCode::NXDomain);
    for of_nobody in [RecordType::TXT, RecordType::HTTPS] {
        let localhost = world.ask("localhost.", of_nobody).await;
        assert_eq!((code(&localhost), localhost.answers.len()), (ResponseCode::NoError, 0));
    }
    assert_eq!(world.diary.entries(), []);
}

#[tokio::test]
async fn types_of_questions_are_never_asked_for() {
    let world = World::with(&["allow example.org"], settings(&[255, 252, 251, 250, 41, 0]), true);
    for number in [255, 252, 251, 250, 41, 0] {
        let response = world.ask("example.org.", number.into()).await;
        assert_eq!(response.answers.len(), 0, "{number}");
    }
    assert_eq!(world.diary.entries(), []);
}

#[tokio::test]
async fn service_bindings_are_answered_when_their_target_is_allowed() {
    let world = World::new(&["allow **.org"]);
    world.diary.script_records("a.org", RecordType::HTTPS, found(https(".")));
    world.diary.script_records("b.org", RecordType::HTTPS, found(https("svc.org.")));
    world.diary.script_records("c.org", RecordType::HTTPS, found(https("svc.evil.net.")));
    for (of, answers) in [("a.org.", 1), ("b.org.", 1), ("c.org.", 0)] {
        let response = world.ask(of, RecordType::HTTPS).await;
        assert_eq!((code(&response), response.answers.len()), (ResponseCode::NoError, answers));
    }
    assert!(world.diary.open().is_empty());
    assert!(world.sandbox.journal.is_empty(), "a record left out is no refusal");
}

#[tokio::test]
async fn a_denied_alias_refuses_every_type() {
    let rules = &["allow example.org", "deny **.evil.test"];
    let world = World::with(rules, settings(&[16]), true);
    let records = [(RecordType::TXT, text()), (RecordType::HTTPS, https("."))];
    for (record_type, data) in records {
        let records = chained(&["cdn.evil.test"], data);
        world.diary.script_records("example.org", record_type, records);
        let response = world.ask("example.org.", record_type).await;
        assert_eq!((code(&response), response.answers.len()), (ResponseCode::NXDomain, 0));
        assert_eq!(extended(&response).unwrap().0, 15);
    }
    assert_eq!(world.noted(), ["example.org denied"]);
}

#[tokio::test]
async fn failures_of_other_types_are_passed_on() {
    let world = World::with(&["allow **.org"], settings(&[16]), true);
    world.diary.script_records("failed.org", RecordType::TXT, Records::Failed);
    let empty = Records::Found { chain: vec![], records: vec![], ttl: 60 };
    world.diary.script_records("empty.org", RecordType::TXT, empty);
    for (of, expected) in [
        ("failed.org.", ResponseCode::ServFail),
        ("absent.org.", ResponseCode::NXDomain),
        ("empty.org.", ResponseCode::NoError),
    ] {
        let response = world.ask(of, RecordType::TXT).await;
        assert_eq!((code(&response), response.answers.len()), (expected, 0), "{of}");
    }
    assert_eq!(world.noted(), ["failed.org TXT dns_failed"]);
}

#[tokio::test]
async fn refusals_follow_the_configuration() {
    let configured = DnsSettings { refusal: RefusalCode::Refused, ..DnsSettings::default() };
    let settings = Settings::new(&configured);
    assert_eq!(settings.refuse, Refuse::Refused);
    let world = World::with(&["allow example.org"], settings, true);
    let response = world.ask("example.com.", RecordType::A).await;
    assert_eq!(code(&response), ResponseCode::Refused);
    let (info_code, text) = extended(&response).unwrap();
    assert_eq!(info_code, 17);
    assert!(text.contains("--allow example.com"), "{text}");
    // What the name servers say stays what they say.
    assert_eq!(code(&world.ask("example.org.", RecordType::A).await), ResponseCode::NXDomain);
}

/// That few may ask in a second, so that none passes because a busy machine takes its time.
fn slow(rules: &[&str]) -> World {
    World::with(rules, Settings { queries_per_second: 1, ..Settings::default() }, true)
}

#[tokio::test]
async fn a_flood_of_queries_is_refused_and_told_once() {
    const QUERIES: u32 = 1000;
    let world = slow(&["allow example.org"]).knows("example.org", &[HOME]);
    let mut refused = 0;
    for _ in 0..QUERIES {
        let response = world.ask("example.org.", RecordType::A).await;
        if code(&response) == ResponseCode::Refused {
            let (info_code, text) = extended(&response).unwrap();
            assert_eq!(info_code, 18);
            assert!(text.starts_with("egress: rate_limited: "), "{text}");
            refused += 1;
        }
    }
    assert!(refused > 0);
    assert_eq!(world.noted(), ["DNS queries per second rate_limited"]);
    let counted = world.service.counters().read();
    assert_eq!(counted.refused, [(Reason::RateLimited, refused)]);
    assert_eq!(counted.answered + refused, u64::from(QUERIES));
}

#[tokio::test]
async fn what_is_kept_does_not_count() {
    let world = slow(&["allow example.org", "allow other.org"])
        .knows("example.org", &[HOME])
        .knows("other.org", &[HOME]);
    world.diary.keep("example.org");
    for _ in 0..1000 {
        let response = world.ask("example.org.", RecordType::A).await;
        assert_eq!(code(&response), ResponseCode::NoError);
    }
    assert_eq!(world.noted(), [""; 0]);
    // Also when all that may be asked was asked.
    while code(&world.ask("other.org.", RecordType::A).await) != ResponseCode::Refused {}
    let response = world.ask("example.org.", RecordType::A).await;
    assert_eq!(code(&response), ResponseCode::NoError);
    // What is refused does, once a second may have passed.
    world.ask("evil.org.", RecordType::A).await;
    assert_eq!(code(&world.ask("evil.org.", RecordType::A).await), ResponseCode::Refused);
}

#[tokio::test]
async fn names_that_carry_much_are_refused_and_asked_of_nobody() {
    let world = World::new(&["allow **.evil.com", "allow example.org"]);
    let mut passed = 0;
    for number in 0..600 {
        let of = format!("{number:050}.evil.com.");
        let response = world.ask(&of, RecordType::A).await;
        passed += usize::from(code(&response) != ResponseCode::Refused);
    }
    assert_eq!(world.diary.lookups(), passed);
    assert!((300..400).contains(&passed), "{passed}");
    let noted = world.noted();
    assert!(noted.contains(&"new names below evil.com rate_limited".to_owned()));
    assert_eq!(code(&world.ask("example.org.", RecordType::A).await), ResponseCode::NXDomain);
}

#[tokio::test]
async fn every_end_of_a_query_is_counted() {
    let world = World::new(&["allow example.org", "deny evil.test"]).knows("example.org", &[HOME]);
    world.diary.script("example.org", Answer::Found { chain: vec![], addresses: vec![] });
    for of in ["example.org.", "evil.test.", "example.com.", "example.net."] {
        world.ask(of, RecordType::A).await;
    }
    let mut response = ask("example.org.", RecordType::A);
    response[2] |= 0x80;
    assert!(world.service.answer(&response, Carrier::Tcp, world.service.admit()).await.is_none());
    world.service.answer(&[0; 12], Carrier::Tcp, world.service.admit()).await.unwrap();
    let counted = world.service.counters().read();
    assert_eq!((counted.answered, counted.failed), (1, 0));
    assert_eq!((counted.malformed, counted.dropped), (1, 1));
    assert_eq!(counted.refused, [(Reason::Denied, 1), (Reason::NotAllowed, 2)]);
}
