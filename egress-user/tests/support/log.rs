//! What the far side's servers saw, kept for assertions and for the report of a failed one.
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Mutex, MutexGuard};

/// One DNS query that reached a name server of the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Lower case, without the trailing dot.
    pub(crate) name: String,
    /// `A`, `AAAA`, `TXT`, ...
    pub(crate) kind: String,
    /// The address that was asked.
    pub(crate) server: IpAddr,
    pub(crate) transport: &'static str,
}

/// One HTTP request that reached a server, in the clear or within TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) at: SocketAddr,
    /// The TLS server name, where there was TLS and it had one.
    pub(crate) sni: Option<String>,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) path: String,
}

/// One accepted connection; for UDP, one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(crate) transport: &'static str,
    pub(crate) at: SocketAddr,
    /// Payload bytes read from it so far, as they came over the wire.
    pub(crate) received: usize,
    /// The TLS server name, once the handshake told it.
    pub(crate) sni: Option<String>,
    /// The client has closed, or has been silent for too long.
    pub(crate) ended: bool,
}

/// Everything the servers of one namespace saw.
#[derive(Default)]
pub(crate) struct Log {
    queries: Mutex<Vec<Query>>,
    requests: Mutex<Vec<Request>>,
    contacts: Mutex<Vec<Contact>>,
}

impl Log {
    pub(crate) fn queries(&self) -> Vec<Query> {
        read(&self.queries).clone()
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        read(&self.requests).clone()
    }

    pub(crate) fn contacts(&self) -> Vec<Contact> {
        read(&self.contacts).clone()
    }

    /// Notes a query and says how many with the same name and type came before it.
    pub(crate) fn query(&self, query: Query) -> usize {
        let mut queries = read(&self.queries);
        let before =
            queries.iter().filter(|q| q.name == query.name && q.kind == query.kind).count();
        queries.push(query);
        before
    }

    pub(crate) fn request(&self, request: Request) {
        read(&self.requests).push(request);
    }

    /// Notes a contact; the index lets its bytes be counted as they come.
    pub(crate) fn contact(&self, transport: &'static str, at: SocketAddr) -> usize {
        let mut contacts = read(&self.contacts);
        contacts.push(Contact { transport, at, received: 0, sni: None, ended: false });
        contacts.len() - 1
    }

    pub(crate) fn received(&self, contact: usize, bytes: usize) {
        read(&self.contacts)[contact].received += bytes;
    }

    pub(crate) fn named(&self, contact: usize, sni: Option<String>) {
        read(&self.contacts)[contact].sni = sni;
    }

    pub(crate) fn ended(&self, contact: usize) {
        read(&self.contacts)[contact].ended = true;
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Query { name, kind, server, transport } in self.queries() {
            writeln!(f, "  query {name} {kind} to {server} over {transport}")?;
        }
        for Contact { transport, at, received, sni, .. } in self.contacts() {
            writeln!(f, "  {transport} at {at}: {received} bytes, server name {sni:?}")?;
        }
        for Request { at, method, host, path, .. } in self.requests() {
            writeln!(f, "  request at {at}: {method} {path} for host {host:?}")?;
        }
        Ok(())
    }
}

/// The list, also after a server's thread has panicked: the report of that panic needs it.
fn read<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
