//! What is asked once, and when again.

use std::sync::atomic::{AtomicU8, Ordering};

use hickory_proto::rr::{
    self,
    rdata::{SOA, TXT},
};

use super::*;

/// Addresses with this TTL, another at every question for A.
fn flipping(ttl: u32) -> NameServer {
    let count = AtomicU8::new(0);
    NameServer::new(move |query| {
        let mut message = reply(query);
        if is_a(query) {
            let last = count.fetch_add(1, Ordering::Relaxed);
            let data = RData::A(A::new(198, 51, 100, last));
            message.add_answer(Record::from_rdata(wire("q.test."), ttl, data));
        } else {
            message.add_answer(home(query, "q.test.", ttl));
        }
        Some(message)
    })
}

pub(super) fn soa(minimum: u32) -> Record {
    let data = SOA::new(wire("ns.test."), wire("admin.test."), 1, 2, 3, 4, minimum);
    Record::from_rdata(wire("test."), 3600, RData::SOA(data))
}

fn servers(server: &NameServer, clock: &TestClock) -> NameServers {
    NameServers::within(&settings([server.at]), clock.environment()).unwrap()
}

#[tokio::test]
async fn a_flip_shows_only_when_the_record_has_ended() {
    let (server, clock) = (flipping(10), TestClock::default());
    let servers = servers(&server, &clock);
    let q = name("q.test");
    let first = servers.lookup(&q).await;
    assert_eq!(first.answer, found(&[], &["198.51.100.0", "2001:db8::1"]));
    assert_eq!((first.v4_ttl, first.v6_ttl), (10, 10));
    assert_eq!(server.asked().len(), 2);
    clock.pass(9);
    let kept = servers.lookup(&q).await;
    assert_eq!((kept.answer, kept.v4_ttl, kept.v6_ttl), (first.answer, 1, 1));
    assert!(server.asked().is_empty());
    clock.pass(1);
    let flipped = servers.lookup(&q).await;
    assert_eq!(flipped.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
    assert_eq!(server.asked(), ["q.test. A", "q.test. AAAA"], "both at once, or neither");
}

#[tokio::test]
async fn ttl_0_lasts_for_the_questions_of_one_lookup() {
    let (server, clock) = (flipping(0), TestClock::default());
    let servers = servers(&server, &clock);
    for last in 0..3 {
        let looked = servers.lookup(&name("q.test")).await;
        let v4 = format!("198.51.100.{last}");
        assert_eq!(looked.answer, found(&[], &[v4.as_str(), "2001:db8::1"]));
        clock.pass_ms(499);
        assert_eq!(servers.lookup(&name("q.test")).await, looked);
        clock.pass_ms(1);
    }
    assert_eq!(server.asked().len(), 6);
}

#[tokio::test]
async fn a_ttl_of_years_ends_after_an_hour() {
    let (server, clock) = (flipping(99_999_999), TestClock::default());
    let servers = servers(&server, &clock);
    let first = servers.lookup(&name("q.test")).await;
    assert_eq!((first.v4_ttl, first.v6_ttl), (3600, 3600));
    clock.pass(3599);
    let last = servers.lookup(&name("q.test")).await;
    assert_eq!((last.v4_ttl, last.v6_ttl), (1, 1));
    assert_eq!(server.asked().len(), 2);
    clock.pass(1);
    servers.lookup(&name("q.test")).await;
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_question() {
    let (server, clock) = (flipping(0), TestClock::default());
    let servers = servers(&server, &clock);
    let q = name("q.test");
    let all = futures_util::future::join_all((0..50).map(|_| servers.lookup(&q))).await;
    assert!(all.iter().all(|looked| *looked == all[0]));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn no_such_name_is_kept_as_its_soa_says() {
    let server = NameServer::new(|query| {
        let mut message = with_code(query, ResponseCode::NXDomain);
        message.add_authority(soa(7));
        Some(message)
    });
    let clock = TestClock::default();
    let servers = servers(&server, &clock);
    let q = name("q.test");
    for (pass, asked) in [(0, 2), (6, 0), (1, 2)] {
        clock.pass(pass);
        assert_eq!(servers.lookup(&q).await.answer, Answer::NxDomain);
        assert_eq!(server.asked().len(), asked);
    }
    let nothing = |ttl| Records::NxDomain { ttl };
    assert_eq!(servers.records(&q, RecordType::TXT).await, nothing(7));
    clock.pass(2);
    assert_eq!(servers.records(&q, RecordType::TXT).await, nothing(5));
    assert_eq!(server.asked(), ["q.test. TXT"]);
}

#[tokio::test]
async fn a_failure_is_kept_for_a_second() {
    let server = NameServer::new(|query| Some(with_code(query, ResponseCode::ServFail)));
    let clock = TestClock::default();
    let servers = servers(&server, &clock);
    for (pass, asked) in [(0, 2), (0, 0), (1, 2)] {
        clock.pass(pass);
        assert_eq!(servers.lookup(&name("q.test")).await.answer, Answer::ServFail);
        assert_eq!(server.asked().len(), asked);
    }
}

fn txt(owner: &str, ttl: u32) -> Record {
    Record::from_rdata(wire(owner), ttl, RData::TXT(TXT::new(vec!["hello".to_owned()])))
}

#[tokio::test]
async fn other_records_come_with_their_chain_and_nothing_else() {
    let server = NameServer::new(|query| {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "alias.test."));
        message.add_answer(txt("alias.test.", 30));
        message.add_answer(txt("evil.test.", 30));
        message.add_answer(home(query, "alias.test.", 30));
        message.add_additional(txt("alias.test.", 9));
        Some(message)
    });
    let clock = TestClock::default();
    let servers = servers(&server, &clock);
    let chain = vec![name("alias.test")];
    let expected =
        |ttl| Records::Found { chain: chain.clone(), records: vec![txt("alias.test.", ttl)], ttl };
    assert_eq!(servers.records(&name("q.test"), RecordType::TXT).await, expected(30));
    clock.pass(10);
    assert_eq!(servers.records(&name("q.test"), RecordType::TXT).await, expected(20));
    assert_eq!(server.asked(), ["q.test. TXT"]);
    // Another type is another question.
    let mx = servers.records(&name("q.test"), RecordType::MX).await;
    assert_eq!(mx, Records::Found { chain, records: vec![], ttl: 0 });
    assert_eq!(server.asked(), ["q.test. MX"]);
}

#[tokio::test]
async fn what_is_no_type_of_records_is_not_asked() {
    let server = NameServer::new(at_home);
    let servers = servers(&server, &TestClock::default());
    for number in [0, 41, 128, 249, 250, 251, 252, 253, 254, 255] {
        let record_type = rr::RecordType::from(number);
        assert_eq!(servers.records(&name("q.test"), record_type).await, Records::Failed(None));
    }
    assert!(server.asked().is_empty());
}
