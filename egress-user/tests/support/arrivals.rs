//! Claims about what arrived on the far side.
use std::net::IpAddr;

use super::capture::Arrival;
use super::world::{NAME_SERVER, World};

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const UDP_LITE: u8 = 136;

/// Packets that arrived, narrowed step by step, then judged.
pub(crate) struct Arrivals<'w> {
    world: &'w World,
    what: String,
    packets: Vec<Arrival>,
}

impl<'w> Arrivals<'w> {
    pub(crate) fn new(world: &'w World, packets: Vec<Arrival>) -> Self {
        Arrivals { world, what: "packets".to_owned(), packets }
    }

    /// Only those to this address.
    #[must_use]
    pub(crate) fn at(self, address: &str) -> Self {
        let wanted: IpAddr = address.parse().unwrap_or_else(|error| panic!("{address:?}: {error}"));
        self.only(&format!("to {address}"), |packet| packet.destination == wanted)
    }

    /// Only those to this destination port.
    #[must_use]
    pub(crate) fn on_port(self, port: u16) -> Self {
        self.only(&format!("to port {port}"), |packet| packet.port == port)
    }

    /// Only those of this IP protocol.
    #[must_use]
    pub(crate) fn of(self, protocol: u8) -> Self {
        self.only(&format!("of protocol {protocol}"), |packet| packet.protocol == protocol)
    }

    /// Only those with IP options or extension headers.
    #[must_use]
    pub(crate) fn with_options(self) -> Self {
        self.only("with options", |packet| packet.has_options)
    }

    /// All but the lookups at the world's own name server, which the filter itself makes.
    #[must_use]
    pub(crate) fn besides_lookups(self) -> Self {
        let server: IpAddr = NAME_SERVER.parse().expect("the name server's address");
        self.only("besides lookups", |packet| packet.destination != server || packet.port != 53)
    }

    /// Claims that there is none.
    #[track_caller]
    pub(crate) fn none(self) -> Self {
        let (packets, what, world) = (&self.packets, &self.what, self.world);
        assert!(
            packets.is_empty(),
            "{} {what} arrived, the first: {}\n{world}",
            packets.len(),
            packets[0]
        );
        self
    }

    /// Claims that there is at least one.
    #[track_caller]
    pub(crate) fn some(self) -> Self {
        assert!(!self.packets.is_empty(), "no {} arrived\n{}", self.what, self.world);
        self
    }

    /// Claims that the first of them carries payload.
    #[track_caller]
    pub(crate) fn starts_with_payload(self) -> Self {
        let starts = self.packets.first().is_some_and(|packet| !packet.payload.is_empty());
        assert!(starts, "the first of {} carries no payload\n{}", self.what, self.world);
        self
    }

    /// Claims that none of them carries payload.
    #[track_caller]
    pub(crate) fn no_payload(self) -> Self {
        let bytes = self.payload();
        assert_eq!(bytes, 0, "{bytes} bytes of payload in {}\n{}", self.what, self.world);
        self
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.packets.len()
    }

    /// Payload bytes in all of them, repeats included.
    pub(crate) fn payload(&self) -> usize {
        self.packets.iter().map(|packet| packet.payload.len()).sum()
    }

    /// Claims that `secret` is in none of them.
    #[track_caller]
    pub(crate) fn without(self, secret: &str) -> Self {
        let holds = |packet: &&Arrival| {
            packet.payload.windows(secret.len()).any(|bytes| bytes == secret.as_bytes())
        };
        if let Some(packet) = self.packets.iter().find(holds) {
            panic!("{secret:?} arrived: {packet}\n{}", self.world);
        }
        self
    }

    /// Whether `text` is in the bytes of one of the connections, however they were cut into packets. What was sent
    /// twice counts twice.
    pub(crate) fn streams_have(&self, text: &str) -> bool {
        let mut streams = std::collections::HashMap::<_, Vec<u8>>::new();
        for packet in &self.packets {
            let ends = (packet.source, packet.source_port, packet.destination, packet.port);
            streams.entry(ends).or_default().extend_from_slice(&packet.payload);
        }
        streams.values().any(|bytes| bytes.windows(text.len()).any(|run| run == text.as_bytes()))
    }

    /// How many of them hold `text`.
    pub(crate) fn holding(&self, text: &str) -> usize {
        let holds = |packet: &&Arrival| {
            packet.payload.windows(text.len()).any(|bytes| bytes == text.as_bytes())
        };
        self.packets.iter().filter(holds).count()
    }

    fn only(mut self, what: &str, keep: impl Fn(&Arrival) -> bool) -> Self {
        self.packets.retain(keep);
        self.what = format!("{} {what}", self.what);
        self
    }
}

/// Arrivals that differ in nothing but time and payload.
pub(crate) struct Flow<'a> {
    pub(crate) packets: usize,
    pub(crate) bytes: usize,
    /// The first packet with payload, or the first of all.
    pub(crate) first: &'a Arrival,
}

/// Groups arrivals by protocol, ends and ports, in the order of their beginning.
pub(crate) fn flows(arrivals: &[Arrival]) -> Vec<Flow<'_>> {
    let mut flows: Vec<Flow<'_>> = Vec::new();
    for packet in arrivals {
        let ends = |p: &Arrival| {
            (p.protocol, p.source, p.destination, p.source_port, p.port, p.has_options)
        };
        match flows.iter_mut().find(|flow| ends(flow.first) == ends(packet)) {
            Some(flow) => {
                if flow.bytes == 0 {
                    flow.first = packet;
                }
                flow.packets += 1;
                flow.bytes += packet.payload.len();
            }
            None => flows.push(Flow { packets: 1, bytes: packet.payload.len(), first: packet }),
        }
    }
    flows
}
