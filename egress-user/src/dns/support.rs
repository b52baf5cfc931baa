//! The test world of DNS: a policy in words, a scripted upstream, a sink that keeps a diary.

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex},
};

use egress_common::pin::Ports;
use hickory_proto::{
    op::{Edns, Message, OpCode, Query as Question, ResponseCode},
    rr::{self, RData, RecordType},
};

use super::{LookupResult, Records, Service, Settings, Upstream};
use crate::{
    flow::{Flow, Flows, OriginalDestination, PeerAddress},
    pins::{Opening, PinStore, Pins},
    policy::{self, Action, Answer, MatchedRules, Name, Origin, Pattern, Policy, Rule},
    sandbox::{PolicyWatch, SandboxState},
};

pub(crate) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn grant(pattern: &str) -> MatchedRules {
    Arc::new(rule(&format!("allow {pattern}"), 1)).into()
}

/// `allow example.com` or `deny **.example.com`.
fn rule(line: &str, number: u32) -> Rule {
    let (action, text) = line.split_once(' ').unwrap();
    let action = if action == "deny" { Action::Deny } else { Action::Allow };
    let options = policy::RuleOptions::default();
    let origin = Origin::new("egress.toml", Some(number));
    let pattern = Pattern::parse_domain(text, action).unwrap();
    Rule { text: text.into(), pattern, action, options, origin }
}

pub(crate) fn policy(lines: &[&str]) -> Policy {
    let settings = policy::Settings::default();
    let rules = lines.iter().zip(1..).map(|(line, number)| rule(line, number));
    Policy::new(settings, rules.collect())
}

/// What happened, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Lookup(String),
    Records(String, RecordType),
    Pin(IpAddr, u64),
    Unpin(IpAddr),
    Expire(IpAddr),
}

/// Sink and upstream in one, so that their order shows.
#[derive(Default)]
pub(crate) struct Diary {
    entries: Mutex<Vec<Entry>>,
    fails_at: Mutex<Option<IpAddr>>,
    answers: Mutex<HashMap<String, LookupResult>>,
    records: Mutex<HashMap<(String, RecordType), Records>>,
    /// Closed: lookups wait.
    gate: Mutex<Option<tokio::sync::watch::Receiver<bool>>>,
    before_pin: Mutex<Option<Box<dyn Fn() + Send>>>,
    kept: Mutex<Option<String>>,
}

impl Diary {
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    pub(crate) fn lookups(&self) -> usize {
        self.entries().iter().filter(|entry| matches!(entry, Entry::Lookup(_))).count()
    }

    /// What the sink holds.
    pub(crate) fn open(&self) -> HashMap<IpAddr, u64> {
        let mut open = HashMap::new();
        for entry in self.entries() {
            match entry {
                Entry::Pin(address, expires_ns) => drop(open.insert(address, expires_ns)),
                Entry::Unpin(address) | Entry::Expire(address) => drop(open.remove(&address)),
                Entry::Lookup(_) | Entry::Records(..) => {}
            }
        }
        open
    }

    pub(crate) fn fail_at(&self, at: Option<IpAddr>) {
        *self.fails_at.lock().unwrap() = at;
    }

    pub(crate) fn script(&self, name: &str, answer: Answer) {
        let looked = LookupResult { answer, v4_ttl: 60, v6_ttl: 30, failure: None };
        self.answers.lock().unwrap().insert(name.into(), looked);
    }

    /// Scripts the answer to a question for another type.
    pub(crate) fn script_records(&self, name: &str, record_type: RecordType, records: Records) {
        self.records.lock().unwrap().insert((name.into(), record_type), records);
    }

    /// From here on nobody would be asked for the name.
    pub(crate) fn keep(&self, name: &str) {
        *self.kept.lock().unwrap() = Some(name.to_owned());
    }

    pub(crate) fn before_pin(&self, probe: impl Fn() + Send + 'static) {
        *self.before_pin.lock().unwrap() = Some(Box::new(probe));
    }

    /// Lookups wait until `true` is sent.
    pub(crate) fn gate(&self) -> tokio::sync::watch::Sender<bool> {
        let (open, gate) = tokio::sync::watch::channel(false);
        *self.gate.lock().unwrap() = Some(gate);
        open
    }
}

impl PinStore for Diary {
    fn pin(&self, address: IpAddr, opening: &Opening) -> io::Result<()> {
        if let Some(probe) = &*self.before_pin.lock().unwrap() {
            probe();
        }
        if *self.fails_at.lock().unwrap() == Some(address) {
            return Err(io::Error::other("map full"));
        }
        self.entries.lock().unwrap().push(Entry::Pin(address, opening.expires_ns));
        Ok(())
    }

    fn unpin(&self, address: IpAddr) {
        self.entries.lock().unwrap().push(Entry::Unpin(address));
    }

    fn expire(&self, address: IpAddr, _ports: Ports) {
        self.entries.lock().unwrap().push(Entry::Expire(address));
    }
}

impl Upstream for Diary {
    fn kept(&self, name: &Name) -> Option<LookupResult> {
        let is_kept = self.is_kept(name, RecordType::A);
        is_kept.then(|| self.answers.lock().unwrap().get(name.as_str()).cloned()).flatten()
    }

    fn is_kept(&self, name: &Name, _record_type: RecordType) -> bool {
        self.kept.lock().unwrap().as_deref() == Some(name.as_str())
    }

    fn lookup<'a>(
        &'a self,
        name: &'a Name,
    ) -> Pin<Box<dyn Future<Output = LookupResult> + Send + 'a>> {
        self.entries.lock().unwrap().push(Entry::Lookup(name.as_str().into()));
        let answer = self.answers.lock().unwrap().get(name.as_str()).cloned();
        let gate = self.gate.lock().unwrap().clone();
        Box::pin(async move {
            if let Some(mut gate) = gate {
                gate.wait_for(|open| *open).await.unwrap();
            }
            answer.unwrap_or_else(|| LookupResult::failed(Answer::NxDomain))
        })
    }

    fn records<'a>(
        &'a self,
        name: &'a Name,
        record_type: RecordType,
    ) -> Pin<Box<dyn Future<Output = Records> + Send + 'a>> {
        let of = (name.as_str().to_owned(), record_type);
        self.entries.lock().unwrap().push(Entry::Records(of.0.clone(), of.1));
        let records = self.records.lock().unwrap().get(&of).cloned();
        Box::pin(async { records.unwrap_or(Records::NxDomain { ttl: 60 }) })
    }
}

/// Knows every socket, or none.
pub(crate) struct Everybody(pub(super) bool);

impl Everybody {
    fn flow(&self) -> Option<Flow> {
        let original = OriginalDestination(SocketAddr::from(([192, 0, 2, 53], 53)));
        self.0.then_some(Flow { original, cookie: 0, tgid: 1, uid: 1 })
    }
}

impl Flows for Everybody {
    fn take_tcp(&self, _peer: PeerAddress, _at: SocketAddr) -> Option<Flow> {
        self.flow()
    }

    fn udp(&self, _peer: PeerAddress) -> Option<Flow> {
        self.flow()
    }
}

/// A sandbox's DNS with everything around it scripted.
pub(crate) struct World {
    pub(crate) diary: Arc<Diary>,
    pub(crate) service: Arc<Service>,
    pub(crate) sandbox: Arc<SandboxState>,
}

impl World {
    pub(crate) fn new(rules: &[&str]) -> Self {
        Self::with(rules, Settings::default(), true)
    }

    pub(crate) fn with(rules: &[&str], settings: Settings, knows_peers: bool) -> Self {
        let diary = Arc::new(Diary::default());
        Self::of(rules, settings, knows_peers, diary.clone(), diary)
    }

    /// Asks these name servers, which other sandboxes may ask too.
    pub(crate) fn asking(rules: &[&str], upstream: Arc<dyn Upstream>) -> Self {
        Self::of(rules, Settings::default(), true, Arc::default(), upstream)
    }

    fn of(
        rules: &[&str],
        settings: Settings,
        knows_peers: bool,
        diary: Arc<Diary>,
        upstream: Arc<dyn Upstream>,
    ) -> Self {
        let policy = Arc::new(PolicyWatch::new(Arc::new(policy(rules))));
        let sandbox = SandboxState::new(1, policy, diary.clone());
        let peers = Arc::new(Everybody(knows_peers));
        let service = Service::new(sandbox.clone(), settings, upstream, peers);
        Self { diary, service, sandbox }
    }

    /// Scripts the answer to a name: addresses, without a chain.
    pub(crate) fn knows(self, name: &str, addresses: &[&str]) -> Self {
        let addresses = addresses.iter().map(|text| address(text)).collect();
        self.diary.script(name, Answer::Found { chain: vec![], addresses });
        self
    }

    /// One lookup, for its effects.
    pub(crate) async fn look_up(&self, name: &str) {
        self.ask(name, RecordType::A).await;
    }

    pub(crate) fn pins(&self) -> &Pins {
        self.sandbox.pins()
    }

    pub(crate) async fn ask(&self, name: &str, record_type: RecordType) -> Message {
        let asked = ask(name, record_type);
        let response = self
            .service
            .answer(&asked, super::answer::Carrier::Udp, self.service.admit())
            .await
            .unwrap();
        Message::from_vec(&response).unwrap()
    }

    /// Reasons in the journal, each as `what reason`.
    pub(crate) fn noted(&self) -> Vec<String> {
        let entries = self.sandbox.journal.entries();
        entries
            .iter()
            .map(|(r, _)| format!("{} {}", r.what(), r.reason().unwrap().name()))
            .collect()
    }
}

/// A query with EDNS, RD and the id 7.
pub(crate) fn query(name: &str, record_type: RecordType) -> Message {
    let mut message = Message::new(7, hickory_proto::op::MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Question::query(rr::Name::from_ascii(name).unwrap(), record_type));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message
}

pub(crate) fn ask(name: &str, record_type: RecordType) -> Vec<u8> {
    query(name, record_type).to_vec().unwrap()
}

/// The addresses of an answer.
pub(crate) fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |record: &rr::Record| match &record.data {
        RData::A(a) => IpAddr::V4(a.0),
        RData::AAAA(aaaa) => IpAddr::V6(aaaa.0),
        other => panic!("{other:?}"),
    };
    message.answers.iter().map(address).collect()
}

/// Info code and text of the Extended DNS Error.
pub(crate) fn extended(message: &Message) -> Option<(u16, String)> {
    use hickory_proto::rr::rdata::opt::EdnsOption;
    match message.edns.as_ref()?.option(15.into())? {
        EdnsOption::Unknown(15, data) => {
            let (code, text) = data.split_first_chunk().unwrap();
            Some((u16::from_be_bytes(*code), String::from_utf8(text.to_vec()).unwrap()))
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn code(message: &Message) -> ResponseCode {
    message.metadata.response_code
}
