//! TLS to name servers: the system's certificates decide, and nothing is ever asked without them.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_native_certs::CertificateResult;

use super::ServersError;
use crate::config::{DnsServer, DnsSettings};

/// Whether any server is asked by TLS.
pub(super) fn uses_tls(settings: &DnsSettings) -> bool {
    let lists = settings.forward.iter().map(|forward| &forward.servers);
    lists
        .chain([&settings.servers])
        .flatten()
        .any(|server| matches!(server, DnsServer::Tls { .. } | DnsServer::Https { .. }))
}

/// The certificates that the system trusts, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`.
///
/// # Errors
/// [`ServersError::NoRoots`] when there is not one.
pub(super) fn system_roots() -> Result<RootCertStore, ServersError> {
    match PRELOADED.get() {
        Some(roots) => Ok(roots.clone()),
        None => roots_of(rustls_native_certs::load_native_certs()),
    }
}

static PRELOADED: OnceLock<RootCertStore> = OnceLock::new();

/// Reads the certificates where name servers with these settings are asked by TLS, for a process that cannot read them
/// later: they may be root's alone.
///
/// # Errors
/// [`ServersError::NoRoots`] when there is not one.
pub fn preload(settings: &DnsSettings) -> Result<(), ServersError> {
    if uses_tls(settings) {
        let roots = system_roots()?;
        PRELOADED.get_or_init(|| roots);
    }
    Ok(())
}

fn roots_of(found: CertificateResult) -> Result<RootCertStore, ServersError> {
    let mut roots = RootCertStore::empty();
    // One that rustls cannot read is one authority less, not a reason to trust nobody.
    let _ = roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        return Err(ServersError::NoRoots(why.join("; ")));
    }
    Ok(roots)
}

/// A client that believes these authorities alone.
pub(super) fn client(roots: RootCertStore) -> Result<ClientConfig, ServersError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| ServersError::Client(error.into()))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_authority_is_an_error_with_advice() {
        let error = roots_of(CertificateResult::default()).unwrap_err().to_string();
        assert!(error.contains("ca-certificates") && error.contains("SSL_CERT_FILE"), "{error}");
        // What cannot be read is no authority.
        let mut broken = CertificateResult::default();
        broken.certs.push(b"no certificate".to_vec().into());
        assert!(roots_of(broken).is_err());
    }
}
