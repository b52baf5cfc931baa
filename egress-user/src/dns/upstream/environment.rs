//! What the client of the name servers finds on the machine, besides its settings.

use std::{io, net::IpAddr, path::PathBuf, sync::Arc};

use hickory_resolver::proto::dnssec::TrustAnchors;
use rustls::RootCertStore;

use super::{RESOLV_CONF, ServersError, cache::Clock, system};
use crate::host::{Traced, Writer};

/// What is not in the settings.
pub(super) struct Environment {
    pub(super) resolv_conf: PathBuf,
    pub(super) system_port: u16,
    /// None: the system's, read once; none where no server needs them.
    pub(super) roots: Option<RootCertStore>,
    pub(super) trust_anchors: Arc<TrustAnchors>,
    pub(super) writer: Writer,
    pub(super) clock: Clock,
}

impl Default for Environment {
    fn default() -> Self {
        Self {
            resolv_conf: RESOLV_CONF.into(),
            system_port: 53,
            roots: None,
            trust_anchors: Arc::default(),
            writer: Writer::Nobody,
            clock: Arc::new(crate::clock::boottime_ns),
        }
    }
}

impl Environment {
    pub(super) fn read_system(&self) -> Result<Vec<IpAddr>, ServersError> {
        system::read(&self.resolv_conf).map_err(|source| self.failed(source))
    }

    /// The system's configuration, open; none when the writer could have written it. An error when it is
    /// not there, which changes nothing.
    pub(super) fn trusted(&self) -> Option<Result<Traced, ServersError>> {
        match Traced::open(&self.resolv_conf) {
            Ok(traced) if self.writer.could_write(&traced) => None,
            Ok(traced) => Some(Ok(traced)),
            Err(_) if matches!(self.writer, Writer::Root) => None,
            Err(error) => Some(Err(self.failed(error))),
        }
    }

    /// What [`Self::trusted`] has in it.
    pub(super) fn read_trusted(&self) -> Option<Result<Vec<IpAddr>, ServersError>> {
        let trusted = self.trusted()?;
        Some(trusted.and_then(|mut traced| self.read_open(&mut traced)))
    }

    fn read_open(&self, traced: &mut Traced) -> Result<Vec<IpAddr>, ServersError> {
        system::read_open(&mut traced.file).map_err(|source| self.failed(source))
    }

    pub(super) fn failed(&self, source: io::Error) -> ServersError {
        ServersError::System { path: self.resolv_conf.clone(), source }
    }
}
