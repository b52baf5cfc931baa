//! Decisions: what must hold for any policy and any target.
use std::net::IpAddr;

use arbitrary::{Arbitrary, Unstructured};
use egress_common::Reason;
use egress_user::{
    pins::ports_of,
    policy::{
        Action, AddressEntry, Answer, Decision, Host, LOCALHOST_ADDRESSES, Lookup, Name, Payload,
        Policy, Request, Rule, Settings, Transport,
    },
};

use super::{
    kernel, reference,
    scenario::{Scenario, TargetDraft},
};

/// More rules than this only take time.
const RULES: usize = 12;
const TARGETS: usize = 12;

/// Bytes that [`Scenario`] is made of.
pub fn run(data: &[u8]) {
    let Ok(mut scenario) = Scenario::arbitrary_take_rest(Unstructured::new(data)) else { return };
    scenario.rules.truncate(RULES);
    scenario.targets.truncate(TARGETS);
    judge(&scenario);
}

/// Every property, of every target.
pub fn judge(scenario: &Scenario) {
    agrees_with_reference(scenario);
    order_is_nothing(scenario);
    one_more_rule(scenario);
    agrees_with_kernel(scenario);
}

/// The engine decides as the slow matcher does.
pub fn agrees_with_reference(scenario: &Scenario) {
    let rules = scenario.rules();
    let policy = scenario.policy(&rules);
    let answer = Answer::NxDomain;
    let edges = scenario.edges().into_iter().map(|address| {
        let (host, port, transport) = (Host::Address(address), 80, Transport::Tcp);
        (Request { host, port, transport, payload: Payload::Unknown }, answer.clone())
    });
    let targets = scenario.targets.iter().map(|target| (target.request(), target.answer()));
    for (request, answer) in targets.chain(edges) {
        let expected = reference::decide(policy.settings(), &rules, &request, &answer);
        let decided = decide(&policy, &request, &answer);
        assert_eq!(decided, expected, "{request:?} {answer:?} {rules:#?}");
    }
}

/// The order of rules changes no decision.
pub fn order_is_nothing(scenario: &Scenario) {
    let mut rules = scenario.rules();
    let policy = scenario.policy(&rules);
    rules.reverse();
    let reversed = scenario.policy(&rules);
    for target in &scenario.targets {
        let (request, answer) = (target.request(), target.answer());
        let decided = decide(&policy, &request, &answer);
        assert_eq!(decided, decide(&reversed, &request, &answer), "{request:?} {rules:#?}");
    }
}

/// One rule more changes only what it may; see the text of the function behind this one.
pub fn one_more_rule(scenario: &Scenario) {
    let rules = scenario.rules();
    let added = scenario.added.rule(rules.len() + 1);
    let policy = scenario.policy(&rules);
    let larger = scenario.policy(&[&rules[..], std::slice::from_ref(&added)].concat());
    for target in &scenario.targets {
        let (request, answer) = (target.request(), target.answer());
        let decided = (decide(&policy, &request, &answer), decide(&larger, &request, &answer));
        added_rule(&added, &rules, target, policy.settings(), (&decided.0, &decided.1));
    }
}

/// A name is looked up at most once, and never one that is not allowed.
struct Once<'a> {
    name: &'a Host,
    answer: &'a Answer,
    asked: bool,
}

impl Lookup for Once<'_> {
    fn lookup(&mut self, name: &Name) -> Answer {
        assert!(!self.asked, "{name} is looked up twice");
        assert_eq!(self.name, &Host::Name(name.clone()));
        assert!(!name.is_localhost());
        self.asked = true;
        self.answer.clone()
    }
}

type Decided = Result<Vec<IpAddr>, Reason>;

fn decide(policy: &Policy, request: &Request, answer: &Answer) -> Decided {
    let mut lookup = Once { name: &request.host, answer, asked: false };
    let decision = policy.decide(request, &mut lookup);
    match decision {
        Decision::Allow { grant, addresses } => {
            assert!(grant.opens(request.port, request.transport));
            assert!(addresses.iter().all(|address| policy.denied_address(*address).is_none()));
            Ok(addresses)
        }
        Decision::Refuse(refusal) => {
            let before_lookup = [Reason::NotAllowed, Reason::PortNotAllowed];
            assert!(!(lookup.asked && before_lookup.contains(&refusal.reason)), "{refusal}");
            Err(refusal.reason)
        }
    }
}

/// What one rule more may change.
///
/// A deny only ever refuses, and says `denied` unless something else was wrong before. An allow
/// changes nothing for hosts that it does not match, never takes back what row 1 denies, and turns a
/// `denied` of row 7 at most into another refusal. It may close a target only where it is alone the
/// most specific rule and would not let the target pass (port, transport, mode, method, path): its
/// options are then those that hold.
fn added_rule(
    added: &Rule,
    rules: &[Rule],
    target: &TargetDraft,
    settings: &Settings,
    decided: (&Decided, &Decided),
) {
    let (request, answer) = (target.request(), target.answer());
    let (before, after) = decided;
    let told = || format!("{request:?} {answer:?}: {before:?}, then {after:?} with {added}");
    if added.action == Action::Deny {
        assert!(before.is_ok() || after.is_err(), "a deny opens {}", told());
        assert!(before == after || *after == Err(Reason::Denied), "{}", told());
        return;
    }
    if !reference::matches(&added.pattern, &request.host) {
        assert_eq!(before, after, "an allow of something else changes {}", told());
    }
    let denied = match &request.host {
        Host::Name(name) => reference::denies_name(rules, name),
        Host::Address(address) => reference::denies_address(rules, *address),
    };
    if denied {
        assert_eq!(*after, Err(Reason::Denied), "an allow takes back a deny: {}", told());
    }
    if *before == Err(Reason::Denied) {
        assert!(after.is_err(), "an allow overrides a deny: {}", told());
    }
    if before.is_ok() && after.is_err() {
        let rivals = reference::most_specific(rules, &request.host);
        assert!(rivals.iter().all(|rule| rule.pattern != added.pattern), "{}", told());
        let passes = reference::passes(added, settings.mode, &request);
        assert_eq!(passes.err(), after.clone().err(), "{}", told());
    }
}

/// The kernel refuses no TCP connection that the engine allows, and lets none pass but where it
/// cannot know better: ports under `*`.
pub fn agrees_with_kernel(scenario: &Scenario) {
    let policy = scenario.policy(&scenario.rules());
    let rules = policy.address_entries();
    for address in scenario.edges() {
        address_agrees_with_kernel(&policy, &rules, address, 80);
    }
    for target in &scenario.targets {
        let Request { host, port, .. } = target.request();
        // The DNS proxy takes 53 before any rule; 0 is no port.
        if port == 53 || port == 0 {
            continue;
        }
        match host {
            Host::Address(address) => address_agrees_with_kernel(&policy, &rules, address, port),
            Host::Name(name) => {
                let answer = match name.is_localhost() {
                    true => Answer::Found { chain: vec![], addresses: LOCALHOST_ADDRESSES.into() },
                    false => target.answer(),
                };
                let Ok(grant) = policy.name(&name) else { continue };
                let Ok((grant, pins)) = policy.judge_lookup(&name, &grant, &answer) else {
                    continue;
                };
                let ports = ports_of(&grant.tcp_ports());
                let allowed = grant.opens(port, Transport::Tcp);
                for &pin in pins {
                    let reaches = kernel::pinned_reaches_proxy(&rules, pin, ports, port);
                    assert_eq!(reaches, allowed, "{name} at {pin}, port {port}: {rules:#?}");
                }
            }
        }
    }
}

fn address_agrees_with_kernel(policy: &Policy, rules: &[AddressEntry], address: IpAddr, port: u16) {
    let reaches = kernel::reaches_proxy(policy, rules, address, port);
    let allowed = policy.address(address).is_ok_and(|grant| grant.opens(port, Transport::Tcp));
    let by_rule = kernel::longest_match(rules, address).is_some();
    let exact = by_rule || !policy.allows_public();
    let agree = if exact { reaches == allowed } else { reaches || !allowed };
    assert!(agree, "{address}:{port} kernel {reaches}, engine {allowed}: {rules:#?}");
}
