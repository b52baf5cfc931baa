//! A certificate authority that lives as long as one test.
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What TLS servers that ask every client for a second hello need: a certificate and its key in PEM, and the same for one
/// of rustls's make, which takes no key share but P-384's.
pub(crate) struct Retrying {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) config: Arc<ServerConfig>,
}

impl Retrying {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().expect("make a key");
        let params = CertificateParams::new(vec!["allowed.test".to_owned()]);
        let certificate = params.and_then(|params| params.self_signed(&key));
        let certificate = certificate.expect("sign a certificate");
        let mut provider = rustls::crypto::ring::default_provider();
        provider.kx_groups = vec![rustls::crypto::ring::kx_group::SECP384R1];
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("choose TLS versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
            )
            .expect("make the server's TLS configuration");
        Self { certificate: certificate.pem(), key: key.serialize_pem(), config: Arc::new(config) }
    }
}

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
