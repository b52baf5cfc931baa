//! Which addresses are public.
//!
//! The special-purpose registries of IANA, as one table. The longest block that holds an address
//! says what it is, so that a reachable block inside of a reserved one is one more line.
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use Class::{Local, Public};

/// Whether the address is public. v4-mapped addresses are judged as IPv4, and those of the NAT64
/// prefix `64:ff9b::/96` by the IPv4 address that they carry.
pub fn is_public(address: IpAddr) -> bool {
    let class = match address.to_canonical() {
        IpAddr::V4(address) => class_v4(address),
        IpAddr::V6(address) if NAT64.contains(&address) => class_v4(low_32_bits(address)),
        IpAddr::V6(address) => {
            longest(V6.iter().filter(|(net, ..)| net.contains(&address)), |line| {
                line.0.prefix_len()
            })
            .map_or(Local, |line| line.1)
        }
    };
    class == Public
}

/// The block of IPv4 addresses inside of a block of NAT64, IPv4-compatible or translated IPv6
/// addresses. A deny of the one is a deny of the other.
pub(super) fn carried(block: IpNet) -> Option<Ipv4Net> {
    let IpNet::V6(block) = block else { return None };
    CARRIERS.iter().find(|carrier| carrier.contains(&block))?;
    Ipv4Net::new(low_32_bits(block.addr()), block.prefix_len() - 96).ok()
}

/// Blocks at whose edges it may change what [`is_public`] says.
pub fn class_blocks() -> impl Iterator<Item = IpNet> {
    blocks().map(|(block, _)| block)
}

/// The block, and where it is of IPv4, the forms of IPv6 that carry it.
pub fn carried_forms(block: IpNet) -> impl Iterator<Item = IpNet> {
    let carriers = match block {
        IpNet::V4(block) => Some(carriers_of(block).map(IpNet::V6)),
        IpNet::V6(_) => None,
    };
    std::iter::once(block).chain(carriers.into_iter().flatten())
}

/// The same block of IPv4 in each of the forms that [`carried`] reads.
pub(super) fn carriers_of(block: Ipv4Net) -> impl Iterator<Item = Ipv6Net> {
    CARRIERS.iter().filter_map(move |carrier| embed(*carrier, block))
}

/// The table with the IPv4 lines in their NAT64 form as well: of this list too the longest block
/// that holds an address says what it is. IPv4 that no block holds is public.
pub(super) fn blocks() -> impl Iterator<Item = (IpNet, Class)> {
    let v4 = || V4.iter().map(|&(net, class, _)| (net, class));
    let nat64 = std::iter::once((Ipv4Net::default(), Public)).chain(v4());
    v4().map(|(net, class)| (IpNet::V4(net), class))
        .chain(V6.iter().map(|&(net, class, _)| (IpNet::V6(net), class)))
        .chain(nat64.filter_map(|(net, class)| Some((IpNet::V6(embed(NAT64, net)?), class))))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Public,
    Local,
}

/// Whether whoever answers at the address may trust all who reach it, as they are the machine itself or its
/// neighbours: loopback, link-local addresses, metadata services of clouds. Also in a form of IPv6 that
/// carries such an address.
pub(super) fn is_near(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let within = |address: IpAddr| NEAR.iter().any(|block| block.contains(&address));
    within(address) || carried(address.into()).is_some_and(|net| within(net.addr().into()))
}

/// Whether `is_near` holds for all of the block.
pub fn is_all_near(block: IpNet) -> bool {
    NEAR.iter().any(|near| near.contains(&block))
        || carried(block).is_some_and(|v4| NEAR.iter().any(|near| near.contains(&IpNet::V4(v4))))
}

const NEAR: [IpNet; 10] = [
    IpNet::V4(v4(0, 0, 0, 0, 8)),
    IpNet::V4(v4(127, 0, 0, 0, 8)),
    IpNet::V4(v4(169, 254, 0, 0, 16)),
    // Alibaba Cloud, Oracle Cloud, Azure.
    IpNet::V4(v4(100, 100, 100, 200, 32)),
    IpNet::V4(v4(192, 0, 0, 192, 32)),
    IpNet::V4(v4(168, 63, 129, 16, 32)),
    // `::` and `::1`.
    IpNet::V6(v6([0, 0, 0, 0], 0, 127)),
    IpNet::V6(v6([0xfe80, 0, 0, 0], 0, 10)),
    // AWS, Google Cloud.
    IpNet::V6(v6([0xfd00, 0xec2, 0, 0], 0, 32)),
    IpNet::V6(v6([0xfd20, 0xce, 0, 0], 0, 32)),
];

/// Whether the block has public addresses and others as well: an allow of it opens those too, which
/// who writes it for the public ones may not see.
pub(super) fn is_mixed(block: IpNet) -> bool {
    let mut inside = BLOCKS
        .iter()
        .filter(|(line, _)| line.prefix_len() > block.prefix_len() && block.contains(line));
    // Most blocks hold no line of the table at all.
    let Some(first) = inside.next() else { return false };
    let around = BLOCKS.iter().filter(|(line, _)| line.contains(&block));
    let own = around.max_by_key(|(line, _)| line.prefix_len()).map_or(Public, |(_, class)| *class);
    std::iter::once(first).chain(inside).any(|(_, class)| *class != own)
}

/// [`blocks`], once.
static BLOCKS: LazyLock<Vec<(IpNet, Class)>> = LazyLock::new(|| blocks().collect());

/// Whether every address of the block is public.
pub(super) fn is_all_public(block: IpNet) -> bool {
    let carries = |carrier: &Ipv6Net| match block {
        IpNet::V4(_) => false,
        IpNet::V6(block) => block.contains(carrier) || carrier.contains(&block),
    };
    is_public(block.addr()) && !is_mixed(block) && !CARRIERS.iter().any(carries)
}

fn class_v4(address: Ipv4Addr) -> Class {
    longest(V4.iter().filter(|(net, ..)| net.contains(&address)), |line| line.0.prefix_len())
        .map_or(Public, |line| line.1)
}

fn longest<T>(lines: impl Iterator<Item = T>, length: impl Fn(&T) -> u8) -> Option<T> {
    lines.max_by_key(length)
}

fn low_32_bits(address: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = address.octets();
    Ipv4Addr::new(a, b, c, d)
}

fn embed(carrier: Ipv6Net, block: Ipv4Net) -> Option<Ipv6Net> {
    let bits = carrier.network().to_bits() | u128::from(block.network().to_bits());
    Ipv6Net::new(Ipv6Addr::from_bits(bits), 96 + block.prefix_len()).ok()
}

const fn v4(a: u8, b: u8, c: u8, d: u8, prefix_len: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_len)
}

const fn v6(head: [u16; 4], last: u16, prefix_len: u8) -> Ipv6Net {
    let [a, b, c, d] = head;
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, last), prefix_len)
}

/// RFC 6052: translators put the IPv4 address in the low bits.
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 0, 96);

/// v4-mapped addresses are not here: they are IPv4 before anything is judged.
const CARRIERS: [Ipv6Net; 3] = [
    NAT64,
    // IPv4-compatible, RFC 4291 section 2.5.5.1.
    v6([0, 0, 0, 0], 0, 96),
    // IPv4-translated, RFC 2765: `::ffff:0:a.b.c.d`.
    Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, 0, 0), 96),
];

const V4: [(Ipv4Net, Class, &str); 16] = [
    (v4(0, 0, 0, 0, 8), Local, "this network"),
    (v4(10, 0, 0, 0, 8), Local, "private use"),
    (v4(100, 64, 0, 0, 10), Local, "shared space of carrier NAT"),
    (v4(127, 0, 0, 0, 8), Local, "loopback"),
    (v4(169, 254, 0, 0, 16), Local, "link-local, and metadata of clouds"),
    (v4(172, 16, 0, 0, 12), Local, "private use"),
    (v4(192, 0, 0, 0, 24), Local, "protocol assignments"),
    (v4(192, 0, 2, 0, 24), Local, "documentation"),
    (v4(192, 88, 99, 0, 24), Local, "former 6to4 relays"),
    (v4(192, 168, 0, 0, 16), Local, "private use"),
    (v4(198, 18, 0, 0, 15), Local, "benchmarks"),
    (v4(198, 51, 100, 0, 24), Local, "documentation"),
    (v4(203, 0, 113, 0, 24), Local, "documentation"),
    (v4(224, 0, 0, 0, 4), Local, "multicast"),
    (v4(240, 0, 0, 0, 4), Local, "reserved, and broadcast"),
    (v4(168, 63, 129, 16, 32), Local, "a cloud's host agent on an address that looks public"),
];

/// Only `2000::/3` is given out for global use: the rest (`::`, `::1`, `fc00::/7`, `fe80::/10`,
/// `fec0::/10`, `ff00::/8`, `64:ff9b:1::/48`, `100::/64`, `5f00::/16`, and what is still free) is
/// local by the first line.
const V6: [(Ipv6Net, Class, &str); 14] = [
    (v6([0, 0, 0, 0], 0, 0), Local, "not given out for global use"),
    (v6([0x2000, 0, 0, 0], 0, 3), Public, "global unicast"),
    (v6([0x2001, 0, 0, 0], 0, 23), Local, "protocol assignments, Teredo among them"),
    (v6([0x2001, 1, 0, 0], 1, 128), Public, "PCP anycast"),
    (v6([0x2001, 1, 0, 0], 2, 128), Public, "TURN anycast"),
    (v6([0x2001, 1, 0, 0], 3, 128), Public, "DNS-SD anycast"),
    (v6([0x2001, 3, 0, 0], 0, 32), Public, "AMT"),
    (v6([0x2001, 4, 0x112, 0], 0, 48), Public, "AS112"),
    (v6([0x2001, 0x20, 0, 0], 0, 28), Public, "ORCHIDv2"),
    (v6([0x2001, 0x30, 0, 0], 0, 28), Public, "drone remote identification"),
    (v6([0x2001, 0xdb8, 0, 0], 0, 32), Local, "documentation"),
    (v6([0x2002, 0, 0, 0], 0, 16), Local, "6to4"),
    (v6([0x3fff, 0, 0, 0], 0, 20), Local, "documentation"),
    (v6([0x5f00, 0, 0, 0], 0, 16), Local, "segment routing identifiers"),
];

#[cfg(test)]
mod tests;
