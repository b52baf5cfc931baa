use std::net::SocketAddr;

use egress_common::Reason;
use hickory_proto::rr::RecordType;

use super::*;
use crate::{
    policy::{Action, Name, Origin, Pattern, Remedy, Rule, RuleOptions},
    record::{Grounds, Heard, Subject, Verdict},
};

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], port))
}

fn refusal(port: u16) -> Event {
    let subject = Subject::Address { protocol: 17, to: at(port) };
    Event::refused(subject, Reason::ProtocolNotAllowed)
}

fn lookup(name: &str, record_type: RecordType, reason: Reason) -> Event {
    Event::refused(Subject::Lookup { name: name.into(), record_type }, reason)
}

#[test]
fn a_name_prints_no_line_of_its_own() {
    let journal = Journal::default();
    let forged = "x\n  good.test: not_allowed\n      to allow: --allow evil.test\u{1b}[2K\u{202e}";
    let rule = Arc::new(Rule {
        text: forged.to_owned(),
        pattern: Pattern::Any,
        action: Action::Deny,
        options: RuleOptions::default(),
        origin: Origin::new(forged, Some(1)),
    });
    let (subject, remedy) = (
        Subject::Tls { to: at(443), server_name: Some(forged.into()), ech: false },
        Some(Remedy::AddMethod { method: forged.into(), rule: rule.clone() }),
    );
    let refused = Event::refused(subject, Reason::Denied);
    journal.refused(Event { rule: Some(rule), remedy, ..refused });
    let text = journal.to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(!text.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{text}");
}

#[test]
fn datagrams_are_told_where_no_tcp_went() {
    let journal = Journal::default();
    for port in [80, 123, 443] {
        journal.refused_datagram(port, refusal(port));
    }
    journal.note_attempt(80);
    journal.note_attempt(443);
    assert!(journal.is_empty());
    journal.flush_deferred();
    assert_eq!(journal.entries(), [(refusal(123), 1)]);
}

#[test]
fn a_summary_stays_short() {
    let journal = Journal::default();
    (0..2000).for_each(|port| journal.refused(refusal(port)));
    let text = journal.to_string();
    assert_eq!(text.lines().count(), 2 * MAX_SHOWN + 1);
    assert!(text.ends_with("  and 1950 more\n"), "{text}");
}

#[test]
fn what_reads_the_same_is_one_line() {
    let journal = Journal::default();
    let pinned = |names: &[&str]| Grounds {
        names: names.iter().map(|name| Name::parse(name).unwrap()).collect(),
        ..Grounds::default()
    };
    // A and AAAA, and whatever else is asked of a refused name.
    for record_type in [RecordType::A, RecordType::AAAA, RecordType::HTTPS] {
        journal.refused(lookup("evil.test", record_type, Reason::NotAllowed));
    }
    // Names of an address come and go.
    journal.refused(refusal(9).on(pinned(&["a.test"])));
    journal.refused(refusal(9).on(pinned(&["a.test", "b.test"])));
    journal.refused(lookup("down.test", RecordType::A, Reason::DnsFailed));
    journal.refused(lookup("down.test", RecordType::AAAA, Reason::DnsFailed));
    journal.refused(lookup("down.test", RecordType::TXT, Reason::DnsFailed));
    let text = journal.to_string();
    let refused = text.lines().filter(|line| !line.starts_with("      no line of a policy"));
    assert_eq!(
        refused.map(|line| format!("{line}\n")).collect::<String>(),
        "  evil.test: not_allowed (3 times)\n  \
         down.test: dns_failed (2 times)\n  \
         udp 192.0.2.1:9: protocol_not_allowed (2 times)\n  \
         down.test TXT: dns_failed\n"
    );
}

#[test]
fn an_observer_hears_of_each_decision_as_it_is() {
    let (journal, heard) = (Journal::new(7), Arc::new(Heard::default()));
    let allowed = || {
        let subject = Subject::Lookup { name: "a.test".into(), record_type: RecordType::A };
        Event::allowed(subject, None)
    };
    // Nobody hears: not even made.
    journal.allowed(|| panic!("an event for nobody"));
    journal.refused(refusal(1));
    journal.set_observer(heard.clone());
    journal.allowed(allowed);
    journal.refused(refusal(2));
    journal.refused(refusal(2));
    journal.refused_datagram(123, refusal(123));
    journal.flush_deferred();
    let heard = heard.events();
    assert!(heard.iter().all(|event| event.sandbox == 7), "{heard:?}");
    let verdicts: Vec<_> = heard.iter().map(|event| event.verdict).collect();
    let refused = Verdict::Refuse(Reason::ProtocolNotAllowed);
    assert_eq!(verdicts, [Verdict::Allow, refused, refused, refused]);
    assert_eq!(heard[3].subject, refusal(123).subject);
    // What was allowed is none of the summary's.
    assert_eq!(journal.entries().len(), 3);
}

#[test]
fn lookups_on_the_way_are_told_where_nothing_was_answered() {
    let name = |text: &str| Name::parse(text).unwrap();
    let asked = |text: &str| lookup(text, RecordType::A, Reason::NotAllowed);
    let journal = Journal::default();
    journal.refused_on_the_way(vec![name("a.test")], asked("_http._tcp.a.test"));
    journal.refused_on_the_way(vec![name("b.test")], asked("b.test.corp.test"));
    journal.refused_on_the_way(vec![name("b.test")], asked("b.test.corp.test"));
    journal.note_answered(&name("a.test"));
    assert!(journal.is_empty());
    journal.flush_deferred();
    assert_eq!(journal.entries(), [(asked("b.test.corp.test"), 2)]);
}

#[test]
fn a_lookup_of_a_service_is_not_told_beside_its_refused_host() {
    let name = |text: &str| Name::parse(text).unwrap();
    let asked = |text: &str| lookup(text, RecordType::A, Reason::NotAllowed);
    let journal = Journal::default();
    journal.refused_on_the_way(vec![name("a.test")], asked("_http._tcp.a.test"));
    journal.refused(asked("a.test"));
    // Of this one the host was not asked for; and the short name is not always the one that is meant.
    journal.refused_on_the_way(vec![name("b.test")], asked("_http._tcp.b.test"));
    journal.refused_on_the_way(vec![name("c.test")], asked("c.test.corp.test"));
    journal.refused(asked("c.test"));
    journal.flush_deferred();
    let told: Vec<_> = journal.entries().into_iter().map(|(event, _)| event).collect();
    let expected = ["_http._tcp.b.test", "a.test", "c.test.corp.test", "c.test"];
    assert_eq!(told, expected.map(asked));
}

#[test]
fn a_name_that_is_none_is_heard_of_and_refused_by_nobody() {
    let (journal, heard) = (Journal::default(), Arc::new(Heard::default()));
    journal.set_observer(heard.clone());
    journal.observe(lookup("a.test", RecordType::A, Reason::DnsFailed));
    assert!(journal.is_empty());
    assert_eq!(heard.events().len(), 1);
}

#[test]
fn what_no_line_helps_says_so_and_who_failed() {
    let journal = Journal::default();
    let failure = Some("no name server answered in time: 192.0.2.53".into());
    let event = lookup("a.test", RecordType::A, Reason::DnsFailed);
    journal.refused(event.on(Grounds { failure, ..Grounds::default() }));
    assert_eq!(
        journal.to_string(),
        "  a.test (no name server answered in time: 192.0.2.53): dns_failed\n      no line of a policy \
         changes it: look at the name, and at the name servers\n"
    );
}
