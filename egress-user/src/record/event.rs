//! One decision, with all that log, summary, metrics and approvals need of it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use egress_common::Reason;
use hickory_proto::rr::RecordType;

use super::{
    Advice, Subject,
    advice::{is_no_line, without_line},
};
use crate::{
    policy::{Name, Refusal, Remedy, Rule},
    text::Printable,
};

/// Most names of an address that [`Grounds`] keep.
pub const MAX_NAMES: usize = 8;

/// One decision about one thing that a sandbox asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// `egress_common`'s number of the sandbox; 0 until its journal has the event.
    pub sandbox: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// What was asked for.
    pub subject: Subject,
    /// The rule that decided, with its pattern, its layer, and where it stands; none when nothing matched.
    pub rule: Option<Arc<Rule>>,
    /// What was known of the destination.
    pub grounds: Grounds,
    /// What would change a refusal, where something would.
    pub remedy: Option<Remedy>,
}

/// Allowed or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Allowed.
    Allow,
    /// Refused, and why.
    Refuse(Reason),
}

/// What vouched for a destination. What contradicts it is in the subject: the name that was claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// Names that lookups pinned to the address, and whose rules open the port: [`MAX_NAMES`] of them.
    pub names: Vec<Name>,
    /// The rule that allows the address by itself, or every public one.
    pub address: Option<Arc<Rule>>,
    /// A name whose pin of the address has ended.
    pub expired: Option<Name>,
    /// What came of looking it up again; none where that was not done.
    pub renewal: Option<Renewal>,
    /// Of a lookup that failed, who answered what.
    pub failure: Option<Printable>,
    /// A name that the machine's hosts file gives the address to.
    pub in_hosts: Option<Name>,
}

/// Behind an advice by which more passes than was asked for.
const ADDRESS_RISK: &str =
    "whatever name is claimed there passes then; better let the program look up the name";

/// What came of looking up again the name of a pin that has ended, where it did not give the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Renewal {
    /// The name has other addresses.
    Moved,
    /// The lookup failed, was refused, or was not made as there were too many.
    Failed,
}

impl Event {
    /// Refused, by no rule of the policy.
    pub fn refused(subject: Subject, reason: Reason) -> Self {
        Self::by_policy(subject, Refusal::new(reason))
    }

    /// Refused by the policy.
    pub fn by_policy(subject: Subject, Refusal { reason, rule, remedy }: Refusal) -> Self {
        let verdict = Verdict::Refuse(reason);
        Self { remedy, verdict, ..Self::allowed(subject, rule) }
    }

    /// Allowed, by this rule where one did.
    pub fn allowed(subject: Subject, rule: Option<Arc<Rule>>) -> Self {
        let grounds = Grounds::default();
        Self { sandbox: 0, verdict: Verdict::Allow, subject, rule, grounds, remedy: None }
    }

    /// With what vouched for the destination.
    pub fn on(self, grounds: Grounds) -> Self {
        Self { grounds, ..self }
    }

    /// Why it was refused; none when it was allowed.
    pub fn reason(&self) -> Option<Reason> {
        match self.verdict {
            Verdict::Allow => None,
            Verdict::Refuse(reason) => Some(reason),
        }
    }

    /// What was asked for, as a person would write it: `example.org`, `tcp 192.0.2.1:443`.
    pub fn what(&self) -> Printable {
        let subject = &self.subject;
        match (subject, &self.grounds.expired) {
            (Subject::Lookup { record_type, .. }, _) => {
                let of_type = self.shows_type().then(|| format!(" {record_type}"));
                let failure = self.grounds.failure.as_ref().map(|failure| format!(" ({failure})"));
                format!("{subject}{}{}", of_type.unwrap_or_default(), failure.unwrap_or_default())
            }
            (Subject::Address { .. }, Some(name)) => {
                let what = match self.grounds.renewal {
                    None => "; look the name up again",
                    Some(Renewal::Moved) => ", which does not have this address any more",
                    Some(Renewal::Failed) => ", which could not be looked up again",
                };
                format!("{subject} (expired pin of {name}{what})")
            }
            (Subject::Address { .. }, None) => match &self.grounds.in_hosts {
                Some(name) => format!("{subject} ({name} of the hosts file)"),
                None => subject.to_string(),
            },
            _ => subject.to_string(),
        }
        .into()
    }

    /// The rule that decided, as `pattern (file:line)`.
    pub fn cited_rule(&self) -> Option<Printable> {
        self.rule.as_ref().map(|rule| rule.to_string().into())
    }

    /// What would change it, as a person reads it: the line or the flag that would allow it, or what to do.
    pub fn advice(&self) -> Option<Printable> {
        let port = self.subject.to().map(|to| to.port());
        self.remedy.as_ref().map(|remedy| Advice::new(remedy, port).to_string().into())
    }

    /// What to do, as a line of its own: what would allow it, or that no line of a policy does.
    pub(super) fn remedy_line(&self) -> Option<String> {
        let reason = self.reason()?;
        Some(match self.advice() {
            Some(advice) if advice.starts_with("no line of a policy") => advice.to_string(),
            Some(advice) if self.remedy.as_ref().is_some_and(is_no_line) => {
                format!("no line of a policy changes it: {advice}")
            }
            Some(advice) if self.opens_for_all() => {
                format!("to allow: {advice} ({ADDRESS_RISK})")
            }
            Some(advice) => format!("to allow: {advice}"),
            None => {
                format!("no line of a policy changes it: {}", without_line(reason, &self.subject))
            }
        })
    }

    /// Whether a name was claimed, and what would change it opens an address to every name that is claimed there.
    fn opens_for_all(&self) -> bool {
        let claimed = match &self.subject {
            Subject::Tls { server_name, .. } => server_name,
            Subject::Http { host, .. } => host,
            _ => return false,
        };
        let is_name = |claimed: &Printable| {
            claimed.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_err()
        };
        matches!(self.reason(), Some(Reason::SniMismatch | Reason::HostMismatch))
            && matches!(self.remedy, Some(Remedy::AllowAddress { .. }))
            && claimed.as_ref().is_some_and(is_name)
    }

    /// Some lines for who asked: what, why, by which rule, and what would allow it.
    pub fn explanation(&self) -> String {
        let Verdict::Refuse(reason) = self.verdict else { return format!("{self}\n") };
        let (what, name, text) = (self.what(), reason.name(), reason.text());
        let mut lines = format!("egress refused {what}: {name}\n{text}\n");
        if let Some(rule) = self.cited_rule() {
            lines.push_str(&format!("by {rule}\n"));
        }
        if let Some(line) = self.remedy_line() {
            lines.push_str(&format!("{line}\n"));
        }
        lines
    }

    /// A name is refused whatever is asked of it; a lookup fails for a type.
    fn shows_type(&self) -> bool {
        let fails = self.verdict == Verdict::Refuse(Reason::DnsFailed);
        matches!(self.subject, Subject::Lookup { record_type, .. }
            if fails && !matches!(record_type, RecordType::A | RecordType::AAAA))
    }

    /// The same for what [`Self::reads_as`] the other, and seldom otherwise.
    pub(super) fn hash_as_read(&self, state: &mut impl Hasher) {
        self.verdict.hash(state);
        match &self.subject {
            Subject::Lookup { name, .. } => name.hash(state),
            subject => subject.hash(state),
        }
    }

    /// Whether a person reads the same of both. The names of an address come and go meanwhile.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        let subject = match (&self.subject, &other.subject) {
            (Subject::Lookup { name, .. }, Subject::Lookup { name: other_name, .. })
                if !self.shows_type() && !other.shows_type() =>
            {
                name == other_name
            }
            (one, other) => one == other,
        };
        subject
            && self.verdict == other.verdict
            && self.rule == other.rule
            && self.remedy == other.remedy
            && self.grounds.expired == other.grounds.expired
            && self.grounds.renewal == other.grounds.renewal
            && self.grounds.failure == other.grounds.failure
            && self.grounds.in_hosts == other.grounds.in_hosts
    }
}

/// `evil.test: not_allowed`, `tls evil.test at 192.0.2.1:443: denied, by *.test (policy.toml:4)`.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_counted(1, f)
    }
}

impl Event {
    /// Its lines in a summary.
    pub(super) fn fmt_line(&self, count: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("  ")?;
        self.fmt_counted(count, f)?;
        if let Some(line) = self.remedy_line() {
            write!(f, "\n      {line}")?;
        }
        writeln!(f)
    }

    fn fmt_counted(&self, count: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what(), self.reason().map_or("allowed", Reason::name))?;
        if count != 1 {
            write!(f, " ({count} times)")?;
        }
        self.cited_rule().map_or(Ok(()), |rule| write!(f, ", by {rule}"))
    }
}
