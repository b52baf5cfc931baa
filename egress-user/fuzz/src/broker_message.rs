//! What a worker asks of the broker: a record is a request or none, and each request has one record.

use egress_broker::message::{Ask, SIZE, Tell, decode, encode};

/// `data` is the beginning of a record, the rest of which is zero.
pub fn run(data: &[u8]) {
    assert!(data.len() == SIZE || decode::<Ask>(data).is_none(), "no record is of this length");
    let mut record = [0; SIZE];
    for (to, from) in record.iter_mut().zip(data) {
        *to = *from;
    }
    if let Some(ask) = decode::<Ask>(&record) {
        assert_eq!(encode(&ask), record, "{ask:?} has two records");
    }
    // Names in notes are escaped as they are read, so that the record may be another one.
    if let Some(tell) = decode::<Tell>(&record) {
        assert_eq!(decode::<Tell>(&encode(&tell)), Some(tell));
    }
}
