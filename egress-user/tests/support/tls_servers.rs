//! TLS servers of several makes that ask every client for a second hello (HelloRetryRequest), and one that speaks
//! through a relay which cuts all that it says into single bytes.
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::certificates::Retrying;
use super::processes::eventually;
use super::world::World;

/// `openssl s_server`.
pub(crate) const OPENSSL: u16 = 4431;
/// `gnutls-serv`.
pub(crate) const GNUTLS: u16 = 4432;
/// rustls.
pub(crate) const RUSTLS: u16 = 4433;
/// OpenSSL behind a relay of single bytes.
pub(crate) const IN_BYTES: u16 = 4434;
pub(crate) const ALL: [u16; 4] = [OPENSSL, GNUTLS, RUSTLS, IN_BYTES];

/// So many bytes of an answer are cut; more than any HelloRetryRequest or head of a ServerHello has.
const CUT: usize = 120;

/// The running servers, on every address of the far side.
pub(crate) struct TlsServers<'w> {
    world: &'w World,
    children: Vec<Child>,
    stop: Arc<AtomicBool>,
}

impl<'w> TlsServers<'w> {
    pub(crate) fn on(world: &'w World) -> Self {
        let Retrying { certificate, key, config } = Retrying::new();
        let certificate = world.file("retry.pem", certificate).display().to_string();
        let key = world.file("retry.key", key).display().to_string();
        let log = std::fs::File::create(world.path("openssl.log")).expect("make a log");
        let (openssl_port, gnutls_port) = (OPENSSL.to_string(), GNUTLS.to_string());
        let openssl: &[&str] =
            &["s_server", "-accept", &openssl_port, "-cert", &certificate, "-key", &key];
        // With a second certificate it tells which name it serves.
        let names = ["-servername", "nobody.test", "-cert2", &certificate, "-key2", &key];
        let openssl = [openssl, &names, &["-groups", "P-384", "-www"]].concat();
        let gnutls = [
            "--port",
            &gnutls_port,
            "--x509certfile",
            &certificate,
            "--x509keyfile",
            &key,
            "--http",
            "--priority",
            "NORMAL:-GROUP-ALL:+GROUP-SECP384R1",
        ];
        // Its log tells at once what it has done.
        let openssl = [&["-o0", "openssl"], &openssl[..]].concat();
        let spawn = |program: &str, arguments: &[&str], output: Stdio| {
            let mut command = Command::new(program);
            command.args(arguments).stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
            command.spawn().unwrap_or_else(|error| panic!("start {program}: {error}"))
        };
        let stop = Arc::new(AtomicBool::new(false));
        let children = world.far_netns().enter(|| {
            let any = |port| SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            let listen = |port| TcpListener::bind(any(port)).expect("listen");
            serve(listen(RUSTLS), &stop, move |client| greet(client, &config));
            serve(listen(IN_BYTES), &stop, in_bytes);
            vec![
                spawn("stdbuf", &openssl, log.into()),
                spawn("gnutls-serv", &gnutls, Stdio::null()),
            ]
        });
        for port in [OPENSSL, GNUTLS] {
            let open =
                || world.far_netns().enter(|| TcpStream::connect(("127.0.0.1", port)).is_ok());
            // A namespace of the far side has its loopback device up.
            eventually("a TLS server", open);
        }
        Self { world, children, stop }
    }

    /// Whether OpenSSL has acted on this name.
    pub(crate) fn has_served(&self, name: &str) -> bool {
        let log = std::fs::read(self.world.path("openssl.log")).expect("read the log");
        String::from_utf8_lossy(&log).contains(&format!("Hostname in TLS extension: \"{name}\""))
    }
}

impl Drop for TlsServers<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for child in &mut self.children {
            child.kill().ok();
            child.wait().ok();
        }
        for port in [RUSTLS, IN_BYTES] {
            self.world.far_netns().enter(|| TcpStream::connect(("127.0.0.1", port)).ok());
        }
    }
}

/// A thread for the listener, one for each client, until `stop`.
fn serve(
    listener: TcpListener,
    stop: &Arc<AtomicBool>,
    work: impl Fn(TcpStream) + Send + Sync + 'static,
) {
    let (stop, work) = (Arc::clone(stop), Arc::new(work));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(client) = client else { continue };
            let limit = Some(Duration::from_secs(20));
            client.set_read_timeout(limit).and(client.set_nodelay(true)).ok();
            let work = Arc::clone(&work);
            std::thread::spawn(move || work(client));
        }
    });
}

/// Reads a request, and answers it.
fn greet(client: TcpStream, config: &Arc<ServerConfig>) {
    let Ok(session) = ServerConnection::new(Arc::clone(config)) else { return };
    let mut stream = StreamOwned::new(session, client);
    if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
        let _ = stream.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nrustls");
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
}

fn in_bytes(client: TcpStream) {
    let Ok(server) = TcpStream::connect(("127.0.0.1", OPENSSL)) else { return };
    let (Ok(mut from), Ok(mut to)) = (client.try_clone(), server.try_clone()) else { return };
    std::thread::spawn(move || {
        std::io::copy(&mut from, &mut to).ok();
        to.shutdown(std::net::Shutdown::Write).ok();
    });
    let (mut from, mut to) = (server, client);
    let mut block = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut block) {
        let (cut, rest) = block[..read].split_at(read.min(CUT));
        for byte in cut {
            if to.write_all(&[*byte]).is_err() {
                return;
            }
            // Else the kernel would join them.
            std::thread::sleep(Duration::from_millis(1));
        }
        if to.write_all(rest).is_err() {
            return;
        }
    }
    to.shutdown(std::net::Shutdown::Write).ok();
}
