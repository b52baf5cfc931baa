//! The servers of one namespace: one thread waits at every listener, each client gets a thread of its own.
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::{Backlog, listen};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::http::{self, Place};
use super::log::Log;
use super::name_server::Zone;
use super::netns::Netns;

/// Longest silence of a client before its thread gives up: longer than any test waits for an end that others bring.
const IDLE_LIMIT: Duration = Duration::from_secs(600);

/// What answers there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Https,
    Http,
    /// The server speaks first, as for SSH and SMTP, then echoes.
    Banner,
    /// Reads to the end of the client's half, then answers with the number of bytes and closes.
    Count,
    /// Speaks and closes its half first, then counts what the client goes on to send.
    Farewell,
    Dns,
    /// Sends back what came.
    Echo,
}

/// Line that [`Service::Banner`] and [`Service::Farewell`] begin with: one that an SSH client takes for its server's.
pub(crate) const BANNER: &str = "SSH-2.0-far_side speaks first\r\n";

/// TCP listeners on every open address of the far side.
pub(crate) const TCP: &[(u16, Service)] = &[
    (22, Service::Banner),
    (25, Service::Banner),
    (53, Service::Dns),
    (80, Service::Http),
    (443, Service::Https),
    (7000, Service::Count),
    (7001, Service::Farewell),
    (8443, Service::Https),
];
/// UDP sockets on every open address of the far side.
pub(crate) const UDP: &[(u16, Service)] =
    &[(53, Service::Dns), (443, Service::Echo), (9999, Service::Echo)];

/// What every server of a namespace knows.
struct Shared {
    log: Arc<Log>,
    zone: Zone,
    tls: Arc<ServerConfig>,
    /// Open connections by their place in the log, so that they can be shut when the world ends.
    clients: Mutex<HashMap<usize, Arc<TcpStream>>>,
}

/// The running servers of a namespace; dropping them closes every listener and connection.
pub(crate) struct Servers {
    shared: Arc<Shared>,
    stop: Arc<EventFd>,
    doorman: Option<JoinHandle<()>>,
}

/// Listeners that are open but not yet watched.
#[derive(Default)]
pub(crate) struct Listeners {
    tcp: Vec<(TcpListener, Service)>,
    udp: Vec<(UdpSocket, Service)>,
}

impl Listeners {
    /// Opens all of [`TCP`] and [`UDP`] on each address, inside `netns`.
    pub(crate) fn on(netns: &Netns, addresses: &[IpAddr]) -> Listeners {
        netns.enter(|| {
            let mut listeners = Listeners::default();
            for address in addresses {
                for (port, service) in TCP {
                    listeners.open_tcp(SocketAddr::new(*address, *port), *service);
                }
                for (port, service) in UDP {
                    listeners.open_udp(SocketAddr::new(*address, *port), *service);
                }
            }
            listeners
        })
    }

    /// Opens a TCP listener and says where.
    pub(crate) fn open_tcp(&mut self, at: SocketAddr, service: Service) -> SocketAddr {
        let listener =
            TcpListener::bind(at).unwrap_or_else(|error| panic!("listen on {at}: {error}"));
        // The standard library's queue of 128 overflows where many connect at once. The kernel then answers with SYN
        // cookies, and a client whose last acknowledgement it drops is connected to nobody, for good.
        listen(&listener, Backlog::MAXCONN).expect("lengthen the listener's queue");
        listener.set_nonblocking(true).expect("make the listener non-blocking");
        let at = listener.local_addr().expect("read the listener's address");
        self.tcp.push((listener, service));
        at
    }

    /// Opens a UDP socket.
    pub(crate) fn open_udp(&mut self, at: SocketAddr, service: Service) {
        let socket = UdpSocket::bind(at).unwrap_or_else(|error| panic!("bind UDP {at}: {error}"));
        socket.set_nonblocking(true).expect("make the UDP socket non-blocking");
        self.udp.push((socket, service));
    }

    /// Begins to serve.
    pub(crate) fn serve(self, log: Arc<Log>, zone: Zone, tls: Arc<ServerConfig>) -> Servers {
        let shared = Arc::new(Shared { log, zone, tls, clients: Mutex::default() });
        let stop = Arc::new(EventFd::new().expect("make an eventfd"));
        let doorman = {
            let (shared, stop) = (Arc::clone(&shared), Arc::clone(&stop));
            std::thread::spawn(move || self.watch(&shared, &stop))
        };
        Servers { shared, stop, doorman: Some(doorman) }
    }

    /// The doorman's thread.
    fn watch(&self, shared: &Arc<Shared>, stop: &EventFd) {
        let fds =
            [stop.as_fd()].into_iter().chain(self.tcp.iter().map(|(listener, _)| listener.as_fd()));
        let fds = fds.chain(self.udp.iter().map(|(socket, _)| socket.as_fd()));
        let mut ready: Vec<_> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        loop {
            match poll(&mut ready, PollTimeout::NONE) {
                Ok(_) | Err(nix::errno::Errno::EINTR) => {}
                Err(error) => panic!("wait at the listeners: {error}"),
            }
            let mut open = ready.iter().map(|fd| fd.any().unwrap_or(false));
            if open.next() == Some(true) {
                return;
            }
            for ((listener, service), is_ready) in self.tcp.iter().zip(&mut open) {
                while is_ready && let Ok((client, _)) = listener.accept() {
                    serve_client(client, *service, shared);
                }
            }
            for ((socket, service), is_ready) in self.udp.iter().zip(&mut open) {
                if is_ready {
                    answer_datagrams(socket, *service, shared);
                }
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.write(1).ok();
        if let Some(doorman) = self.doorman.take() {
            doorman.join().ok();
        }
        for client in self.shared.clients.lock().iter().flat_map(|clients| clients.values()) {
            client.shutdown(Shutdown::Both).ok();
        }
    }
}

/// Starts the thread of one TCP client.
fn serve_client(client: TcpStream, service: Service, shared: &Arc<Shared>) {
    let at = client.local_addr().expect("read which address was reached");
    let contact = shared.log.contact("tcp", at);
    client.set_read_timeout(Some(IDLE_LIMIT)).expect("bound the client's reads");
    client.set_write_timeout(Some(IDLE_LIMIT)).expect("bound the client's writes");
    let client = Arc::new(client);
    if let Ok(mut clients) = shared.clients.lock() {
        clients.insert(contact, Arc::clone(&client));
    }
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        let mut wire = Wire { stream: client, log: Arc::clone(&shared.log), contact };
        // A client that breaks off is part of many tests; the log tells what came before.
        attend(&mut wire, at, service, &shared).ok();
        // Also the copy kept for the end of the world would hold the connection open.
        wire.stream.shutdown(Shutdown::Write).ok();
        io::copy(&mut wire, &mut io::sink()).ok();
        wire.stream.shutdown(Shutdown::Both).ok();
        // A test of thousands of clients runs where a process may have a thousand descriptors.
        if let Ok(mut clients) = shared.clients.lock() {
            clients.remove(&contact);
        }
        drop(wire);
        shared.log.ended(contact);
    });
}

/// One client's conversation.
fn attend(wire: &mut Wire, at: SocketAddr, service: Service, shared: &Shared) -> io::Result<()> {
    let log = &*shared.log;
    match service {
        Service::Http => http::serve(wire, &Place { at, sni: None, log }),
        Service::Https => {
            let mut tls =
                ServerConnection::new(Arc::clone(&shared.tls)).map_err(io::Error::other)?;
            while tls.is_handshaking() {
                tls.complete_io(wire)?;
            }
            let sni = tls.server_name().map(str::to_owned);
            log.named(wire.contact, sni.clone());
            let mut stream = StreamOwned::new(tls, wire);
            http::serve(&mut stream, &Place { at, sni, log })?;
            stream.conn.send_close_notify();
            stream.flush()
        }
        Service::Banner | Service::Echo => {
            if service == Service::Banner {
                wire.write_all(BANNER.as_bytes())?;
            }
            let mut block = [0; 4096];
            loop {
                match wire.read(&mut block)? {
                    0 => return Ok(()),
                    read => wire.write_all(&block[..read])?,
                }
            }
        }
        Service::Count => {
            let count = io::copy(wire, &mut io::sink())?;
            writeln!(wire, "{count}")
        }
        Service::Farewell => {
            wire.write_all(BANNER.as_bytes())?;
            wire.stream.shutdown(Shutdown::Write)?;
            io::copy(wire, &mut io::sink()).map(drop)
        }
        Service::Dns => loop {
            let mut length = [0; 2];
            wire.read_exact(&mut length)?;
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            wire.read_exact(&mut query)?;
            for answer in shared.zone.respond(&query, "tcp", at, log) {
                wire.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat())?;
            }
        },
    }
}

/// Answers every waiting datagram.
fn answer_datagrams(socket: &UdpSocket, service: Service, shared: &Shared) {
    let at = socket.local_addr().expect("read which address was reached");
    let mut buffer = vec![0; 64 << 10];
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        let contact = shared.log.contact("udp", at);
        shared.log.received(contact, length);
        let answers = match service {
            Service::Dns => shared.zone.respond(&buffer[..length], "udp", at, &shared.log),
            _ => vec![buffer[..length].to_vec()],
        };
        for answer in answers {
            socket.send_to(&answer, from).ok();
        }
    }
}

/// A client's stream that counts what it reads.
struct Wire {
    stream: Arc<TcpStream>,
    log: Arc<Log>,
    contact: usize,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = (&*self.stream).read(buffer)?;
        self.log.received(self.contact, read);
        Ok(read)
    }
}

impl Write for Wire {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self.stream).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self.stream).flush()
    }
}
