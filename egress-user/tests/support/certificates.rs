//! A certificate authority that lives as long as one test.
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A server configuration good for `names`, and the authority's certificate in PEM for the clients to trust.
pub(crate) fn authority_for(names: Vec<String>) -> (Arc<ServerConfig>, String) {
    let key = || KeyPair::generate().expect("make a key");
    let mut authority = CertificateParams::new(Vec::new()).expect("describe the authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    authority.distinguished_name.push(rcgen::DnType::CommonName, "test world authority");
    let authority = CertifiedIssuer::self_signed(authority, key()).expect("sign the authority");

    let leaf_key = key();
    let mut leaf = CertificateParams::new(names).expect("describe the certificate");
    leaf.use_authority_key_identifier_extension = true;
    leaf.distinguished_name.push(rcgen::DnType::CommonName, "test world site");
    let leaf = leaf.signed_by(&leaf_key, &authority).expect("sign the certificate");

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("choose TLS versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![leaf.der().clone()],
            PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(leaf_key.serialize_der())),
        )
        .expect("make the server's TLS configuration");
    (Arc::new(config), authority.pem())
}
