//! The network namespace that egress is started in, and who answers lookups there.

use std::{
    fs, io,
    net::{IpAddr, Ipv6Addr},
    path::{Path, PathBuf},
};

use nix::{ifaddrs::getifaddrs, net::if_::InterfaceFlags, sys::socket::SockaddrStorage};

use super::Finding;

const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Sockets by which the C library asks a local cache. A sandbox does not see them, so that lookups
/// come by DNS and are judged.
const CACHES: [(&str, &str); 3] = [
    ("nscd", "/run/nscd/socket"),
    ("nscd", "/var/run/nscd/socket"),
    ("systemd-resolved", "/run/systemd/resolve/io.systemd.Resolve"),
];

pub(super) fn all() -> Vec<Finding> {
    let (is_up, has_v6) = loopback();
    let link = fs::canonicalize(RESOLV_CONF).unwrap_or_else(|_| PathBuf::from(RESOLV_CONF));
    let found: Vec<_> =
        CACHES.iter().filter(|(_, path)| Path::new(path).exists()).map(|(name, _)| *name).collect();
    vec![
        interface(is_up),
        ipv6(has_v6),
        resolver(&link, fs::read_to_string(RESOLV_CONF)),
        caches(found),
    ]
}

/// Whether `lo` is up, and whether it has `::1`.
fn loopback() -> (bool, bool) {
    let Ok(addresses) = getifaddrs() else { return (false, false) };
    let of_lo: Vec<_> =
        addresses.filter(|entry| entry.flags.contains(InterfaceFlags::IFF_LOOPBACK)).collect();
    let is_up = of_lo.iter().any(|entry| entry.flags.contains(InterfaceFlags::IFF_UP));
    let is_one = |address: &SockaddrStorage| {
        address.as_sockaddr_in6().is_some_and(|v6| v6.ip() == Ipv6Addr::LOCALHOST)
    };
    let has_v6 = of_lo.iter().any(|entry| entry.address.as_ref().is_some_and(is_one));
    (is_up, is_up && has_v6)
}

fn interface(is_up: bool) -> Finding {
    if is_up {
        return Finding::ok("loopback", "lo is up");
    }
    Finding::missing("loopback", "lo is down in this network namespace")
        .loses("everything: the kernel passes connections to egress over it")
        .advise("ip link set lo up")
}

fn ipv6(has_v6: bool) -> Finding {
    if has_v6 {
        return Finding::ok("IPv6 loopback", "::1 is there");
    }
    Finding::warning("IPv6 loopback", "no ::1")
        .loses("nothing; programs in a sandbox have no IPv6, as it is all refused")
        .advise("sysctl net.ipv6.conf.lo.disable_ipv6=0, unless IPv6 is off on purpose")
}

/// `path` is the file behind /etc/resolv.conf; `text` is what it says.
fn resolver(path: &Path, text: io::Result<String>) -> Finding {
    const CHECK: &str = "name servers";
    let advice = format!(
        "write `nameserver ADDRESS` into {RESOLV_CONF}, or name servers in the policy: \
         [network.dns] servers = [\"ADDRESS\"]"
    );
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            return Finding::warning(CHECK, format!("{RESOLV_CONF} cannot be read: {error}"))
                .loses("nothing; names do not resolve in a sandbox")
                .advise(advice);
        }
    };
    let servers = servers(&text);
    if servers.is_empty() {
        return Finding::warning(CHECK, format!("{RESOLV_CONF} names none"))
            .loses("nothing; names do not resolve in a sandbox")
            .advise(advice);
    }
    let stub = if path.starts_with("/run/systemd/resolve") || servers.contains(&STUB) {
        " (systemd-resolved)"
    } else {
        ""
    };
    let list: Vec<_> = servers.iter().map(IpAddr::to_string).collect();
    Finding::ok(CHECK, format!("{}{stub}", list.join(", ")))
}

/// Where systemd-resolved listens.
const STUB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 53));

/// The name servers of a resolv.conf(5), without the interface that may follow `%`.
fn servers(text: &str) -> Vec<IpAddr> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("nameserver")).then_some(words.next()?)
        })
        .filter_map(|word| word.split('%').next()?.parse().ok())
        .collect()
}

fn caches(mut found: Vec<&str>) -> Finding {
    found.dedup();
    match found.as_slice() {
        [] => Finding::ok("name caches", "none"),
        names => {
            let names = names.join(", ");
            Finding::ok("name caches", format!("{names}; hidden from sandboxes, which ask by DNS"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn name_servers_are_read_as_the_c_library_reads_them() {
        let text = "# nameserver 192.0.2.1\nsearch example.org\nnameserver 192.0.2.2 # first\n\
                    \tnameserver\tfe80::1%eth0\nnameserver\nnameserver nonsense\nnameservers 1.1.1.1\n";
        let expected: [IpAddr; 2] = ["192.0.2.2".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(servers(text), expected);
    }

    #[test]
    fn a_resolver_without_servers_is_a_warning_with_what_to_write() {
        let path = Path::new(RESOLV_CONF);
        for text in [Ok(String::new()), Err(io::ErrorKind::NotFound.into())] {
            let finding = resolver(path, text);
            assert_eq!(finding.status, Status::Warning);
            assert!(finding.advice.unwrap().contains("nameserver ADDRESS"));
        }
    }

    #[test]
    fn systemd_resolved_is_known_by_its_file_and_by_its_address() {
        let of = |path: &str, text: &str| resolver(Path::new(path), Ok(text.to_owned())).found;
        let stub = "nameserver 127.0.0.53\n";
        assert_eq!(of(RESOLV_CONF, stub), "127.0.0.53 (systemd-resolved)");
        let real = "nameserver 192.0.2.1\n";
        let link = "/run/systemd/resolve/resolv.conf";
        assert_eq!(of(link, real), "192.0.2.1 (systemd-resolved)");
        assert_eq!(of(RESOLV_CONF, real), "192.0.2.1");
    }

    #[test]
    fn a_down_loopback_bars_a_start_and_a_missing_ipv6_does_not() {
        assert_eq!(interface(false).status, Status::Missing);
        assert_eq!(ipv6(false).status, Status::Warning);
        assert_eq!(caches(vec!["nscd", "nscd"]).found.matches("nscd").count(), 1);
    }
}
