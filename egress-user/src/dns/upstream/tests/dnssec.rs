//! Validation, against a zone that the test signs.

use hickory_proto::{
    dnssec::{
        DnssecSigner, SigningKey as _,
        crypto::Ed25519SigningKey,
        rdata::{DNSKEY, DNSSECRData, NSEC, RRSIG},
    },
    rr::{DNSClass, RecordSet},
};
use hickory_resolver::proto::dnssec::TrustAnchors;

use super::*;

/// The zone `test.` with a key of its own.
struct Zone {
    signer: DnssecSigner,
    dnskey: DNSKEY,
}

impl Zone {
    fn new() -> Self {
        let pkcs8 = Ed25519SigningKey::generate_pkcs8().unwrap();
        let key = Ed25519SigningKey::from_pkcs8(&pkcs8).unwrap();
        let dnskey = DNSKEY::from_key(&key.to_public_key().unwrap());
        let day = Duration::from_secs(86_400);
        let signer = DnssecSigner::new(dnskey.clone(), Box::new(key), wire("test."), day);
        Self { signer, dnskey }
    }

    fn anchors(&self) -> Arc<TrustAnchors> {
        let mut anchors = TrustAnchors::empty();
        assert!(anchors.insert_with_name(self.dnskey.public_key(), wire("test.").into()));
        Arc::new(anchors)
    }

    /// The records of one set, and their signature.
    fn signed(&self, records: Vec<Record>) -> Vec<Record> {
        let (owner, kind) = (records[0].name.clone(), records[0].record_type());
        let mut set = RecordSet::new(owner.clone(), kind, 0);
        for record in &records {
            set.insert(record.clone(), 0);
        }
        let since = time::OffsetDateTime::now_utc() - time::Duration::hours(1);
        let rrsig = RRSIG::from_rrset(&set, DNSClass::IN, since, &self.signer).unwrap();
        let data = RData::DNSSEC(DNSSECRData::RRSIG(rrsig));
        let signature = Record::from_rdata(owner, records[0].ttl, data);
        records.into_iter().chain([signature]).collect()
    }

    /// `q.test` has both families, `v4.test` an IPv4 address alone.
    fn answer(&self, query: &Message) -> Message {
        let mut message = reply(query);
        let question = &query.queries[0];
        let owner = question.name().to_lowercase();
        let text = owner.to_string();
        match (text.as_str(), question.query_type()) {
            ("test.", RecordType::DNSKEY) => {
                let data = RData::DNSSEC(DNSSECRData::DNSKEY(self.dnskey.clone()));
                let key = Record::from_rdata(owner, 60, data);
                message.add_answers(self.signed(vec![key]));
            }
            ("q.test.", RecordType::A | RecordType::AAAA) | ("v4.test.", RecordType::A) => {
                message.add_answers(self.signed(vec![home(query, &text, 60)]));
            }
            ("v4.test.", _) => {
                let nsec = NSEC::new_cover_self(wire("zz.test."), [RecordType::A]);
                let data = RData::DNSSEC(DNSSECRData::NSEC(nsec));
                message.add_authorities(self.signed(vec![Record::from_rdata(owner, 60, data)]));
                message.add_authorities(self.signed(vec![super::cached::soa(30)]));
            }
            _ => message.metadata.response_code = ResponseCode::ServFail,
        }
        message
    }
}

/// What is done to the zone's answer to a question.
type Lie = fn(&Message, &mut Message);

/// What is looked up through a server that tells such lies.
async fn through(lies: Lie, asked: &str) -> LookupResult {
    let zone = Zone::new();
    let anchors = zone.anchors();
    let server = NameServer::new(move |query| {
        assert!(query.edns.as_ref().unwrap().flags().dnssec_ok);
        let mut message = zone.answer(query);
        lies(query, &mut message);
        Some(message)
    });
    let environment = Environment { trust_anchors: anchors, ..Environment::default() };
    let settings = DnsSettings { dnssec: true, ..settings([server.at]) };
    let servers = NameServers::within(&settings, environment).unwrap();
    servers.lookup(&name(asked)).await
}

#[tokio::test]
async fn signed_answers_are_believed() {
    let looked = through(|_, _| {}, "q.test").await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
    let looked = through(|_, _| {}, "v4.test").await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1"]));
}

#[tokio::test]
async fn what_is_not_as_it_was_signed_is_no_answer() {
    let (v4, v6) = (found(&[], &["198.51.100.1"]), found(&[], &["2001:db8::1"]));
    // What is left: the family that is as it was signed, if one is.
    let lies: [(&str, Lie, Answer); 4] = [
        (
            "another address",
            |_, message| {
                for record in &mut message.answers {
                    if let RData::A(a) = &mut record.data {
                        *a = A::new(203, 0, 113, 66);
                    }
                }
            },
            v6.clone(),
        ),
        (
            "an address more",
            |query, message| {
                if is_a(query) {
                    let data = RData::A(A::new(203, 0, 113, 66));
                    message.add_answer(Record::from_rdata(wire("q.test."), 60, data));
                }
            },
            v6,
        ),
        (
            "no signatures",
            |query, message| {
                if query.queries[0].query_type() != RecordType::DNSKEY {
                    message.answers.retain(|record| record.record_type() != RecordType::RRSIG);
                }
            },
            Answer::ServFail,
        ),
        (
            "no such name",
            |query, message| {
                if !is_a(query) && query.queries[0].query_type() == RecordType::AAAA {
                    message.answers.clear();
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
            },
            v4,
        ),
    ];
    for (what, lie, left) in lies {
        assert_eq!(through(lie, "q.test").await.answer, left, "{what}");
    }
}

#[tokio::test]
async fn that_there_is_nothing_has_to_be_proved() {
    let unproved = |query: &Message, message: &mut Message| {
        message.authorities.retain(|record| record.record_type() == RecordType::SOA);
        if is_a(query) {
            message.answers.clear();
        }
    };
    assert_eq!(through(unproved, "v4.test").await.answer, Answer::ServFail);
}

#[tokio::test]
async fn without_the_option_nothing_is_validated() {
    let server = NameServer::new(|query| {
        assert!(!query.edns.as_ref().unwrap().flags().dnssec_ok);
        at_home(query)
    });
    assert!(matches!(lookup(&[&server], TIMEOUT).await.answer, Answer::Found { .. }));
}

#[tokio::test]
async fn questions_to_be_validated_are_in_a_random_case_too() {
    let seen = Arc::<std::sync::Mutex<Vec<String>>>::default();
    let note = seen.clone();
    let server = NameServer::new(move |query| {
        note.lock().unwrap().push(query.queries[0].name().to_ascii());
        Some(with_code(query, ResponseCode::ServFail))
    });
    let settings = DnsSettings { dnssec: true, ..settings([server.at]) };
    let servers = NameServers::new(&settings, Writer::Nobody).unwrap();
    servers.lookup(&name("quite-a-few-letters.test")).await;
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|name| name.chars().any(char::is_uppercase)), "{seen:?}");
}
