//! An IP address as the maps hold it.

/// Sixteen bytes in network order; IPv4 as its v4-mapped form (`::ffff:a.b.c.d`), so that one
/// key type serves both families and no spelling of an address has two keys.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Address {
    /// The address as four words, each as it lies in memory (network order).
    pub words: [u32; 4],
}

impl Address {
    /// The third word of every v4-mapped address.
    pub const MAPPED_WORD: u32 = 0x0000_ffff_u32.to_be();

    /// 127.0.0.1, where the listeners for IPv4 are.
    pub const LOOPBACK4: Self = Self::from_v4_word(u32::from_ne_bytes([127, 0, 0, 1]));
    /// `::1`, where those for IPv6 are.
    pub const LOOPBACK6: Self = Self { words: [0, 0, 0, 1_u32.to_be()] };

    /// An IPv4 address from its word in network order.
    #[inline(always)]
    pub const fn from_v4_word(word: u32) -> Self {
        Self { words: [0, 0, Self::MAPPED_WORD, word] }
    }

    /// From sixteen bytes in network order.
    pub const fn from_octets(bytes: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
        Self {
            words: [
                u32::from_ne_bytes([a, b, c, d]),
                u32::from_ne_bytes([e, f, g, h]),
                u32::from_ne_bytes([i, j, k, l]),
                u32::from_ne_bytes([m, n, o, p]),
            ],
        }
    }

    /// The sixteen bytes in network order.
    pub const fn octets(&self) -> [u8; 16] {
        let [w, x, y, z] = self.words;
        let [[a, b, c, d], [e, f, g, h]] = [w.to_ne_bytes(), x.to_ne_bytes()];
        let [[i, j, k, l], [m, n, o, p]] = [y.to_ne_bytes(), z.to_ne_bytes()];
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
    }

    /// The IPv4 word in network order, where this is a v4-mapped address.
    #[inline(always)]
    pub const fn v4_word(&self) -> Option<u32> {
        if self.words[0] == 0 && self.words[1] == 0 && self.words[2] == Self::MAPPED_WORD {
            Some(self.words[3])
        } else {
            None
        }
    }
}

impl From<core::net::IpAddr> for Address {
    fn from(ip: core::net::IpAddr) -> Self {
        match ip {
            core::net::IpAddr::V4(v4) => Self::from_octets(v4.to_ipv6_mapped().octets()),
            core::net::IpAddr::V6(v6) => Self::from_octets(v6.octets()),
        }
    }
}

impl From<Address> for core::net::IpAddr {
    /// v4-mapped addresses come back as IPv4.
    fn from(address: Address) -> Self {
        core::net::Ipv6Addr::from(address.octets()).to_canonical()
    }
}
