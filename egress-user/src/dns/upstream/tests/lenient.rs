//! What libc takes: half an answer, slow servers, servers that know no EDNS, or write lower case.

use std::{sync::Mutex, thread, time::Instant};

use super::*;

const V4: &str = "198.51.100.1";
const V6: &str = "2001:db8::1";

/// A server that answers each question so much later.
fn slow(after: Duration) -> NameServer {
    NameServer::raw((std::net::Ipv4Addr::LOCALHOST, 0).into(), move |socket, query, peer| {
        let (socket, response) = (socket.try_clone().unwrap(), at_home(query).unwrap());
        thread::spawn(move || {
            thread::sleep(after);
            let _ = socket.send_to(&response.to_vec().unwrap(), peer);
        });
    })
}

#[tokio::test]
async fn a_family_that_fails_leaves_the_other_standing() {
    let scripts: [(Script, &str); 6] = [
        (
            |query| {
                if is_a(query) { at_home(query) } else { failure(query, ResponseCode::ServFail) }
            },
            V4,
        ),
        (
            |query| if is_a(query) { at_home(query) } else { failure(query, ResponseCode::NotImp) },
            V4,
        ),
        (
            |query| {
                if is_a(query) { at_home(query) } else { failure(query, ResponseCode::Refused) }
            },
            V4,
        ),
        (
            |query| {
                if is_a(query) { failure(query, ResponseCode::ServFail) } else { at_home(query) }
            },
            V6,
        ),
        (|query| if is_a(query) { at_home(query) } else { None }, V4),
        (|query| if is_a(query) { None } else { at_home(query) }, V6),
    ];
    for (number, (script, stands)) in scripts.into_iter().enumerate() {
        let looked = answered_by(script).await;
        assert_eq!(looked.answer, found(&[], &[stands]), "{number}");
    }
    // Without addresses beside it, a failure is one.
    let nothing = |query: &Message| match is_a(query) {
        true => Some(reply(query)),
        false => failure(query, ResponseCode::ServFail),
    };
    assert_eq!(answered_by(nothing).await.answer, Answer::ServFail);
}

fn failure(query: &Message, code: ResponseCode) -> Option<Message> {
    Some(with_code(query, code))
}

#[tokio::test]
async fn silence_of_one_family_is_not_waited_for_to_the_end() {
    let half = NameServer::new(|query| if is_a(query) { at_home(query) } else { None });
    let patient = NameServer::new(|query| if is_a(query) { at_home(query) } else { None });
    let (short, long) = ([&half], [&patient]);
    // The other would be waited for for a minute.
    tokio::select! {
        biased;
        looked = lookup(&long, Duration::from_secs(60)) => {
            assert_eq!(looked.answer, found(&[], &[V4]));
        }
        () = tokio::time::sleep(Duration::from_secs(30)) => panic!("waited for the other family"),
    }
    assert_eq!(lookup(&short, Duration::from_millis(200)).await.answer, found(&[], &[V4]));
}

#[tokio::test]
async fn slow_servers_are_waited_for() {
    let patience = DnsSettings::default().timeout;
    assert_eq!(patience, Duration::from_secs(5));
    for after in [2500, 4000] {
        let server = slow(Duration::from_millis(after));
        let looked = lookup(&[&server], patience).await;
        assert_eq!(looked.answer, found(&[], &[V4, V6]), "after {after} ms");
    }
    // Each of two has more than half of that.
    let (first, second) = (slow(Duration::from_millis(1300)), slow(Duration::from_millis(1300)));
    assert_eq!(lookup(&[&first, &second], patience).await.answer, found(&[], &[V4, V6]));
    assert_eq!(second.asked(), [""; 0]);
}

#[tokio::test]
async fn no_servers_share_is_under_two_seconds() {
    let silent = [(); 3].map(|()| NameServer::new(|_| None));
    let last = slow(Duration::from_millis(1500));
    let all = [&silent[0], &silent[1], &silent[2], &last];
    assert_eq!(lookup(&all, Duration::from_secs(5)).await.answer, found(&[], &[V4, V6]));
    // But where less is given for all, that is the end.
    let begun = Instant::now();
    let quick = lookup(&all[..3], Duration::from_millis(100)).await;
    assert_eq!(quick.answer, Answer::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// A server that deals so with EDNS, and whether each question had it.
fn without_edns(to_edns: Script) -> (NameServer, Arc<Mutex<Vec<bool>>>) {
    let seen: Arc<Mutex<Vec<bool>>> = Arc::default();
    let note = seen.clone();
    let server = NameServer::new(move |query| {
        note.lock().unwrap().push(query.edns.is_some());
        if query.edns.is_some() { to_edns(query) } else { at_home(query) }
    });
    (server, seen)
}

#[tokio::test]
async fn a_server_that_knows_no_edns_is_asked_without_and_remembered() {
    let refusals: [(&str, Script); 4] = [
        ("FORMERR", |query| failure(query, ResponseCode::FormErr)),
        ("FORMERR without the question", |query| {
            let mut message = with_code(query, ResponseCode::FormErr);
            message.queries.clear();
            Some(message)
        }),
        ("NOTIMP", |query| failure(query, ResponseCode::NotImp)),
        ("silence", |_| None),
    ];
    for (what, script) in refusals {
        let (server, seen) = without_edns(script);
        let clock = TestClock::default();
        let servers = NameServers::within(&settings([server.at]), clock.environment()).unwrap();
        let ask = async || servers.lookup(&name("q.test")).await.answer;
        assert_eq!(ask().await, found(&[], &[V4, V6]), "{what}");
        assert!(seen.lock().unwrap().contains(&true), "{what}");
        seen.lock().unwrap().clear();
        // What is kept is over.
        clock.pass(60);
        assert_eq!(ask().await, found(&[], &[V4, V6]), "{what}");
        assert_eq!(*seen.lock().unwrap(), [false, false], "{what}");
        // Not for ever: a server may be mended.
        clock.pass(3600);
        seen.lock().unwrap().clear();
        assert_eq!(ask().await, found(&[], &[V4, V6]), "{what}");
        assert!(seen.lock().unwrap().contains(&true), "{what}");
    }
}

#[tokio::test]
async fn a_server_that_writes_lower_case_is_believed_where_it_has_no_tcp() {
    let lower = |query: &Message| {
        let mut message = at_home(query)?;
        let name = message.queries[0].name().to_lowercase();
        message.queries[0].set_name(name);
        Some(message)
    };
    let server = NameServer::new(lower);
    let clock = TestClock::default();
    let servers = NameServers::within(&settings([server.at]), clock.environment()).unwrap();
    let answer = servers.lookup(&name("q.test")).await.answer;
    assert_eq!(answer, found(&[], &[V4, V6]));
    // Remembered: one question each.
    server.asked();
    clock.pass(60);
    assert_eq!(servers.lookup(&name("q.test")).await.answer, answer);
    assert_eq!(server.asked(), ["q.test. A", "q.test. AAAA"]);
    // Over TCP it would be asked, and heard.
    let other = NameServer::new(lower);
    serve_tcp(other.at, |query| Some(with_code(query, ResponseCode::NXDomain)));
    let clock = TestClock::default();
    let servers = NameServers::within(&settings([other.at]), clock.environment()).unwrap();
    // Of a short name it may be that the letters that were drawn are the small ones.
    let long = "a-name-of-very-many-letters-indeed.test";
    assert_eq!(servers.lookup(&name(long)).await.answer, Answer::NxDomain);
}

#[tokio::test]
async fn sixteen_aliases_are_followed_and_no_more() {
    fn chain(query: &Message, length: usize) -> Option<Message> {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "h1.test."));
        for hop in 1..length {
            message.add_answer(cname(&format!("h{hop}.test."), &format!("h{}.test.", hop + 1)));
        }
        message.add_answer(home(query, &format!("h{length}.test."), 60));
        Some(message)
    }
    let looked = answered_by(|query| chain(query, 16)).await;
    let names: Vec<String> = (1..=16).map(|hop| format!("h{hop}.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(looked.answer, found(&names, &[V4, V6]));
    assert_eq!(answered_by(|query| chain(query, 17)).await.answer, Answer::ServFail);
}
