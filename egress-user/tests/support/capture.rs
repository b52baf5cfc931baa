//! The tripwire: every packet that arrives on the far end of the client's only link.
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::eventfd::EventFd;
use nix::unistd::Pid;

use super::netns::Netns;
use super::tools::slowness;

/// UDP port of the packets by which [`Tripwire::settle`] knows that everything before them has arrived.
const MARKER_PORT: u16 = 9;
const MARKER: &[u8] = b"marker ";
/// How long a marker may take: a link inside one kernel needs microseconds.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(60);

/// One packet that arrived, as its IP header describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    /// IP protocol number, after IPv6 extension headers.
    pub(crate) protocol: u8,
    pub(crate) source_port: u16,
    /// Destination port, for protocols that have ports.
    pub(crate) port: u16,
    /// Bytes after the transport header.
    pub(crate) payload: Vec<u8>,
    /// IPv4 options or IPv6 extension headers were present: source routing shows here.
    pub(crate) has_options: bool,
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Arrival { source, destination, protocol, port, payload, has_options, .. } = self;
        let options = if *has_options { " with options" } else { "" };
        let start = String::from_utf8_lossy(&payload[..payload.len().min(40)]).into_owned();
        write!(
            f,
            "protocol {protocol}{options} {source} -> {destination} port {port}: {} bytes {start:?}",
            payload.len()
        )
    }
}

/// What the capture thread shares with the test.
#[derive(Default)]
struct Seen {
    arrivals: Mutex<(Vec<Arrival>, HashSet<u64>)>,
    marker_came: Condvar,
}

/// The capture on the far end of the link.
pub(crate) struct Tripwire {
    seen: Arc<Seen>,
    socket: Arc<OwnedFd>,
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Tripwire {
    /// Begins to record what arrives on `device` of `far`.
    pub(crate) fn on(far: &Netns, device: &str) -> Self {
        let socket =
            Arc::new(far.enter(|| packet_socket(device)).expect("open the capture socket"));
        let seen = Arc::new(Seen::default());
        let stop = Arc::new(EventFd::new().expect("make an eventfd"));
        let thread = {
            let (socket, seen, stop) = (Arc::clone(&socket), Arc::clone(&seen), Arc::clone(&stop));
            std::thread::spawn(move || record(&socket, &stop, &seen))
        };
        Tripwire { seen, socket, stop, thread: Some(thread) }
    }

    /// Waits until everything that the client's namespace has sent so far is recorded.
    ///
    /// A marker goes out from every processor, as a virtual link keeps one queue for each and only within a queue
    /// is order kept.
    pub(crate) fn settle(&self, client: &Netns, far: Ipv4Addr) {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let sent: Vec<u64> = client.enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("bind the marker's socket");
            let usable = sched_getaffinity(Pid::from_raw(0)).expect("read the processors in use");
            (0..CpuSet::count())
                .filter(|cpu| usable.is_set(*cpu).unwrap_or(false))
                .map(|cpu| {
                    let mut only = CpuSet::new();
                    only.set(cpu).expect("name a processor");
                    sched_setaffinity(Pid::from_raw(0), &only).expect("move the marker's thread");
                    let number = NEXT.fetch_add(1, Ordering::Relaxed);
                    let packet = [MARKER, &number.to_be_bytes()].concat();
                    socket.send_to(&packet, (far, MARKER_PORT)).expect("send a marker");
                    number
                })
                .collect()
        });
        let deadline = Instant::now() + SETTLE_TIMEOUT * slowness();
        let mut seen = self.seen.arrivals.lock().expect("read the capture");
        while !sent.iter().all(|number| seen.1.contains(number)) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the capture saw no marker in {SETTLE_TIMEOUT:?}");
            seen = self.seen.marker_came.wait_timeout(seen, left).expect("wait for the marker").0;
        }
        drop(seen);
        assert_eq!(dropped(&self.socket), 0, "the capture lost packets, so it can prove nothing");
    }

    /// Everything recorded so far, oldest first, without markers and neighbour discovery.
    pub(crate) fn arrivals(&self) -> Vec<Arrival> {
        self.seen.arrivals.lock().expect("read the capture").0.clone()
    }
}

impl Drop for Tripwire {
    fn drop(&mut self) {
        self.stop.write(1).ok();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// A packet socket that receives what comes in on `device`, cooked (from the IP header on).
fn packet_socket(device: &str) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_ALL as u16).to_be();
    // SAFETY: a system call without pointers.
    let raw = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    if raw < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `raw` was opened just now and is owned by nothing else.
    let socket = unsafe { OwnedFd::from_raw_fd(raw) };
    let room: libc::c_int = 64 << 20;
    // SAFETY: the option's value is one int, and so is its length.
    unsafe {
        libc::setsockopt(
            raw,
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const room).cast(),
            size_of_val(&room) as u32,
        );
    }
    let index = nix::net::if_::if_nametoindex(device)?;
    // SAFETY: an all-zero sockaddr_ll is a valid one.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = index as i32;
    // SAFETY: the address is a sockaddr_ll and the length is its own.
    let bound =
        unsafe { libc::bind(raw, (&raw const address).cast(), size_of_val(&address) as u32) };
    if bound < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// Packets the capture lost since this was last asked.
fn dropped(socket: &OwnedFd) -> u32 {
    let mut counts: [u32; 2] = [0; 2];
    let mut length = size_of_val(&counts) as u32;
    // SAFETY: PACKET_STATISTICS writes a tpacket_stats, two 32-bit counters, into memory of that size.
    unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            counts.as_mut_ptr().cast(),
            &raw mut length,
        );
    }
    counts[1]
}

/// The capture thread: until told to stop, each arriving packet becomes an [`Arrival`].
fn record(socket: &OwnedFd, stop: &EventFd, seen: &Seen) {
    let mut buffer = vec![0; 1 << 17];
    loop {
        let mut ready = [
            PollFd::new(socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(stop.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut ready, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => panic!("wait for packets: {error}"),
        }
        if ready[1].any().unwrap_or(true) {
            return;
        }
        while let Some((kind, length)) = receive(socket, &mut buffer) {
            if kind != libc::PACKET_OUTGOING {
                keep(seen, &buffer[..length]);
            }
        }
    }
}

/// The next waiting packet: its kind (`PACKET_HOST`, ...) and length.
fn receive(socket: &OwnedFd, buffer: &mut [u8]) -> Option<(u8, usize)> {
    // SAFETY: an all-zero sockaddr_ll is a valid one.
    let mut from: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    let mut from_length = size_of_val(&from) as u32;
    // SAFETY: buffer and address are writable for the lengths given.
    let length = unsafe {
        libc::recvfrom(
            socket.as_raw_fd(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            libc::MSG_DONTWAIT,
            (&raw mut from).cast(),
            &raw mut from_length,
        )
    };
    usize::try_from(length).ok().map(|length| (from.sll_pkttype, length))
}

/// Records one packet, or the marker it is.
fn keep(seen: &Seen, packet: &[u8]) {
    let Some(arrival) = parse(packet) else { return };
    let mut arrivals = seen.arrivals.lock().expect("write the capture");
    match arrival.payload.strip_prefix(MARKER).and_then(|number| number.try_into().ok()) {
        Some(number) if arrival.port == MARKER_PORT => {
            arrivals.1.insert(u64::from_be_bytes(number));
            seen.marker_came.notify_all();
        }
        _ => arrivals.0.push(arrival),
    }
}

/// Reads an IP packet; `None` for ARP, and for the ICMPv6 that only finds neighbours and routers.
fn parse(packet: &[u8]) -> Option<Arrival> {
    let (source, destination, protocol, has_options, rest) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 15) * 4;
            let total = usize::from(u16::from_be_bytes(array(packet, 2)?));
            let address =
                |at| array::<4>(packet, at).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
            // A total of 0 is a segment over 64 KiB that was never cut up.
            let end = if total == 0 { packet.len() } else { total.min(packet.len()) };
            (address(12)?, address(16)?, *packet.get(9)?, header > 20, packet.get(header..end)?)
        }
        6 => {
            let address =
                |at| array::<16>(packet, at).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
            let (mut protocol, mut at) = (*packet.get(6)?, 40);
            // Hop-by-hop options, routing header, destination options.
            while matches!(protocol, 0 | 43 | 60) {
                (protocol, at) = (*packet.get(at)?, at + 8 + usize::from(*packet.get(at + 1)?) * 8);
            }
            (address(8)?, address(24)?, protocol, at > 40, packet.get(at..)?)
        }
        _ => return None,
    };
    const ICMPV6: u8 = 58;
    if protocol == ICMPV6 && matches!(rest.first()?, 130..=137 | 143) {
        return None;
    }
    let header = match protocol {
        6 => usize::from(rest.get(12)? >> 4) * 4,
        17 | 136 => 8,
        1 | ICMPV6 => 8,
        _ => 0,
    };
    let port_at = |at| {
        if matches!(protocol, 6 | 17 | 33 | 132 | 136) { array(rest, at) } else { Some([0; 2]) }
    };
    let [source_port, port] = [port_at(0)?, port_at(2)?].map(u16::from_be_bytes);
    let payload = rest.get(header..)?.to_vec();
    Some(Arrival {
        source,
        destination: destination.to_canonical(),
        protocol,
        source_port,
        port,
        payload,
        has_options,
    })
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}
