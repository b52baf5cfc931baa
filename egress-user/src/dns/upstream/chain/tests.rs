use hickory_proto::rr::rdata::{A, AAAA, CNAME};

use super::*;
use crate::dns::support::{address, name};

fn wire(text: &str) -> rr::Name {
    rr::Name::from_ascii(text).unwrap()
}

fn a(owner: &str, ttl: u32, last: u8) -> Record {
    Record::from_rdata(wire(owner), ttl, RData::A(A::new(198, 51, 100, last)))
}

fn cname(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(wire(owner), ttl, RData::CNAME(CNAME(wire(target))))
}

fn from_question(answers: &[Record]) -> Result<Found, Broken> {
    walk(&name("q.test"), &wire("q.test."), RecordType::A, answers, false)
}

#[test]
fn follows_only_what_follows_from_the_question() {
    let found = from_question(&[
        a("other.test.", 1, 9),
        a("end.test.", 50, 1),
        cname("MID.test.", 70, "end.test."),
        cname("q.test.", 60, "Mid.Test."),
        cname("other.test.", 1, "evil.test."),
        Record::from_rdata(wire("end.test."), 1, RData::AAAA(AAAA::new(1, 2, 3, 4, 5, 6, 7, 8))),
        a("end.test.", 55, 2),
        a("end.test.", 55, 1),
    ])
    .unwrap();
    assert_eq!(found.chain, [name("mid.test"), name("end.test")]);
    assert_eq!(found.addresses(), [address("198.51.100.1"), address("198.51.100.2")]);
    assert_eq!(found.ttl, Some(50));
}

#[test]
fn a_chain_without_an_end_has_no_addresses() {
    let found = from_question(&[cname("q.test.", 60, "mid.test."), a("x.test.", 1, 1)]).unwrap();
    assert_eq!((found.addresses().len(), found.ttl, found.chain.len()), (0, Some(60), 1));
    assert_eq!(from_question(&[]).unwrap(), Found::default());
}

#[test]
fn loops_long_chains_and_contradictions_are_not_believed() {
    let to_itself = [cname("q.test.", 60, "Q.test.")];
    assert_eq!(from_question(&to_itself), Err(Broken::Loop));
    let around = [
        cname("q.test.", 60, "b.test."),
        cname("b.test.", 60, "c.test."),
        cname("c.test.", 60, "b.test."),
    ];
    assert_eq!(from_question(&around), Err(Broken::Loop));
    let both = [a("q.test.", 60, 1), cname("q.test.", 60, "b.test.")];
    assert_eq!(from_question(&both), Err(Broken::Ambiguous));
    let two = [cname("q.test.", 60, "a.test."), cname("q.test.", 60, "b.test.")];
    assert_eq!(from_question(&two), Err(Broken::Ambiguous));
    let bad = [cname("q.test.", 60, "b\\.ad.test.")];
    assert_eq!(from_question(&bad), Err(Broken::BadName));
}

#[test]
fn eight_hops_pass_and_nine_do_not() {
    for (hops, passes) in [(MAX_CHAIN, true), (MAX_CHAIN + 1, false), (20, false)] {
        let mut answers = vec![cname("q.test.", 60, "h1.test.")];
        for hop in 1..hops {
            answers.push(cname(&format!("h{hop}.test."), 60, &format!("h{}.test.", hop + 1)));
        }
        answers.push(a(&format!("h{hops}.test."), 60, 1));
        match from_question(&answers) {
            Ok(found) => {
                assert!(passes && found.chain.len() == hops && found.addresses().len() == 1)
            }
            Err(broken) => assert!(!passes && broken == Broken::TooLong),
        }
    }
}

#[test]
fn addresses_are_bounded_and_mapped_ones_are_ipv4() {
    let answers: Vec<_> = (0..200).map(|last| a("q.test.", 60, last)).collect();
    assert_eq!(from_question(&answers).unwrap().addresses().len(), MAX_ADDRESSES);
    let mapped = AAAA::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 1);
    let answers = [Record::from_rdata(wire("q.test."), 9, RData::AAAA(mapped))];
    let found = walk(&name("q.test"), &wire("q.test."), RecordType::AAAA, &answers, false).unwrap();
    assert_eq!(found.addresses(), [address("10.0.0.1")]);
}

#[test]
fn a_ttl_with_the_highest_bit_set_is_none() {
    assert_eq!(from_question(&[a("q.test.", 1 << 31, 1)]).unwrap().ttl, Some(0));
    assert_eq!(from_question(&[a("q.test.", u32::MAX, 1)]).unwrap().ttl, Some(0));
    assert_eq!(
        from_question(&[a("q.test.", (1 << 31) - 1, 1)]).unwrap().ttl,
        Some(i32::MAX as u32)
    );
}

#[test]
fn an_alias_asked_for_is_not_followed_but_judged() {
    let answers = [cname("q.test.", 60, "b.test."), cname("b.test.", 5, "c.test.")];
    let question = wire("q.test.");
    let found = walk(&name("q.test"), &question, RecordType::CNAME, &answers, false).unwrap();
    assert_eq!(found.records, [answers[0].clone()]);
    assert_eq!((found.chain, found.ttl), (vec![name("b.test")], Some(60)));
}

#[test]
fn with_validation_every_record_on_the_way_needs_its_proof() {
    let walked = |proofs: [Proof; 2]| {
        let mut answers = [cname("q.test.", 60, "b.test."), a("b.test.", 60, 1)];
        answers[0].proof = proofs[0];
        answers[1].proof = proofs[1];
        walk(&name("q.test"), &wire("q.test."), RecordType::A, &answers, true)
    };
    for good in [[Proof::Secure; 2], [Proof::Insecure; 2], [Proof::Secure, Proof::Insecure]] {
        assert_eq!(walked(good).unwrap().records.len(), 1);
    }
    for proofs in [
        [Proof::Secure, Proof::Bogus],
        [Proof::Bogus, Proof::Secure],
        [Proof::Secure, Proof::Indeterminate],
        [Proof::Indeterminate, Proof::Secure],
    ] {
        assert_eq!(walked(proofs), Err(Broken::Bogus), "{proofs:?}");
    }
}
