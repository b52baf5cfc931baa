//! Sets of ports, and the ports of which something is expected.
use std::sync::Arc;

/// Ports on which TLS is expected: connections to them go straight out where nothing needs the proxy.
pub const TLS_PORTS: [u16; 2] = [443, 8443];

/// Ports on which plain HTTP is expected: every request has to be read, so that they are always the proxy's.
pub const HTTP_PORTS: [u16; 2] = [80, 8080];

/// [`TLS_PORTS`] and [`HTTP_PORTS`]: anything else needs `protocol = "any"` there. Sorted.
pub const WEB_PORTS: [u16; 4] = [HTTP_PORTS[0], TLS_PORTS[0], HTTP_PORTS[1], TLS_PORTS[1]];

/// Ports, exactly. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSet {
    /// Every port but 0.
    All,
    /// These ports, sorted.
    Only(Arc<[u16]>),
}

impl PortSet {
    /// These ports, sorted and each once.
    pub fn only(mut ports: Vec<u16>) -> Self {
        ports.sort_unstable();
        ports.dedup();
        PortSet::Only(ports.into())
    }

    /// Whether the port is one of the set; 0 never is.
    pub fn contains(&self, port: u16) -> bool {
        port != 0
            && match self {
                PortSet::All => true,
                PortSet::Only(ports) => ports.binary_search(&port).is_ok(),
            }
    }

    /// Whether every port of the other is one of this.
    pub fn covers(&self, other: &PortSet) -> bool {
        match (self, other) {
            (PortSet::All, _) => true,
            (PortSet::Only(_), PortSet::All) => false,
            (PortSet::Only(_), PortSet::Only(ports)) => {
                ports.iter().all(|&port| self.contains(port))
            }
        }
    }

    /// Ports of either.
    #[must_use]
    pub fn union(self, other: &PortSet) -> Self {
        match (&self, other) {
            (PortSet::All, _) | (_, PortSet::All) => PortSet::All,
            (PortSet::Only(ours), PortSet::Only(theirs)) => {
                Self::only([&**ours, &**theirs].concat())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{HTTP_PORTS, PortSet, TLS_PORTS, WEB_PORTS};

    #[test]
    fn a_union_has_the_ports_of_both_each_once() {
        let set = |ports: &[u16]| PortSet::only(ports.to_vec());
        assert_eq!(set(&[443, 22]).union(&set(&[22, 80])), set(&[22, 80, 443]));
        assert_eq!(set(&[]).union(&set(&[22])), set(&[22]));
        assert_eq!(set(&[22]).union(&PortSet::All), PortSet::All);
        assert_eq!(PortSet::All.union(&set(&[22])), PortSet::All);
    }

    #[test]
    fn web_ports_are_those_of_tls_and_http() {
        assert!(WEB_PORTS.is_sorted());
        for port in TLS_PORTS.into_iter().chain(HTTP_PORTS) {
            assert!(WEB_PORTS.contains(&port), "{port}");
        }
    }
}
