use hickory_proto::rr::{self, RData, Record, rdata::A};

use super::*;
use crate::dns::support::name;

/// Of a TTL.
const MAX: u32 = 3600;

fn found(ttl: u32, negative_ttl: Option<u32>) -> Reply {
    let owner = rr::Name::from_ascii("q.test.").unwrap();
    let record = Record::from_rdata(owner, ttl, RData::A(A::new(198, 51, 100, 1)));
    let found = Found { chain: vec![], records: vec![record], ttl: Some(ttl) };
    Reply::Found { found, negative_ttl }
}

fn empty(negative_ttl: Option<u32>) -> Reply {
    Reply::Found { found: Found::default(), negative_ttl }
}

fn gone(negative_ttl: Option<u32>) -> Reply {
    Reply::NxDomain { negative_ttl }
}

#[test]
fn a_union_lasts_as_long_as_its_shorter_half() {
    let seconds = |v4, v6| union(v4, v6, MAX).seconds;
    assert_eq!(seconds(found(60, None), found(30, None)), 30);
    assert_eq!(seconds(found(0, None), found(30, None)), 0);
    assert_eq!(seconds(found(86_400, None), found(86_400, None)), MAX);
    assert_eq!(seconds(found(300, None), empty(Some(20))), 20);
    assert_eq!(seconds(gone(Some(20)), found(10, None)), 10);
    // An SOA of a secondary that says to ask again at once.
    assert_eq!(seconds(found(300, None), empty(Some(0))), 0);
    // No SOA.
    assert_eq!(seconds(found(300, None), empty(None)), MAX_HALF);
    assert_eq!(seconds(empty(None), found(3, None)), 3);
    assert_eq!(seconds(found(0, None), gone(None)), 0);
}

#[test]
fn negative_answers_last_as_their_soa_says_within_bounds() {
    let seconds = |v4, v6| union(v4, v6, MAX).seconds;
    assert_eq!(seconds(gone(Some(60)), gone(Some(50))), 50);
    assert_eq!(seconds(gone(Some(86_400)), gone(Some(86_400))), MAX_NEGATIVE);
    assert_eq!(seconds(gone(Some(60)), gone(None)), 0);
    assert_eq!(seconds(empty(Some(60)), empty(Some(70))), 60);
    assert_eq!(seconds(empty(None), empty(None)), 0);
    for failure in [Reply::ServFail, Reply::Timeout] {
        // The half that stands is there while the other is not asked for.
        assert_eq!(seconds(found(60, None), failure.clone()), MAX_HALF);
        assert_eq!(seconds(failure.clone(), found(3, None)), 3);
        assert_eq!(seconds(failure.clone(), empty(Some(60))), FAILURE);
        assert_eq!(seconds(gone(Some(60)), failure.clone()), FAILURE);
        assert_eq!(failure.records(MAX), Kept { value: Records::Failed(None), seconds: FAILURE });
    }
    assert_eq!(gone(Some(5)).records(MAX).seconds, 5);
    assert_eq!(empty(None).records(MAX).seconds, 0);
    assert_eq!(found(86_400, None).records(MAX).seconds, MAX);
}

#[test]
fn an_alias_to_nothing_lasts_no_longer_than_the_alias() {
    let alias = |ttl| Reply::Found {
        found: Found { chain: vec![name("b.test")], records: vec![], ttl: Some(ttl) },
        negative_ttl: Some(60),
    };
    assert_eq!(union(alias(5), alias(90), MAX).seconds, 5);
    assert_eq!(union(alias(90), alias(90), MAX).seconds, 60);
    assert_eq!(alias(5).records(MAX).seconds, 5);
}

#[test]
fn a_ttl_of_years_is_worth_no_more_than_its_keeping() {
    let kept = union(found(u32::MAX, None), found(60, None), MAX);
    assert_eq!((kept.value.v4_ttl, kept.value.v6_ttl, kept.seconds), (MAX, 60, 60));
    let Records::Found { records, ttl, .. } = found(86_400, None).records(MAX).value else {
        panic!()
    };
    assert_eq!((records[0].ttl, ttl), (MAX, MAX));
}
