//! Who is asked for a name, for a person.
use std::net::SocketAddr;

use super::NameServers;
use crate::{config::DnsServer, policy::Name};

impl NameServers {
    /// The servers that a name is asked of, in their order.
    pub(super) fn servers_of(&self, name: &Name) -> String {
        let is_of = |domain: &Name| {
            let before = name.as_str().strip_suffix(domain.as_str());
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let forwards = self.settings.forward.iter().filter(|forward| is_of(&forward.domain));
        let longest = forwards.max_by_key(|forward| forward.domain.as_str().len());
        let written = longest.map_or(&self.settings.servers, |forward| &forward.servers);
        let system = self.current().system.clone();
        let texts = written.iter().flat_map(|server| match server {
            DnsServer::System => system.iter().map(ToString::to_string).collect(),
            DnsServer::Address(at) => vec![plain(at, 53)],
            DnsServer::Tls { address, .. } => vec![format!("tls://{}", plain(address, 853))],
            DnsServer::Https { address, .. } => vec![format!("https://{}", plain(address, 443))],
        });
        texts.collect::<Vec<_>>().join(", ")
    }
}

/// Without the port that is everybody's.
fn plain(at: &SocketAddr, usual: u16) -> String {
    if at.port() == usual { at.ip().to_string() } else { at.to_string() }
}
