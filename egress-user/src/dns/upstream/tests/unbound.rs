//! Against a real resolver, Debian's unbound.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::{Ipv4Addr, TcpListener},
    process::{Child, Command, Stdio},
};

use rustls::RootCertStore;

use super::{secured::certify, *};

/// Ends with the test.
struct Unbound {
    child: Child,
    plain: SocketAddr,
    tls: SocketAddr,
    roots: RootCertStore,
    _folder: tempfile::TempDir,
}

impl Unbound {
    /// The zone `test.`, over UDP, TCP and TLS.
    fn start() -> Self {
        let free = || {
            let listener = TcpListener::bind((Ipv4Addr::new(127, 77, 0, 1), 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let (plain, tls) = (free(), free());
        let folder = tempfile::tempdir().unwrap();
        let certified = certify("dns.test");
        fs::write(folder.path().join("cert.pem"), certified.leaf.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), certified.key.serialize_pem()).unwrap();
        let texts: String = (0..40)
            .map(|n| format!("local-data: 'long.test. 60 TXT \"{n} {}\"'\n", "x".repeat(100)))
            .collect();
        let config = format!(
            "server:\n\
             directory: \"{folder}\"\n\
             interface: {ip}@{plain_port}\ninterface: {ip}@{tls_port}\ntls-port: {tls_port}\n\
             tls-service-key: key.pem\ntls-service-pem: cert.pem\n\
             do-daemonize: no\nuse-syslog: no\nlogfile: \"\"\nverbosity: 1\n\
             username: \"\"\nchroot: \"\"\npidfile: \"\"\naccess-control: 127.0.0.0/8 allow\n\
             local-zone: test. static\n\
             local-data: 'test. 60 SOA ns.test. admin.test. 1 2 3 4 7'\n\
             local-data: 'q.test. 60 A 198.51.100.1'\n\
             local-data: 'q.test. 30 AAAA 2001:db8::1'\n\
             local-data: 'v4.test. 60 A 198.51.100.4'\n\
             {texts}\
             remote-control:\ncontrol-enable: no\n",
            folder = folder.path().display(),
            ip = plain.ip(),
            plain_port = plain.port(),
            tls_port = tls.port(),
        );
        let path = folder.path().join("unbound.conf");
        fs::write(&path, config).unwrap();
        let mut child = Command::new("/usr/sbin/unbound")
            .arg("-c")
            .arg(path)
            .stderr(Stdio::piped())
            .spawn()
            .expect("this needs: apt-get install -y unbound");
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = said.by_ref().map_while(Result::ok).any(|l| l.contains("start of service"));
        assert!(started, "unbound ended");
        // It may go on writing.
        std::thread::spawn(move || said.for_each(drop));
        Self { child, plain, tls, roots: certified.roots, _folder: folder }
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
#[ignore = "needs unbound"]
async fn unbound_is_understood_over_udp_tcp_and_tls() {
    let unbound = Unbound::start();
    let by_tls = DnsServer::Tls { address: unbound.tls, name: Some(name("dns.test")) };
    for server in [DnsServer::Address(unbound.plain), by_tls] {
        let settings =
            DnsSettings { servers: vec![server], timeout: TIMEOUT, ..DnsSettings::default() };
        let clock = TestClock::default();
        let environment = Environment { roots: Some(unbound.roots.clone()), ..clock.environment() };
        let servers = NameServers::within(&settings, environment).unwrap();
        let looked = servers.lookup(&name("q.test")).await;
        assert_eq!(looked.answer, found(&[], &["198.51.100.1", "2001:db8::1"]));
        assert_eq!((looked.v4_ttl, looked.v6_ttl), (60, 30));
        let looked = servers.lookup(&name("v4.test")).await;
        assert_eq!(looked.answer, found(&[], &["198.51.100.4"]));
        assert_eq!(servers.lookup(&name("gone.test")).await.answer, Answer::NxDomain);
        let gone = servers.records(&name("gone.test"), RecordType::TXT).await;
        assert_eq!(gone, Records::NxDomain { ttl: 7 });
        // Four thousand bytes: truncated over UDP.
        let long = servers.records(&name("long.test"), RecordType::TXT).await;
        let Records::Found { chain, records, ttl } = long else { panic!("{long:?}") };
        assert_eq!((chain.len(), records.len(), ttl), (0, 40, 60));
    }
}
