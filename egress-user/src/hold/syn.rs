//! A held SYN, and the packets that answer it. Pure: bytes in, bytes out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// IP protocol numbers.
const TCP: u8 = 6;
const ICMPV6: u8 = 58;
const ICMP: u8 = 1;
/// Flags of a TCP header (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const RST_ACK: u8 = 0x14;
const ACK: u8 = 0x10;
/// Lengths of headers without options.
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const TCP_HEADER: usize = 20;
const HOPS: u8 = 64;
/// How much of an IPv4 packet an ICMP message quotes behind its header (RFC 792).
const QUOTED: usize = 8;

/// The first packet of a connection, whole, from its network header on, without payload or IP options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Syn {
    network: Vec<u8>,
    transport: Vec<u8>,
    source: IpAddr,
    destination: IpAddr,
}

impl Syn {
    /// None where it is anything else.
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let is_v4 = match packet.first()? {
            0x45 => true,
            0x60..=0x6f => false,
            _ => return None,
        };
        let (network, transport) =
            packet.split_at_checked(if is_v4 { V4_HEADER } else { V6_HEADER })?;
        let (protocol, source, destination) = if is_v4 {
            (*network.get(9)?, v4(network.get(12..)?)?, v4(network.get(16..)?)?)
        } else {
            (*network.get(6)?, v6(network.get(8..)?)?, v6(network.get(24..)?)?)
        };
        let length = usize::from(transport.get(12)? >> 4) * 4;
        let is_syn = transport.get(13)? & (SYN | ACK) == SYN;
        let is_whole = length >= TCP_HEADER && transport.len() == length;
        (protocol == TCP && is_syn && is_whole).then(|| Self {
            network: network.to_vec(),
            transport: transport.to_vec(),
            source,
            destination,
        })
    }

    /// Whether it is an IPv4 packet.
    pub fn is_v4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// Where it comes from: the program's own end.
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Where it goes: to the listener.
    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    /// Both with their ports, the source first.
    pub fn ends(&self) -> [SocketAddr; 2] {
        let port = |at| {
            let bytes = self.transport.get(at..).and_then(|rest| rest.first_chunk());
            bytes.map_or(0, |bytes| u16::from_be_bytes(*bytes))
        };
        [SocketAddr::new(self.source, port(0)), SocketAddr::new(self.destination, port(2))]
    }

    /// The initial sequence number, which a later connection of the same socket does not have.
    pub fn sequence(&self) -> u32 {
        let bytes = self.transport.get(4..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u32::from_be_bytes(*bytes))
    }

    /// The very same packet, with the checksum that the kernel had left to the device. For the destination.
    pub fn again(&self) -> Vec<u8> {
        let mut packet = self.network.clone();
        put(
            &mut packet,
            if self.is_v4() { 2 } else { 4 },
            &self.length_field(self.transport.len()),
        );
        packet.extend(self.summed(self.source, self.destination, self.transport.clone()));
        packet
    }

    /// What a host answers where nobody listens (RFC 9293 section 3.10.7.1). For the source.
    pub fn reset(&self) -> Vec<u8> {
        let mut tcp = Vec::with_capacity(TCP_HEADER);
        // Its ports, the other way round.
        tcp.extend(self.transport.iter().skip(2).take(2));
        tcp.extend(self.transport.iter().take(2));
        tcp.extend([0; 4]);
        tcp.extend(self.sequence().wrapping_add(1).to_be_bytes());
        // Length in words, flags, no window, no checksum yet, nothing urgent.
        tcp.extend([5 << 4, RST_ACK, 0, 0, 0, 0, 0, 0]);
        let mut packet = self.header_back(TCP, tcp.len());
        packet.extend(self.summed(self.destination, self.source, tcp));
        packet
    }

    /// What a router or host answers that does not pass it on: an ICMP message of type 3, or of type 1 over IPv6,
    /// with this code. For the source.
    pub fn unreachable(&self, code: u8) -> Vec<u8> {
        let quoted = if self.is_v4() { QUOTED } else { self.transport.len() };
        let mut message = vec![if self.is_v4() { 3 } else { 1 }, code, 0, 0, 0, 0, 0, 0];
        message.extend(&self.network);
        if self.is_v4() {
            put(&mut message, 8 + 2, &self.length_field(self.transport.len()));
        }
        message.extend(self.transport.iter().take(quoted));
        let sum = if self.is_v4() {
            checksum(&[&message])
        } else {
            checksum(&[&pseudo(self.destination, self.source, ICMPV6, message.len()), &message])
        };
        put(&mut message, 2, &sum);
        let mut packet = self.header_back(if self.is_v4() { ICMP } else { ICMPV6 }, message.len());
        packet.extend(message);
        packet
    }

    /// The length as the network header has it: of the whole packet, over IPv6 without the header.
    fn length_field(&self, payload: usize) -> [u8; 2] {
        let header = if self.is_v4() { V4_HEADER } else { 0 };
        // A few hundred bytes at most.
        u16::try_from(header + payload).unwrap_or(0).to_be_bytes()
    }

    /// A network header from the destination to the source. The kernel sums IPv4's.
    fn header_back(&self, protocol: u8, payload: usize) -> Vec<u8> {
        let [high, low] = self.length_field(payload);
        let mut header = if self.is_v4() {
            // No fragment, and none to be made.
            vec![0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, protocol, 0, 0]
        } else {
            vec![0x60, 0, 0, 0, high, low, protocol, HOPS]
        };
        header.extend(octets(self.destination));
        header.extend(octets(self.source));
        header
    }

    /// A TCP header with its checksum.
    fn summed(&self, from: IpAddr, to: IpAddr, mut tcp: Vec<u8>) -> Vec<u8> {
        put(&mut tcp, 16, &[0, 0]);
        let sum = checksum(&[&pseudo(from, to, TCP, tcp.len()), &tcp]);
        put(&mut tcp, 16, &sum);
        tcp
    }
}

fn v4(bytes: &[u8]) -> Option<IpAddr> {
    bytes.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets).into())
}

fn v6(bytes: &[u8]) -> Option<IpAddr> {
    bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets).into())
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn put(bytes: &mut [u8], at: usize, what: &[u8]) {
    if let Some(there) = bytes.get_mut(at..at + what.len()) {
        there.copy_from_slice(what);
    }
}

/// What a transport's checksum covers besides its own bytes; the fields have the order of neither version, which
/// a sum does not tell.
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut bytes = octets(from);
    bytes.extend(octets(to));
    let [high, low] = u16::try_from(length).unwrap_or(0).to_be_bytes();
    bytes.extend([0, protocol, high, low]);
    bytes
}

/// The Internet checksum (RFC 1071) of these, each of an even length but the last.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            let high = u32::from(pair.first().copied().unwrap_or(0));
            sum += high << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap_or(0)).to_be_bytes()
}

#[cfg(test)]
mod tests;
