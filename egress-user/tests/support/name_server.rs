//! The world's name server: a table of answers, and a log of who was asked for what.
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::log::{Log, Query};

/// What the name server says about one name.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// These addresses, each to the question of its family.
    Addresses(Vec<IpAddr>),
    /// The first list to the first lookup of each type, and so on; the last one from then on.
    Sequence(Vec<Vec<IpAddr>>),
    /// An alias, followed by what the table says of its target.
    Alias(String),
    /// A text, and no address: what a name gives out that is used to carry data.
    Text(String),
    /// SERVFAIL.
    Failure,
    /// Nothing at all, so that the asker runs into its timeout.
    Silence,
}

/// The table of answers. A name that is not in it does not exist.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    answers: HashMap<String, Answer>,
    /// Seconds on every record.
    pub(crate) ttl: u32,
}

impl Zone {
    /// An empty table whose records will live this many seconds.
    pub(crate) fn with_ttl(ttl: u32) -> Self {
        Zone { answers: HashMap::new(), ttl }
    }

    pub(crate) fn set(&mut self, name: &str, answer: Answer) {
        self.answers.insert(name.to_ascii_lowercase(), answer);
    }

    /// The answer to one message, noting its question; `None` where the table says silence or nothing can be read.
    pub(crate) fn respond(
        &self,
        query: &[u8],
        transport: &'static str,
        at: SocketAddr,
        log: &Log,
    ) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?;
        let name = question.name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
        let kind = question.query_type;
        let round = log.query(Query {
            name: name.clone(),
            kind: kind.to_string(),
            server: at.ip(),
            transport,
        });
        let mut response = Message::response(query.metadata.id, OpCode::Query);
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.add_query(question.clone());
        response.metadata.response_code = self.fill(&mut response, &name, kind, round)?;
        response.to_vec().ok()
    }

    /// Adds the records of `name`, through its aliases.
    fn fill(
        &self,
        response: &mut Message,
        name: &str,
        kind: RecordType,
        round: usize,
    ) -> Option<ResponseCode> {
        let owner = Name::from_ascii(format!("{name}.")).ok()?;
        let mut add = |data| {
            response.add_answer(Record::from_rdata(owner.clone(), self.ttl, data));
        };
        match self.answers.get(name) {
            None => return Some(ResponseCode::NXDomain),
            Some(Answer::Silence) => return None,
            Some(Answer::Failure) => return Some(ResponseCode::ServFail),
            Some(Answer::Addresses(addresses)) => {
                addresses.iter().filter_map(|a| data_of(*a, kind)).for_each(add)
            }
            Some(Answer::Sequence(rounds)) => {
                let addresses = rounds.get(round).or(rounds.last())?;
                addresses.iter().filter_map(|a| data_of(*a, kind)).for_each(add);
            }
            Some(Answer::Text(text)) if kind == RecordType::TXT => {
                add(RData::TXT(TXT::new(vec![text.clone()])))
            }
            Some(Answer::Text(_)) => {}
            Some(Answer::Alias(target)) => {
                add(RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).ok()?)));
                return self.fill(response, target, kind, round);
            }
        }
        Some(ResponseCode::NoError)
    }
}

/// The record data for an address, if it is of the family asked for.
fn data_of(address: IpAddr, kind: RecordType) -> Option<RData> {
    match (address, kind) {
        (IpAddr::V4(v4), RecordType::A) => Some(RData::A(A(v4))),
        (IpAddr::V6(v6), RecordType::AAAA) => Some(RData::AAAA(AAAA(v6))),
        _ => None,
    }
}
