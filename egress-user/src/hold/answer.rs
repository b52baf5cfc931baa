//! What a program is to be told of a dial that has failed.

use std::io;

/// How a held SYN is answered where nothing is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// By a reset: connect(2) gives ECONNREFUSED.
    Refused,
    /// By an ICMP message of type 3 with this code (RFC 792), of type 1 over IPv6 (RFC 4443): connect(2)
    /// gives what the kernel makes of it (`icmp_err_convert`, `tab_unreach`).
    Unreachable(u8),
    /// Not at all: the program waits on, and its next SYN asks again.
    Silence,
}

// Codes of ICMP type 3, and of ICMPv6 type 1.
const V4: [(i32, u8); 7] = [
    (libc::ENETUNREACH, 0),
    (libc::EHOSTUNREACH, 1),
    (libc::ENOPROTOOPT, 2),
    (libc::EOPNOTSUPP, 5),
    (libc::EHOSTDOWN, 7),
    (libc::ENONET, 8),
    // No code gives it; this is how a router refuses.
    (libc::EACCES, 13),
];
const V6: [(i32, u8); 3] = [(libc::ENETUNREACH, 0), (libc::EACCES, 1), (libc::EHOSTUNREACH, 3)];

impl Answer {
    /// To this failure of connect(2), for a program that is connected over IPv4, or IPv6.
    pub fn to(error: &io::Error, is_v4: bool) -> Self {
        let Some(errno) = error.raw_os_error() else { return Self::Silence };
        match errno {
            libc::ECONNREFUSED | libc::ECONNRESET => return Self::Refused,
            // The network is silent; and what this process lacks says nothing about the network.
            libc::ETIMEDOUT
            | libc::EMFILE
            | libc::ENFILE
            | libc::ENOBUFS
            | libc::ENOMEM
            | libc::EAGAIN
            | libc::EADDRNOTAVAIL => return Self::Silence,
            _ => {}
        }
        let codes: &[(i32, u8)] = if is_v4 { &V4 } else { &V6 };
        let found = codes.iter().find(|(known, _)| *known == errno);
        found.map_or(Self::Refused, |(_, code)| Self::Unreachable(*code))
    }
}

#[cfg(test)]
mod tests {
    use super::Answer;

    fn to(errno: i32, is_v4: bool) -> Answer {
        Answer::to(&std::io::Error::from_raw_os_error(errno), is_v4)
    }

    #[test]
    fn what_the_network_said_is_passed_on() {
        for is_v4 in [true, false] {
            assert_eq!(to(libc::ECONNREFUSED, is_v4), Answer::Refused);
            assert_eq!(to(libc::ENETUNREACH, is_v4), Answer::Unreachable(0));
            assert_eq!(to(libc::ETIMEDOUT, is_v4), Answer::Silence);
        }
        assert_eq!(to(libc::EHOSTUNREACH, true), Answer::Unreachable(1));
        assert_eq!(to(libc::EHOSTUNREACH, false), Answer::Unreachable(3));
        assert_eq!(to(libc::EACCES, false), Answer::Unreachable(1));
    }

    #[test]
    fn what_this_process_lacks_is_no_answer() {
        for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::EADDRNOTAVAIL] {
            assert_eq!(to(errno, true), Answer::Silence);
        }
    }
}
