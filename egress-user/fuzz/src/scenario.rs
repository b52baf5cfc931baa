//! Policies and targets of few parts, so that random ones meet.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use arbitrary::Arbitrary;
use egress_user::policy::{
    Action, Answer, Host, HttpRequest, Mode, Name, Origin, Pattern, Payload, Policy, PortRange,
    PortSet, Request, Rule, RuleOptions, Settings, Transport,
};
use ipnet::IpNet;

use super::reference;

/// Labels of every name; with three places they give names that are often below each other.
const LABELS: [&str; 3] = ["a", "b", "xn--bcher-kva"];

/// What addresses begin as: public, private, and every form that carries another address.
const BASES: [&str; 10] = [
    "8.8.8.8",
    "10.0.0.1",
    "127.0.0.1",
    "0.0.0.0",
    "168.63.129.16",
    "2606:4700::1",
    "::1",
    "64:ff9b::a00:1",
    "64:ff9b::808:808",
    "::ffff:0:a00:1",
];

const PORTS: [u16; 6] = [22, 80, 443, 53, 0, 8443];
/// Of rules, besides.
const RANGES: [(u16, u16); 2] = [(79, 90), (443, 30_000)];
/// Of requests, besides.
const EDGES: [u16; 7] = [78, 79, 90, 91, 442, 30_000, 30_001];
const METHODS: [&str; 3] = ["GET", "POST", "get"];
/// Of rules, those before [`AMBIGUOUS`]; of requests, all.
const PATHS: [&str; 7] = ["/a", "/a/", "/a/b", "/ab", "/", "/a/../b", "/a/%2e%2e/b"];
const AMBIGUOUS: usize = 5;

/// A name, by number.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct NameDraft(pub u8);

/// An address: one of a few, with noise behind its first bits.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct AddressDraft {
    /// Which.
    pub base: u8,
    /// Added.
    pub noise: u128,
    /// Bits that stay.
    pub keep: u8,
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum PatternDraft {
    /// `NAME`.
    Exact(NameDraft),
    /// `*.NAME`.
    Below(NameDraft),
    /// `**.NAME`.
    AtOrBelow(NameDraft),
    /// `*`, and the deny of a name.
    Any,
    /// One address.
    Address(AddressDraft),
    /// A block with a prefix of so many bits.
    Block(AddressDraft, u8),
}

/// A rule.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub struct RuleDraft {
    /// Whether it closes.
    pub deny: bool,
    /// What it is about.
    pub pattern: PatternDraft,
    /// One bit for each of the ports; none is every port.
    pub ports: u8,
    /// Nothing written, TCP, UDP, both.
    pub transports: u8,
    /// One bit for each of the methods; none is every method.
    pub methods: u8,
    /// Which prefix of paths; most numbers are none.
    pub path: u8,
}

/// What is known of the bytes.
#[derive(Clone, Copy, Debug, Arbitrary)]
pub enum PayloadDraft {
    /// Nothing.
    Unknown,
    /// TLS.
    Tls,
    /// A method and a path.
    Http(u8, u8),
    /// Neither.
    Opaque,
}

/// A target with what a lookup would give.
#[derive(Clone, Debug, Arbitrary)]
pub struct TargetDraft {
    /// A name, else an address.
    pub host: Result<NameDraft, AddressDraft>,
    /// Which port.
    pub port: u8,
    /// UDP, else TCP.
    pub udp: bool,
    /// What it carries.
    pub payload: PayloadDraft,
    /// The chain of the answer.
    pub chain: Option<NameDraft>,
    /// Its addresses.
    pub addresses: [Option<AddressDraft>; 2],
}

/// A policy, and what is asked of it.
#[derive(Clone, Debug, Arbitrary)]
pub struct Scenario {
    /// The rules.
    pub rules: Vec<RuleDraft>,
    /// A rule that is added.
    pub added: RuleDraft,
    /// `allow_local_binding`.
    pub local: bool,
    /// `mode = "limited"`.
    pub limited: bool,
    /// What is asked.
    pub targets: Vec<TargetDraft>,
}

impl NameDraft {
    /// The name; `localhost` is one of them.
    pub fn name(self) -> Name {
        let Self(mut number) = self;
        if number == u8::MAX {
            return parse("localhost");
        }
        let depth = number % 3;
        let mut text = String::from("test");
        for _ in 0..=depth {
            number /= 3;
            text = format!("{}.{text}", LABELS[usize::from(number) % LABELS.len()]);
        }
        parse(&text)
    }
}

fn parse(text: &str) -> Name {
    Name::parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

impl AddressDraft {
    /// The address, which need not be canonical.
    pub fn address(self) -> IpAddr {
        let text = BASES[usize::from(self.base) % BASES.len()];
        match text.parse() {
            Ok(IpAddr::V4(base)) => {
                let noise = (self.noise as u32).checked_shr(self.kept_bits(32));
                let address = Ipv4Addr::from_bits(base.to_bits() ^ noise.unwrap_or(0));
                // A few in the mapped form.
                if self.keep < 240 { address.into() } else { address.to_ipv6_mapped().into() }
            }
            Ok(IpAddr::V6(base)) => {
                let noise = self.noise.checked_shr(self.kept_bits(128)).unwrap_or(0);
                Ipv6Addr::from_bits(base.to_bits() ^ noise).into()
            }
            Err(error) => panic!("{text:?}: {error}"),
        }
    }

    /// Half of them differ from their base in the last few bits only, if at all.
    fn kept_bits(self, length: u32) -> u32 {
        let some = u32::from(self.keep / 2);
        if self.keep.is_multiple_of(2) { some % (length + 1) } else { length - some % 5 }
    }
}

impl RuleDraft {
    /// The rule; the line tells rules apart.
    pub fn rule(self, line: usize) -> Rule {
        let action = if self.deny { Action::Deny } else { Action::Allow };
        let pattern = match self.pattern {
            PatternDraft::Exact(name) => Pattern::Exact(name.name()),
            PatternDraft::Below(name) => Pattern::Below(name.name()),
            PatternDraft::AtOrBelow(name) => Pattern::AtOrBelow(name.name()),
            // No file denies `*`.
            PatternDraft::Any if self.deny => Pattern::Exact(NameDraft(0).name()),
            PatternDraft::Any => Pattern::Any,
            PatternDraft::Address(address) => Pattern::Address(address.address().to_canonical()),
            PatternDraft::Block(address, length) => {
                let address = address.address();
                let length = length % if address.is_ipv4() { 33 } else { 129 };
                let block = IpNet::new(address, length);
                Pattern::block(block.unwrap_or_else(|error| panic!("{address}/{length}: {error}")))
            }
        };
        let options = if self.deny { RuleOptions::default() } else { self.options() };
        let origin = Origin::new("fuzz.toml", u32::try_from(line).ok());
        Rule { text: pattern.to_string(), pattern, action, options, origin }
    }

    fn options(self) -> RuleOptions {
        let chosen = PORTS.iter().enumerate().filter(|(at, _)| self.ports >> at & 1 == 1);
        let ports = chosen.filter_map(|(_, &port)| PortRange::one(port));
        let ranges = RANGES.iter().enumerate().filter(|(at, _)| self.ports >> (6 + at) & 1 == 1);
        let ranges = ranges.filter_map(|(_, &(first, last))| PortRange::new(first, last));
        let ports: Vec<PortRange> = ports.chain(ranges).collect();
        let ports = if ports.is_empty() { PortSet::All } else { PortSet::of(ports) };
        let transport = match self.transports % 4 {
            0 => None,
            1 => Some(vec![Transport::Tcp]),
            2 => Some(vec![Transport::Udp]),
            _ => Some(vec![Transport::Tcp, Transport::Udp]),
        };
        let chosen = METHODS.iter().enumerate().filter(|(at, _)| self.methods >> at & 1 == 1);
        let methods: Box<[Box<str>]> = chosen.map(|(_, &method)| method.into()).collect();
        let methods = (!methods.is_empty()).then_some(methods);
        let path = PATHS[..AMBIGUOUS].get(usize::from(self.path));
        let paths = path.map(|&path| Box::from([Box::from(path)]));
        RuleOptions { ports, transport, methods, paths, ..RuleOptions::default() }
    }
}

impl TargetDraft {
    /// What is asked.
    pub fn request(&self) -> Request {
        let host = match self.host {
            Ok(name) => Host::Name(name.name()),
            Err(address) => Host::Address(address.address()),
        };
        let port = usize::from(self.port) % (PORTS.len() + EDGES.len());
        let port = PORTS.iter().chain(&EDGES).nth(port).copied().unwrap_or_default();
        let transport = if self.udp { Transport::Udp } else { Transport::Tcp };
        let payload = match self.payload {
            PayloadDraft::Unknown => Payload::Unknown,
            PayloadDraft::Tls => Payload::Tls,
            PayloadDraft::Opaque => Payload::Opaque,
            PayloadDraft::Http(method, path) => Payload::Http(HttpRequest {
                method: METHODS[usize::from(method) % METHODS.len()].into(),
                path: PATHS[usize::from(path) % PATHS.len()].into(),
            }),
        };
        Request { host, port, transport, payload }
    }

    /// What a lookup gives.
    pub fn answer(&self) -> Answer {
        let chain = self.chain.map(NameDraft::name).into_iter().collect();
        let addresses = self.addresses.iter().flatten().map(|address| address.address());
        Answer::Found { chain, addresses: addresses.collect() }
    }
}

impl Scenario {
    /// The settings.
    pub fn settings(&self) -> Settings {
        let mode = if self.limited { Mode::Limited } else { Mode::Full };
        Settings { allow_local_binding: self.local, mode, ..Settings::default() }
    }

    /// The rules, without the one that is added.
    pub fn rules(&self) -> Vec<Rule> {
        self.rules.iter().enumerate().map(|(at, draft)| draft.rule(at + 1)).collect()
    }

    /// The ends of every block, and what lies beside and carries them: off by one shows there.
    pub fn edges(&self) -> Vec<IpAddr> {
        let blocks = self.rules().into_iter().filter_map(|rule| match rule.pattern {
            Pattern::Address(address) => Some(IpNet::from(address)),
            Pattern::Block(block) => Some(block),
            _ => None,
        });
        let mut edges = Vec::new();
        for address in blocks.flat_map(|block| [block.network(), block.broadcast()]) {
            match address {
                IpAddr::V4(v4) => {
                    let bits = v4.to_bits();
                    edges.extend(
                        [bits.wrapping_sub(1), bits, bits.wrapping_add(1)]
                            .map(|bits| IpAddr::from(Ipv4Addr::from_bits(bits))),
                    );
                    edges.extend(reference::CARRIERS.map(|[a, b, c, d, e, f]| {
                        let [high, low] = [bits >> 16, bits & 0xffff].map(|half| half as u16);
                        IpAddr::from(Ipv6Addr::new(a, b, c, d, e, f, high, low))
                    }));
                }
                IpAddr::V6(v6) => {
                    let bits = v6.to_bits();
                    edges.extend(
                        [bits.wrapping_sub(1), bits, bits.wrapping_add(1)]
                            .map(|bits| IpAddr::from(Ipv6Addr::from_bits(bits)).to_canonical()),
                    );
                }
            }
        }
        edges
    }

    /// A policy of these rules.
    pub fn policy(&self, rules: &[Rule]) -> Policy {
        Policy::new(self.settings(), rules.to_vec())
    }
}
