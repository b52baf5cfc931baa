//! Name servers, shared by the sandboxes that ask the same ones on the same terms: one cache, one watch of
//! the system's configuration.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::{
    config::DnsSettings,
    dns::{NameServers, ServersError},
    host::Writer,
};

/// Those that a sandbox uses.
#[derive(Default)]
pub(super) struct NameServerPool {
    known: Mutex<Vec<(DnsSettings, Writer, Weak<NameServers>)>>,
}

impl NameServerPool {
    /// The servers of these settings, for a command that could write what `writer` says.
    ///
    /// # Errors
    /// When there are none yet and they cannot be made.
    pub(super) fn of(
        &self,
        settings: &DnsSettings,
        writer: Writer,
    ) -> Result<Arc<NameServers>, ServersError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, _, servers)| servers.strong_count() > 0);
        let same = known.iter().find(|(of, by, _)| of == settings && *by == writer);
        if let Some(servers) = same.and_then(|(_, _, servers)| servers.upgrade()) {
            return Ok(servers);
        }
        let servers = Arc::new(NameServers::new(settings, writer.clone())?);
        known.push((settings.clone(), writer, Arc::downgrade(&servers)));
        Ok(servers)
    }
}
