//! The system's servers, which change.

use std::{fs, net::Ipv4Addr, path::Path};

use super::*;

/// As resolvconf and its like do.
fn write(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

fn by_host(last: u8) -> impl Fn(&Message) -> Option<Message> + Send {
    move |query| {
        let mut message = reply(query);
        if is_a(query) {
            let data = RData::A(A::new(198, 51, 100, last));
            message.add_answer(Record::from_rdata(wire("q.test."), 3600, data));
        }
        Some(message)
    }
}

#[tokio::test]
async fn a_changed_resolv_conf_counts_for_the_next_lookup_and_a_broken_one_does_not() {
    let old = NameServer::new(by_host(1));
    let new_at = (Ipv4Addr::new(127, 0, 0, 2), old.at.port()).into();
    let new = NameServer::at(new_at, by_host(2));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    write(&path, &format!("nameserver {}\n", old.at.ip()));
    let clock = TestClock::default();
    let environment = Environment {
        resolv_conf: path.clone(),
        system_port: old.at.port(),
        ..clock.environment()
    };
    let settings = DnsSettings { timeout: TIMEOUT, ..DnsSettings::default() };
    let servers = NameServers::within(&settings, environment).unwrap();
    let answer_is = async |last: u8| {
        clock.pass(1);
        let looked = servers.lookup(&name("q.test")).await;
        assert_eq!(looked.answer, found(&[], &[format!("198.51.100.{last}").as_str()]));
    };
    answer_is(1).await;
    for broken in ["", "search corp.test\n", "nameserver not-an-address\n"] {
        write(&path, broken);
        answer_is(1).await;
    }
    fs::remove_file(&path).unwrap();
    answer_is(1).await;
    write(&path, "nameserver 127.0.0.2\n");
    answer_is(2).await;
    // Written anew with the same servers: what is known stays.
    new.asked();
    write(&path, "# by a DHCP client\nnameserver 127.0.0.2\n");
    answer_is(2).await;
    assert!(new.asked().is_empty());
}

#[tokio::test]
async fn a_resolv_conf_that_cannot_be_read_is_an_error_with_advice() {
    let folder = tempfile::tempdir().unwrap();
    let resolv_conf = folder.path().to_owned();
    let environment = Environment { resolv_conf, ..Environment::default() };
    let error = NameServers::within(&DnsSettings::default(), environment).err().unwrap();
    let text = error.to_string();
    let path = folder.path().display().to_string();
    assert!(text.contains(&path) && text.contains("[network.dns]"), "{text}");
}

#[tokio::test]
async fn without_a_resolv_conf_lookups_fail_and_nothing_else_does() {
    // A port of loopback where nobody listens.
    let system_port = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let system_port = system_port.local_addr().unwrap().port();
    let resolv_conf = "/nonexistent/resolv.conf".into();
    let environment = Environment { resolv_conf, system_port, ..Environment::default() };
    let servers = NameServers::within(&DnsSettings::default(), environment).unwrap();
    let answer = servers.lookup(&name("q.test")).await.answer;
    assert!(matches!(answer, Answer::ServFail | Answer::Timeout), "{answer:?}");
}
