//! Servers over TLS and HTTPS, with an authority of the test's own.

use std::{
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
    sync::atomic::{AtomicUsize, Ordering},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::*;

/// A certificate, its key, and the authority that signed it.
pub(super) struct Certified {
    pub(super) leaf: rcgen::Certificate,
    pub(super) key: KeyPair,
    pub(super) roots: RootCertStore,
}

/// For one name or address.
pub(super) fn certify(name: &str) -> Certified {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    leaf.use_authority_key_identifier_extension = true;
    let leaf = leaf.signed_by(&key, &authority).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    Certified { leaf, key, roots }
}

fn certificate(name: &str, protocols: &[&[u8]]) -> (TlsAcceptor, RootCertStore) {
    let Certified { leaf, key, roots } = certify(name);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), roots)
}

/// A server over TLS that counts what it answered.
struct Secured {
    at: SocketAddr,
    /// Nobody may ask here.
    plain: UdpSocket,
    roots: RootCertStore,
    answered: Arc<AtomicUsize>,
}

impl Secured {
    async fn new<F>(
        ip: IpAddr,
        certified: &str,
        protocols: &[&[u8]],
        serve: impl Fn(TlsStream<TcpStream>, Arc<AtomicUsize>) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (acceptor, roots) = certificate(certified, protocols);
        // The port that TCP has free may be another test's of UDP.
        let (listener, at, plain) = loop {
            let listener = TcpListener::bind((ip, 0)).await.unwrap();
            let at = listener.local_addr().unwrap();
            if let Ok(plain) = UdpSocket::bind(at) {
                break (listener, at, plain);
            }
        };
        plain.set_nonblocking(true).unwrap();
        let answered = Arc::<AtomicUsize>::default();
        let count = answered.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(stream, count.clone()));
                }
            }
        });
        Self { at, plain, roots, answered }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    async fn lookup(&self, server: DnsServer, roots: RootCertStore) -> LookupResult {
        self.servers(server, roots).lookup(&name("q.test")).await
    }

    fn servers(&self, server: DnsServer, roots: RootCertStore) -> NameServers {
        Self::within(server, Environment { roots: Some(roots), ..Environment::default() })
    }

    fn within(server: DnsServer, environment: Environment) -> NameServers {
        let settings =
            DnsSettings { servers: vec![server], timeout: TIMEOUT, ..DnsSettings::default() };
        NameServers::within(&settings, environment).unwrap()
    }

    /// Nothing came without TLS.
    fn assert_nothing_plain(&self) {
        let error = self.plain.recv_from(&mut [0; 512]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    }
}

/// RFC 7858; `most` answers a connection, then it is closed.
async fn dot(ip: IpAddr, certified: &str, most: usize) -> Secured {
    Secured::new(ip, certified, &[], move |mut stream, answered| async move {
        for _ in 0..most {
            let Ok(length) = stream.read_u16().await else { return };
            let mut query = vec![0; length.into()];
            stream.read_exact(&mut query).await.unwrap();
            let response = at_home(&Message::from_vec(&query).unwrap()).unwrap().to_vec().unwrap();
            let length = u16::try_from(response.len()).unwrap().to_be_bytes();
            answered.fetch_add(1, Ordering::Relaxed);
            stream.write_all(&[&length, response.as_slice()].concat()).await.unwrap();
        }
        let _ = stream.shutdown().await;
    })
    .await
}

/// RFC 8484 by POST, at one path.
async fn doh(ip: IpAddr, certified: &str, path: &'static str) -> Secured {
    Secured::new(ip, certified, &[b"h2"], move |stream, answered| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let answered = answered.clone();
            tokio::spawn(async move {
                let right = request.uri().path() == path
                    && request.headers()["content-type"] == "application/dns-message";
                let mut body = request.into_body();
                let mut query = Vec::new();
                while let Some(Ok(piece)) = body.data().await {
                    query.extend_from_slice(&piece);
                }
                let status = if right { 200 } else { 404 };
                let response = http::Response::builder()
                    .status(status)
                    .header("content-type", "application/dns-message")
                    .body(())
                    .unwrap();
                let mut sender = respond.send_response(response, !right).unwrap();
                if right {
                    answered.fetch_add(1, Ordering::Relaxed);
                    let message = at_home(&Message::from_vec(&query).unwrap()).unwrap();
                    sender.send_data(message.to_vec().unwrap().into(), true).unwrap();
                }
            });
        }
    })
    .await
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn home_found() -> Answer {
    found(&[], &["198.51.100.1", "2001:db8::1"])
}

fn tls(server: &Secured, certified: Option<&str>) -> DnsServer {
    DnsServer::Tls { address: server.at, name: certified.map(name) }
}

fn https(server: &Secured, certified: Option<&str>, path: &str) -> DnsServer {
    DnsServer::Https { address: server.at, name: certified.map(name), path: path.into() }
}

#[tokio::test]
async fn tls_is_believed_by_name_or_by_address() {
    for (ip, certified, written) in
        [(V4, "dns.test", Some("dns.test")), (V4, "127.0.0.1", None), (V6, "::1", None)]
    {
        let server = dot(ip, certified, usize::MAX).await;
        let looked = server.lookup(tls(&server, written), server.roots.clone()).await;
        assert_eq!(looked.answer, home_found(), "{certified}");
        assert_eq!(server.answered(), 2);
        server.assert_nothing_plain();
    }
}

#[tokio::test]
async fn a_wrong_certificate_is_a_failure_without_a_question() {
    let server = dot(V4, "dns.test", usize::MAX).await;
    let (_, strangers) = certificate("dns.test", &[]);
    for (written, roots) in [
        (Some("other.test"), server.roots.clone()),
        (None, server.roots.clone()),
        (Some("dns.test"), strangers),
    ] {
        let looked = server.lookup(tls(&server, written), roots).await;
        assert_eq!(looked.answer, Answer::ServFail, "{written:?}");
    }
    assert_eq!(server.answered(), 0);
    server.assert_nothing_plain();
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_never_asked_without() {
    let plain = NameServer::new(at_home);
    serve_tcp(plain.at, at_home);
    let (_, roots) = certificate("dns.test", &[]);
    let environment = Environment { roots: Some(roots), ..Environment::default() };
    let server = DnsServer::Tls { address: plain.at, name: None };
    let timeout = Duration::from_millis(500);
    let settings = DnsSettings { servers: vec![server], timeout, ..DnsSettings::default() };
    let servers = NameServers::within(&settings, environment).unwrap();
    let looked = servers.lookup(&name("q.test")).await;
    assert!(matches!(looked.answer, Answer::Timeout | Answer::ServFail), "{looked:?}");
    assert!(plain.asked().is_empty());
}

#[tokio::test]
async fn a_closed_connection_is_opened_again() {
    let server = dot(V4, "dns.test", 2).await;
    let clock = TestClock::default();
    let environment = Environment { roots: Some(server.roots.clone()), ..clock.environment() };
    let servers = Secured::within(tls(&server, Some("dns.test")), environment);
    for _ in 0..4 {
        // TTL 0: asked each time.
        assert_eq!(servers.lookup(&name("q.test")).await.answer, home_found());
        clock.pass_ms(500);
    }
    assert!(server.answered() >= 8);
}

#[tokio::test]
async fn a_tls_server_that_stalls_leaves_time_for_the_next() {
    let stalled = TcpListener::bind((V4, 0)).await.unwrap();
    let second = dot(V4, "dns.test", usize::MAX).await;
    let servers = [
        DnsServer::Tls { address: stalled.local_addr().unwrap(), name: Some(name("dns.test")) },
        tls(&second, Some("dns.test")),
    ];
    let timeout = Duration::from_secs(6);
    let settings = DnsSettings { servers: servers.to_vec(), timeout, ..DnsSettings::default() };
    let environment = Environment { roots: Some(second.roots.clone()), ..Environment::default() };
    let servers = NameServers::within(&settings, environment).unwrap();
    assert_eq!(servers.lookup(&name("q.test")).await.answer, home_found());
}

#[tokio::test]
async fn https_is_asked_at_its_path() {
    for (ip, certified, written) in [
        (V4, "dns.test", Some("dns.test")),
        (V4, "127.0.0.1", None),
        (V6, "dns.test", Some("dns.test")),
    ] {
        let server = doh(ip, certified, "/dns-query").await;
        let right = https(&server, written, "/dns-query");
        let looked = server.lookup(right, server.roots.clone()).await;
        assert_eq!(looked.answer, home_found(), "{certified}");
        assert_eq!(server.answered(), 2);
        let wrong = https(&server, written, "/other");
        let looked = server.lookup(wrong, server.roots.clone()).await;
        assert_eq!(looked.answer, Answer::ServFail);
        server.assert_nothing_plain();
    }
}

#[tokio::test]
async fn https_with_a_wrong_certificate_is_a_failure() {
    let server = doh(V4, "dns.test", "/dns-query").await;
    let other = https(&server, Some("other.test"), "/dns-query");
    let looked = server.lookup(other, server.roots.clone()).await;
    assert_eq!(looked.answer, Answer::ServFail);
    assert_eq!(server.answered(), 0);
}

#[tokio::test]
async fn https_to_an_ipv6_address_alone_is_an_error_with_advice() {
    let server = doh(V6, "::1", "/dns-query").await;
    let servers = vec![https(&server, None, "/dns-query")];
    let settings = DnsSettings { servers, ..DnsSettings::default() };
    let environment = Environment { roots: Some(server.roots.clone()), ..Environment::default() };
    let error = NameServers::within(&settings, environment).err().unwrap();
    assert!(error.to_string().contains("https://[::1]/dns-query#NAME"), "{error}");
}
