//! The document. Fields may be added; none is ever given another meaning.
//!
//! Its texts are [`Printable`] on both sides: what a sandbox tells is escaped before it is sent, and again
//! by whoever reads it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    dns::Counted,
    pins::{Listed, NEVER_NS},
    policy::{PortRange, PortSet},
    text::Printable,
};

/// One sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the run.
    #[serde(with = "printable")]
    pub id: Printable,
    /// Process id of `egress run`.
    pub pid: u32,
    /// The program that was started, without its arguments: these may hold secrets.
    #[serde(with = "printable")]
    pub program: Printable,
    /// Seconds since it was.
    pub up_seconds: u64,
    /// Its lookups.
    pub dns: Dns,
    /// Its live pins, by name and address.
    pub pins: Vec<Pin>,
    /// What was refused, the most frequent first.
    pub refused: Vec<Refusal>,
}

/// Queries, by how they ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Answered as the name servers did.
    pub answered: u64,
    /// Without a usable answer.
    pub failed: u64,
    /// Answered with an error of the query's own.
    pub malformed: u64,
    /// Not answered.
    pub dropped: u64,
    /// Refused, by the name of the reason.
    pub refused: BTreeMap<String, u64>,
}

/// An address that is open under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// The name that was looked up.
    #[serde(with = "printable")]
    pub name: Printable,
    /// The address.
    pub address: IpAddr,
    /// TCP ports that its rules open; none for all.
    pub ports: Option<Vec<Ports>>,
    /// Seconds since an answer gave it first.
    pub age_seconds: u64,
    /// Seconds until its time is over, 0 where only connections keep it; none where it never is.
    pub left_seconds: Option<u64>,
    /// Connections made under it that still live.
    pub connections: u32,
}

/// A port as a number, or a range as a policy writes it: `"30000-31000"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ports {
    /// One.
    One(u16),
    /// From the first to the last.
    #[serde(with = "printable")]
    Range(Printable),
}

impl From<PortRange> for Ports {
    fn from(range: PortRange) -> Self {
        match range.is_one() {
            true => Self::One(range.first()),
            false => Self::Range(range.to_string().into()),
        }
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(port) => port.fmt(f),
            Self::Range(range) => range.fmt(f),
        }
    }
}

/// Equal refusals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What the program wanted.
    #[serde(with = "printable")]
    pub what: Printable,
    /// The name of the reason.
    #[serde(with = "printable")]
    pub reason: Printable,
    /// How often.
    pub count: u64,
    /// The rule that refused.
    #[serde(default, with = "optional")]
    pub rule: Option<Printable>,
    /// What would allow it.
    #[serde(default, with = "optional")]
    pub fix: Option<Printable>,
}

const SECOND_NS: u64 = 1_000_000_000;

impl Pin {
    pub(super) fn of(pin: Listed, now_ns: u64) -> Self {
        let left_ns = pin.expires_ns.saturating_sub(now_ns);
        Self {
            name: pin.name.as_str().into(),
            address: pin.address,
            ports: match pin.grant.tcp_ports() {
                PortSet::All => None,
                only => Some(only.entries().map(Ports::from).collect()),
            },
            age_seconds: now_ns.saturating_sub(pin.since_ns) / SECOND_NS,
            left_seconds: (pin.expires_ns != NEVER_NS).then_some(left_ns / SECOND_NS),
            connections: pin.held,
        }
    }
}

impl From<Counted> for Dns {
    fn from(counted: Counted) -> Self {
        let named =
            |(reason, count): (egress_common::Reason, u64)| (reason.name().to_owned(), count);
        Self {
            answered: counted.answered,
            failed: counted.failed,
            malformed: counted.malformed,
            dropped: counted.dropped,
            refused: counted.refused.into_iter().map(named).collect(),
        }
    }
}

/// As the text; what is read is escaped again.
mod printable {
    use super::{Deserialize, Deserializer, Printable, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Printable, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(text)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(from: D) -> Result<Printable, D::Error> {
        String::deserialize(from).map(Printable::from)
    }
}

/// The same where there may be none.
mod optional {
    use super::{Deserialize, Deserializer, Printable, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        text: &Option<Printable>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        text.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Option<Printable>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Printable::from))
    }
}
