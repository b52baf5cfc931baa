//! Real sockets on loopback; the kernel's word for where a connection wanted to go is made up.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    dns::support::{Diary, name, policy},
    flow::{Flow, Flows, OriginalDestination, PeerAddress},
    pins::NEVER_NS,
    policy::Remedy,
    proxy::{Outbound, Transparent},
    record::{Heard, Subject, Verdict},
    sandbox::{PolicyWatch, SandboxState},
};

/// Every connection is for one destination.
struct To(SocketAddr);

impl Flows for To {
    fn take_tcp(&self, _: PeerAddress, _: SocketAddr) -> Option<Flow> {
        Some(Flow { original: OriginalDestination(self.0), cookie: 0, tgid: 1, uid: 1 })
    }

    fn udp(&self, _: PeerAddress) -> Option<Flow> {
        None
    }
}

#[tokio::test]
async fn an_observer_hears_of_what_passes_and_of_what_does_not() {
    let origin = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = origin.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = origin.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let watch = Arc::new(PolicyWatch::new(Arc::new(policy(&["allow a.test"]))));
    let state = SandboxState::new(7, watch, Arc::new(Diary::default()));
    let grant = state.policy().name(&name("a.test")).unwrap();
    let wanted = [(to.ip(), NEVER_NS)];
    state.pins().pin(&name("a.test"), &grant, &wanted, 0).unwrap();
    let heard = Arc::new(Heard::default());
    state.journal.set_observer(heard.clone());
    let proxy = Transparent::new(state.clone(), Arc::new(To(to)), Outbound::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(proxy.serve(listener));
    for request in [
        "GET /x?secret HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "POST /x?secret HTTP/1.1\r\nHost: b.test\r\n\r\n",
        "neither\n",
    ] {
        let mut client = TcpStream::connect(at).await.unwrap();
        client.write_all(request.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        let is_refused = answer.windows(4).any(|window| window == b" 403");
        assert_eq!(is_refused, request.starts_with("POST"), "{request}");
    }
    let heard = heard.events();
    let told: Vec<_> = heard.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            format!("http GET a.test/x at {to}: allowed, by a.test (egress.toml:1)"),
            format!("http b.test at {to}: host_mismatch"),
            format!("neither TLS nor HTTP to tcp {to}: allowed"),
        ]
    );
    assert!(
        heard.iter().all(|event| event.sandbox == 7 && event.grounds.names == [name("a.test")])
    );
    assert_eq!(heard[0].verdict, Verdict::Allow);
    assert_eq!(heard[1].remedy, Some(Remedy::AllowName(name("b.test"))));
    // What a program sends behind `?` is nobody's business.
    assert!(matches!(&heard[0].subject, Subject::Http { path: Some(path), .. } if *path == "/x"));
    // The refusal alone is in the summary.
    assert_eq!(state.journal.entries().len(), 1);
}
