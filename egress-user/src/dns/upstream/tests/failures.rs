//! Of a lookup that fails it is told which server did what.

use super::*;

const SOON: Duration = Duration::from_millis(1200);

/// What is told of a lookup, with the servers as `first`, `second`, ...
async fn told(scripts: &[Script], timeout: Duration) -> Option<String> {
    let servers: Vec<_> = scripts.iter().map(|script| NameServer::new(*script)).collect();
    let looked = lookup(&servers.iter().collect::<Vec<_>>(), timeout).await;
    let names = ["first", "second", "third"];
    let named = |text: String, (server, name): (&NameServer, &&str)| {
        text.replace(&server.at.to_string(), name)
    };
    looked.failure.map(|text| servers.iter().zip(&names).fold(text.to_string(), named))
}

const fn with(code: ResponseCode) -> Script {
    match code {
        ResponseCode::ServFail => |query| Some(with_code(query, ResponseCode::ServFail)),
        ResponseCode::Refused => |query| Some(with_code(query, ResponseCode::Refused)),
        ResponseCode::NotImp => |query| Some(with_code(query, ResponseCode::NotImp)),
        _ => |query| Some(with_code(query, ResponseCode::FormErr)),
    }
}

#[tokio::test]
async fn each_server_is_named_with_what_it_did() {
    const SILENT: Script = |_| None;
    let [failing, refusing] = [ResponseCode::ServFail, ResponseCode::Refused].map(with);
    for (scripts, timeout, text) in [
        (&[failing][..], TIMEOUT, "first answered SERVFAIL"),
        (&[refusing], TIMEOUT, "first answered REFUSED"),
        (&[with(ResponseCode::NotImp)], TIMEOUT, "first answered NOTIMP"),
        (&[with(ResponseCode::FormErr)], TIMEOUT, "first answered FORMERR"),
        (&[SILENT], SOON, "first did not answer"),
        (&[failing, refusing], TIMEOUT, "first answered SERVFAIL; second answered REFUSED"),
        (&[SILENT, refusing], SOON, "first did not answer; second answered REFUSED"),
        (&[refusing, SILENT], SOON, "first answered REFUSED; second did not answer"),
        // Of one family the one, of the other the other.
        (
            &[|query| match is_a(query) {
                true => Some(with_code(query, ResponseCode::ServFail)),
                false => Some(with_code(query, ResponseCode::Refused)),
            }],
            TIMEOUT,
            "first answered REFUSED; first answered SERVFAIL",
        ),
    ] {
        assert_eq!(told(scripts, timeout).await.as_deref(), Some(text));
    }
}

#[tokio::test]
async fn an_answer_that_is_not_believed_is_no_silence() {
    let loops: Script = |query| {
        let mut message = reply(query);
        message.add_answer(cname("q.test.", "q.test."));
        Some(message)
    };
    let text = told(&[loops], TIMEOUT).await.unwrap();
    assert!(text.starts_with("first gave an answer that is not believed: "), "{text}");
    assert!(text.ends_with("is a loop"), "{text}");
}

#[tokio::test]
async fn nothing_is_told_of_a_lookup_that_has_an_answer() {
    let gone: Script = |query| Some(with_code(query, ResponseCode::NXDomain));
    let empty: Script = |query| Some(reply(query));
    let [failing, ..] = [with(ResponseCode::ServFail)];
    for scripts in [&[at_home as Script][..], &[gone], &[empty], &[failing, at_home]] {
        assert_eq!(told(scripts, TIMEOUT).await, None);
    }
}

#[tokio::test]
async fn records_of_other_types_say_it_too() {
    let server = NameServer::new(with(ResponseCode::Refused));
    let servers = NameServers::new(&settings([server.at]), Writer::Nobody).unwrap();
    let failed = servers.records(&name("q.test"), RecordType::TXT).await;
    assert_eq!(failed, Records::Failed(Some(format!("{} answered REFUSED", server.at).into())));
}

#[tokio::test]
async fn a_server_that_is_not_there_cannot_be_asked() {
    let at = {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap()
    };
    let servers = NameServers::new(&settings([at]), Writer::Nobody).unwrap();
    let failure = servers.lookup(&name("q.test")).await.failure.unwrap();
    assert!(failure.starts_with(&at.to_string()), "{failure}");
}
