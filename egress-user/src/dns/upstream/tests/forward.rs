//! Which servers are asked for which names, and in which order.

use super::*;
use crate::config::Forward;

fn forward(domain: &str, server: &NameServer) -> Forward {
    Forward { domain: name(domain), servers: vec![DnsServer::Address(server.at)] }
}

#[tokio::test]
async fn the_longest_domain_wins_and_nobody_else_hears_of_the_name() {
    let gone = || NameServer::new(|query| Some(with_code(query, ResponseCode::NXDomain)));
    let (others, corp, deep) = (gone(), gone(), gone());
    let settings = DnsSettings {
        forward: vec![forward("corp.test", &corp), forward("deep.corp.test", &deep)],
        ..settings([others.at])
    };
    let servers = NameServers::new(&settings, Writer::Nobody).unwrap();
    for (asked, expected) in [
        ("corp.test", &corp),
        ("a.b.corp.test", &corp),
        ("xdeep.corp.test", &corp),
        ("deep.corp.test", &deep),
        ("x.deep.corp.test", &deep),
        ("test", &others),
        ("notcorp.test", &others),
        ("corp.test.example", &others),
    ] {
        servers.lookup(&name(asked)).await;
        servers.records(&name(asked), RecordType::TXT).await;
        for server in [&others, &corp, &deep] {
            let count = if std::ptr::eq(server, expected) { 3 } else { 0 };
            assert_eq!(server.asked().len(), count, "{asked}");
        }
    }
}

#[tokio::test]
async fn when_the_servers_of_a_domain_fail_no_others_are_asked() {
    let soon = Duration::from_millis(200);
    for (broken, timeout, answer) in [
        ((|_| None) as Script, soon, Answer::Timeout),
        (|query| Some(with_code(query, ResponseCode::Refused)), TIMEOUT, Answer::ServFail),
    ] {
        let (others, corp) = (NameServer::new(at_home), NameServer::new(broken));
        let settings = DnsSettings {
            forward: vec![forward("q.test", &corp)],
            timeout,
            ..settings([others.at])
        };
        let servers = NameServers::new(&settings, Writer::Nobody).unwrap();
        assert_eq!(servers.lookup(&name("q.test")).await.answer, answer);
        assert!(others.asked().is_empty());
    }
}

#[tokio::test]
async fn a_silent_server_comes_last_for_a_while() {
    let (silent, second) = (NameServer::new(|_| None), NameServer::new(at_home));
    let clock = TestClock::default();
    let settings =
        DnsSettings { timeout: Duration::from_secs(4), ..settings([silent.at, second.at]) };
    let servers = NameServers::within(&settings, clock.environment()).unwrap();
    servers.lookup(&name("a.test")).await;
    assert!(!silent.asked().is_empty());
    servers.lookup(&name("b.test")).await;
    assert!(silent.asked().is_empty(), "asked first again");
    assert_eq!(second.asked().len(), 4);
    clock.pass(30);
    servers.lookup(&name("c.test")).await;
    assert!(!silent.asked().is_empty(), "never given another chance");
}

#[tokio::test]
async fn a_name_that_is_slow_on_purpose_does_not_move_the_others() {
    let first = NameServer::new(|query| {
        let slow = query.queries[0].name().to_lowercase() == wire("slow.test.");
        if slow { None } else { at_home(query) }
    });
    let (second, clock) = (NameServer::new(at_home), TestClock::default());
    let settings =
        DnsSettings { timeout: Duration::from_secs(4), ..settings([first.at, second.at]) };
    let servers = NameServers::within(&settings, clock.environment()).unwrap();
    let (slow, quick) = (name("slow.test"), name("q.test"));
    tokio::join!(servers.lookup(&slow), async {
        clock.pass(1);
        servers.lookup(&quick).await
    });
    first.asked();
    second.asked();
    assert!(matches!(servers.lookup(&name("b.test")).await.answer, Answer::Found { .. }));
    assert_eq!((first.asked().len(), second.asked().len()), (2, 0));
}
