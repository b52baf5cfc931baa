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
    /// This data, each to the question of its type.
    Data(Vec<RData>),
    /// These addresses, and as many records of other names as there are here, in every section.
    Beside(Vec<IpAddr>, Vec<(String, IpAddr)>),
    /// Over UDP first lies with these addresses: under another id, to another question, in another case. Then the truth.
    Forged {
        /// What is not to be believed.
        lies: Vec<IpAddr>,
        /// What is.
        truth: Vec<IpAddr>,
    },
    /// These addresses to the first question of each type, then nothing.
    Once(Vec<IpAddr>),
    /// Nothing to the first question of each type, then these.
    Late(Vec<IpAddr>),
    /// These addresses to the question of their family; to that of the other one this code, or nothing.
    OneFamily(Vec<IpAddr>, Option<ResponseCode>),
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

    /// The answers to one message, noting its question; none where the table says silence or nothing can be read.
    pub(crate) fn respond(
        &self,
        query: &[u8],
        transport: &'static str,
        at: SocketAddr,
        log: &Log,
    ) -> Vec<Vec<u8>> {
        self.answers(query, transport, at, log).unwrap_or_default()
    }

    fn answers(
        &self,
        query: &[u8],
        transport: &'static str,
        at: SocketAddr,
        log: &Log,
    ) -> Option<Vec<Vec<u8>>> {
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
        let forged = match self.answers.get(&name) {
            Some(Answer::Forged { lies, .. }) if transport == "udp" => lies.as_slice(),
            _ => &[],
        };
        let mut messages = lies(&response, forged, kind);
        response.metadata.response_code = self.fill(&mut response, &name, kind, round)?;
        if transport == "udp" && response.to_vec().ok()?.len() > query.max_payload().into() {
            response = response.truncate();
        }
        messages.push(response);
        messages.iter().map(|message| message.to_vec().ok()).collect()
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
        let longest = response.answers.len() > LONGEST_CHAIN;
        let mut add = |data| {
            response.add_answer(Record::from_rdata(owner.clone(), self.ttl, data));
        };
        match self.answers.get(name) {
            None => return Some(ResponseCode::NXDomain),
            Some(Answer::Silence) => return None,
            Some(Answer::Failure) => return Some(ResponseCode::ServFail),
            Some(Answer::OneFamily(addresses, other)) => {
                let data: Vec<_> = addresses.iter().filter_map(|a| data_of(*a, kind)).collect();
                if data.is_empty() {
                    return *other;
                }
                data.into_iter().for_each(add);
            }
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
            Some(Answer::Data(data)) => {
                data.iter().filter(|data| data.record_type() == kind).cloned().for_each(add);
            }
            Some(Answer::Late(_)) if round == 0 => return None,
            Some(Answer::Once(_)) if round > 0 => return None,
            Some(Answer::Once(addresses)) => {
                addresses.iter().filter_map(|a| data_of(*a, kind)).for_each(add);
            }
            Some(Answer::Late(addresses) | Answer::Forged { truth: addresses, .. }) => {
                addresses.iter().filter_map(|a| data_of(*a, kind)).for_each(add);
            }
            Some(Answer::Beside(addresses, others)) => {
                addresses.iter().filter_map(|a| data_of(*a, kind)).for_each(add);
                for (other, address) in others {
                    let Some(data) = data_of(*address, kind) else { continue };
                    let owner = Name::from_ascii(format!("{other}.")).ok()?;
                    let record = Record::from_rdata(owner, self.ttl, data);
                    response.add_answer(record.clone());
                    response.add_authority(record.clone());
                    response.add_additional(record);
                }
            }
            // Around a loop once or twice, as a server does that follows it.
            Some(Answer::Alias(_)) if longest => {}
            Some(Answer::Alias(target)) => {
                add(RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).ok()?)));
                return self.fill(response, target, kind, round);
            }
        }
        Some(ResponseCode::NoError)
    }
}

/// Aliases that the name server follows for one question.
const LONGEST_CHAIN: usize = 32;

/// Answers that only a careless asker takes for one to its question.
fn lies(response: &Message, addresses: &[IpAddr], kind: RecordType) -> Vec<Message> {
    let data: Vec<_> = addresses.iter().filter_map(|address| data_of(*address, kind)).collect();
    let Some(question) = response.queries.first().filter(|_| !data.is_empty()) else {
        return Vec::new();
    };
    let lie = |owner: Name, id: u16| {
        let mut lie = Message::response(id, OpCode::Query);
        lie.metadata.recursion_available = true;
        let mut question = question.clone();
        question.set_name(owner.clone());
        lie.add_query(question);
        for data in &data {
            lie.add_answer(Record::from_rdata(owner.clone(), 60, data.clone()));
        }
        lie
    };
    let other_case: String = question.name.to_ascii().chars().map(flipped).collect();
    let id = response.metadata.id;
    let named = |name: &str| Name::from_ascii(name).expect("a name of a lie");
    vec![
        lie(question.name.clone(), id.wrapping_add(1)),
        lie(named("other.question.test."), id),
        lie(named(&other_case), id),
    ]
}

fn flipped(letter: char) -> char {
    if letter.is_ascii_lowercase() {
        letter.to_ascii_uppercase()
    } else {
        letter.to_ascii_lowercase()
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
