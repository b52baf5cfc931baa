//! The ports of protocols that are not HTTP.
//!
//! Connections to them go straight out where nothing needs the proxy: what their protocol says first shows the kernel
//! side that it is no request. Where web servers are commonly met as well, and where clients wait for an answer to
//! less than a line, the proxy is the better way: those are not listed.

/// A port on which HTTP is not expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpaquePort {
    /// Its number.
    pub port: u16,
    /// The protocol that is spoken there.
    pub protocol: &'static str,
    /// How a client begins, which is no request of HTTP.
    pub begins: &'static str,
}

const LINES: &str = "the server speaks first, then commands in lines";
const TLS: &str = "a TLS hello, whose name is judged";
const LENGTH: &str = "a binary message, its length first";
const BER: &str = "a message in ASN.1";

const fn port(port: u16, protocol: &'static str, begins: &'static str) -> OpaquePort {
    OpaquePort { port, protocol, begins }
}

/// All of them, sorted by port.
pub const OPAQUE_PORTS: [OpaquePort; 54] = [
    port(21, "FTP, its commands", LINES),
    port(22, "SSH", "both say a line with their version"),
    port(25, "SMTP", LINES),
    port(43, "WHOIS", "one line that names what is asked for"),
    port(88, "Kerberos", LENGTH),
    port(110, "POP3", LINES),
    port(119, "NNTP", LINES),
    port(143, "IMAP", LINES),
    port(389, "LDAP", BER),
    port(445, "SMB", LENGTH),
    port(465, "SMTP in TLS", TLS),
    port(563, "NNTP in TLS", TLS),
    port(587, "SMTP for mail clients", LINES),
    port(636, "LDAP in TLS", TLS),
    port(853, "DNS in TLS", TLS),
    port(873, "rsync", "both say a line with their version"),
    port(989, "FTP in TLS, its data", TLS),
    port(990, "FTP in TLS, its commands", TLS),
    port(993, "IMAP in TLS", TLS),
    port(995, "POP3 in TLS", TLS),
    port(1433, "SQL Server", "a binary message, its kind first"),
    port(1521, "Oracle Database", LENGTH),
    port(1883, "MQTT", "a binary message, its kind first"),
    port(2181, "ZooKeeper", LENGTH),
    port(3306, "MySQL and MariaDB", "the server speaks first, then binary messages"),
    port(3690, "Subversion", "the server speaks first, then lists in brackets"),
    port(4222, "NATS", LINES),
    port(5060, "SIP", "requests of its own, with a version of its own"),
    port(5061, "SIP in TLS", TLS),
    port(5222, "XMPP", "an XML document"),
    port(5223, "XMPP in TLS", TLS),
    port(5269, "XMPP between servers", "an XML document"),
    port(5432, "PostgreSQL", LENGTH),
    port(5433, "PostgreSQL, a second server", LENGTH),
    port(5671, "AMQP in TLS", TLS),
    port(5672, "AMQP", "its name, then numbers"),
    port(6379, "Redis", "lists of strings, each with its length"),
    port(6380, "Redis in TLS", TLS),
    port(6432, "PostgreSQL by PgBouncer", LENGTH),
    port(6667, "IRC", "commands in lines"),
    port(6697, "IRC in TLS", TLS),
    port(8883, "MQTT in TLS", TLS),
    port(9042, "Cassandra", "a binary message, its version first"),
    port(9092, "Kafka", LENGTH),
    port(9093, "Kafka in TLS", TLS),
    port(9142, "Cassandra in TLS", TLS),
    port(9418, "Git", "a line with its length first"),
    port(11211, "memcached", "commands in lines, or binary messages"),
    port(26379, "Redis Sentinel", "lists of strings, each with its length"),
    port(27017, "MongoDB", LENGTH),
    port(27018, "MongoDB, a shard", LENGTH),
    port(27019, "MongoDB, its configuration", LENGTH),
    port(33060, "MySQL, its X protocol", LENGTH),
    port(61613, "STOMP", "a frame that begins with its command in a line"),
];

/// The entry of a port, where it is one of them.
pub fn opaque_port(port: u16) -> Option<&'static OpaquePort> {
    let at = OPAQUE_PORTS.binary_search_by_key(&port, |entry| entry.port).ok()?;
    OPAQUE_PORTS.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::WEB_PORTS;

    #[test]
    fn each_port_stands_once_and_is_none_of_the_webs() {
        assert!(OPAQUE_PORTS.is_sorted_by(|one, other| one.port < other.port));
        for entry in &OPAQUE_PORTS {
            assert_eq!(opaque_port(entry.port), Some(entry));
            // Where web servers are commonly met, and DNS, which is answered here.
            let web = [
                53, 81, 591, 2375, 3000, 3128, 5000, 5601, 7000, 8000, 8008, 8081, 8888, 9000,
                9090, 9200,
            ];
            assert!(!web.contains(&entry.port) && !WEB_PORTS.contains(&entry.port), "{entry:?}");
        }
        assert_eq!(opaque_port(8080), None);
    }
}
