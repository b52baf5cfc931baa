//! The arguments of socket(2) in words.

use std::fmt;

/// `socket(AF_INET, SOCK_RAW, ICMP)`.
pub(super) fn fmt(
    family: i32,
    kind: i32,
    protocol: i32,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.write_str("socket(")?;
    match family {
        libc::AF_INET => f.write_str("AF_INET")?,
        libc::AF_INET6 => f.write_str("AF_INET6")?,
        other => write!(f, "family {other}")?,
    }
    match kind {
        libc::SOCK_STREAM => f.write_str(", SOCK_STREAM")?,
        libc::SOCK_DGRAM => f.write_str(", SOCK_DGRAM")?,
        libc::SOCK_RAW => f.write_str(", SOCK_RAW")?,
        other => write!(f, ", type {other}")?,
    }
    match protocol {
        libc::IPPROTO_ICMP => f.write_str(", ICMP)"),
        libc::IPPROTO_ICMPV6 => f.write_str(", ICMPv6)"),
        libc::IPPROTO_SCTP => f.write_str(", SCTP)"),
        libc::IPPROTO_UDPLITE => f.write_str(", UDP-Lite)"),
        libc::IPPROTO_MPTCP => f.write_str(", MPTCP)"),
        other => write!(f, ", protocol {other})"),
    }
}
