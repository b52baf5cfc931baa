//! Which server failed a lookup, and how, for a person.

use std::sync::Arc;

use hickory_resolver::{
    net::{DnsError, NetError, NoRecords},
    proto::op::{DnsResponse, ResponseCode},
};

use super::chain::Broken;
use crate::text::Printable;

/// What servers did in place of an answer, in the order in which they stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures(Vec<Failure>);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Failure {
    /// Of the server in its list.
    number: usize,
    text: String,
}

/// Most bytes of one server's part: an error's own words may be long.
const LONGEST: usize = 160;

impl Failures {
    /// A server is asked: until more is known it is silent.
    pub(super) fn ask(&mut self, number: usize, server: &str) {
        self.0.push(Failure { number, text: format!("{server} did not answer") });
    }

    /// The server that was asked last has done this in place of an answer.
    pub(super) fn failed(&mut self, server: &str, did: &str) {
        if let Some(last) = self.0.last_mut() {
            last.text = format!("{server} {did}");
            last.text.truncate(last.text.floor_char_boundary(LONGEST));
        }
    }

    /// The server that was asked last has answered.
    pub(super) fn answered(&mut self) {
        self.0.pop();
    }

    /// Those of both families, each once. None where nobody was asked.
    pub(super) fn text(self, other: Self) -> Option<Arc<str>> {
        let mut all = [self.0, other.0].concat();
        all.sort();
        all.dedup();
        let texts: Vec<_> = all.iter().map(|failure| &*failure.text).collect();
        (!texts.is_empty()).then(|| texts.join("; ").into())
    }
}

/// What a server did that gave neither records nor the word that there are none.
pub(super) fn did(result: &Result<DnsResponse, NetError>) -> String {
    match result {
        Ok(response) => answered(response.response_code),
        Err(NetError::Dns(
            DnsError::ResponseCode(response_code)
            | DnsError::NoRecordsFound(NoRecords { response_code, .. }),
        )) => answered(*response_code),
        Err(NetError::Timeout) => "did not answer".to_owned(),
        Err(NetError::Io(error)) => {
            format!("cannot be asked: {}", Printable::from(error.to_string()))
        }
        Err(NetError::QueryCaseMismatch) => "answered another question than was asked".to_owned(),
        Err(NetError::Dns(DnsError::Nsec { .. })) => {
            "gave an answer that fails DNSSEC validation".to_owned()
        }
        Err(error) => format!("failed: {}", Printable::from(error.to_string())),
    }
}

/// Of an answer whose records do not follow from the question.
pub(super) fn is_broken(why: Broken) -> String {
    format!("gave an answer that is not believed: {why}")
}

/// In the words of RFC 1035 section 4.1.1 and of dig.
fn answered(code: ResponseCode) -> String {
    match code {
        ResponseCode::FormErr => "answered FORMERR".to_owned(),
        ResponseCode::ServFail => "answered SERVFAIL".to_owned(),
        ResponseCode::NotImp => "answered NOTIMP".to_owned(),
        ResponseCode::Refused => "answered REFUSED".to_owned(),
        other => format!("answered with the code {}", u16::from(other)),
    }
}
