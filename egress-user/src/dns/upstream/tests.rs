//! Against a scripted name server on a real socket.

use std::{net::SocketAddr, sync::atomic::AtomicU64};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{RData, Record, rdata::A},
};

use super::*;
use crate::{dns::support::name, policy::Answer};

mod cached;
mod dnssec;
mod failures;
mod forged;
mod forward;
mod lenient;
mod secured;
pub(in crate::dns) mod server;
mod system;
mod unbound;

use server::{
    NameServer, Script, at_home, cname, found, home, is_a, reply, serve_tcp, wire, with_code,
};

/// Long enough for whatever answers.
const TIMEOUT: Duration = Duration::from_secs(5);

/// A clock that a test moves.
#[derive(Clone, Default)]
struct TestClock(Arc<AtomicU64>);

impl TestClock {
    fn pass(&self, seconds: u64) {
        self.pass_ms(seconds * 1000);
    }

    fn pass_ms(&self, milliseconds: u64) {
        self.0.fetch_add(milliseconds * 1_000_000, std::sync::atomic::Ordering::Relaxed);
    }

    fn environment(&self) -> Environment {
        let now_ns = self.0.clone();
        let clock = Arc::new(move || now_ns.load(std::sync::atomic::Ordering::Relaxed));
        Environment { clock, ..Environment::default() }
    }
}

fn settings(servers: impl IntoIterator<Item = SocketAddr>) -> DnsSettings {
    let servers = servers.into_iter().map(DnsServer::Address).collect();
    DnsSettings { servers, timeout: TIMEOUT, ..DnsSettings::default() }
}

async fn lookup(servers: &[&NameServer], timeout: Duration) -> LookupResult {
    let settings = DnsSettings { timeout, ..settings(servers.iter().map(|server| server.at)) };
    NameServers::new(&settings, Writer::Nobody).unwrap().lookup(&name("q.test")).await
}

async fn answered_by(script: Script) -> LookupResult {
    lookup(&[&NameServer::new(script)], TIMEOUT).await
}

#[tokio::test]
async fn asks_once_for_each_family_and_keeps_ttl_0() {
    let server = NameServer::new(at_home);
    let looked = lookup(&[&server], TIMEOUT).await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
    assert_eq!((looked.v4_ttl, looked.v6_ttl), (0, 30));
    assert_eq!(server.asked(), ["q.test. A", "q.test. AAAA"]);
}

#[tokio::test]
async fn special_names_are_nobody_elses_business() {
    let server = NameServer::new(|query| Some(with_code(query, ResponseCode::NXDomain)));
    let servers = NameServers::new(&settings([server.at]), Writer::Nobody).unwrap();
    let looked = servers.lookup(&name("x.localhost")).await;
    assert_eq!(looked.answer, Answer::NxDomain, "no 127.0.0.1 out of thin air");
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn unrelated_records_are_ignored() {
    let looked = answered_by(|query| {
        let mut message = reply(query);
        message.add_answer(home(query, "other.test.", 60));
        message.add_answer(cname("q.test.", "c.test."));
        message.add_additional(home(query, "q.test.", 60));
        if !is_a(query) {
            message.add_answer(home(query, "c.test.", 60));
        }
        Some(message)
    })
    .await;
    assert_eq!(looked.answer, found(&["c.test"], &["2001:db8::1"]));
}

#[tokio::test]
async fn long_chains_and_loops_fail() {
    let long = |query: &Message| {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "h1.test."));
        for hop in 1..20 {
            message.add_answer(cname(&format!("h{hop}.test."), &format!("h{}.test.", hop + 1)));
        }
        message.add_answer(home(query, "h20.test.", 60));
        Some(message)
    };
    assert_eq!(answered_by(long).await.answer, Answer::ServFail);
    let loops = |query: &Message| {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "b.test."));
        message.add_answer(cname("b.test.", "q.test."));
        Some(message)
    };
    assert_eq!(answered_by(loops).await.answer, Answer::ServFail);
}

#[tokio::test]
async fn no_such_name_and_no_data() {
    let gone = |query: &Message| Some(with_code(query, ResponseCode::NXDomain));
    assert_eq!(answered_by(gone).await.answer, Answer::NxDomain);
    let empty = |query: &Message| Some(reply(query));
    assert_eq!(answered_by(empty).await.answer, found(&[], &[]));
    let v4_only = |query: &Message| if is_a(query) { at_home(query) } else { Some(reply(query)) };
    assert_eq!(answered_by(v4_only).await.answer, found(&[], &["198.51.100.1"]));
    let no_aaaa_name = |query: &Message| match is_a(query) {
        true => at_home(query),
        false => Some(with_code(query, ResponseCode::NXDomain)),
    };
    assert_eq!(answered_by(no_aaaa_name).await.answer, found(&[], &["198.51.100.1"]));
}

#[tokio::test]
async fn contradicting_codes_are_not_believed() {
    let gone_but_here = |query: &Message| {
        let mut message = at_home(query)?;
        message.metadata.response_code = ResponseCode::NXDomain;
        Some(message)
    };
    assert_eq!(answered_by(gone_but_here).await.answer, Answer::NxDomain);
    let unknown = |query: &Message| {
        let mut message = at_home(query)?;
        message.metadata.response_code = ResponseCode::Unknown(12);
        Some(message)
    };
    assert_eq!(answered_by(unknown).await.answer, Answer::ServFail);
}

#[tokio::test]
async fn silence_is_a_timeout_within_the_time_given() {
    let (server, other) = (NameServer::new(|_| None), NameServer::new(|_| None));
    let timeout = Duration::from_millis(200);
    // The first of two that began together to end: how long that takes is the machine's affair.
    let (short, long) = ([&server], [&other]);
    tokio::select! {
        biased;
        _ = lookup(&long, Duration::from_secs(60)) => panic!("the longer time was over first"),
        looked = lookup(&short, timeout) => assert_eq!(looked.answer, Answer::Timeout),
    }
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_is_silent_or_fails() {
    for broken in [
        (|_| None) as Script,
        |query| Some(with_code(query, ResponseCode::ServFail)),
        |query| Some(with_code(query, ResponseCode::Refused)),
    ] {
        let (first, second) = (NameServer::new(broken), NameServer::new(at_home));
        let looked = lookup(&[&first, &second], Duration::from_secs(4)).await;
        assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
    }
    // But its word counts when it has one.
    let first = NameServer::new(|query| Some(with_code(query, ResponseCode::NXDomain)));
    let second = NameServer::new(at_home);
    assert_eq!(lookup(&[&first, &second], TIMEOUT).await.answer, Answer::NxDomain);
    assert!(second.asked().is_empty());
}

#[tokio::test]
async fn truncated_answers_are_asked_for_again_over_tcp() {
    let server = NameServer::new(|query| {
        let mut message = reply(query);
        message.metadata.truncation = true;
        Some(message)
    });
    serve_tcp(server.at, at_home);
    let looked = lookup(&[&server], TIMEOUT).await;
    assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
}

#[tokio::test]
async fn an_answer_truncated_over_tcp_too_is_a_failure() {
    let cut = |query: &Message| {
        let mut message = at_home(query)?;
        message.metadata.truncation = true;
        Some(message)
    };
    let server = NameServer::new(cut);
    serve_tcp(server.at, cut);
    assert_eq!(lookup(&[&server], TIMEOUT).await.answer, Answer::ServFail);
}

#[test]
fn no_servers_is_an_error_with_advice() {
    let error = NameServers::new(&settings([]), Writer::Nobody).err().unwrap();
    assert!(error.to_string().contains("servers"), "{error}");
}
