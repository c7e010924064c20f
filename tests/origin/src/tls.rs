//! TLS, as clients reach every real bucket.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::TlsAcceptor;

/// Makes a certificate for loopback, and writes it to the file `certificate` for who is to trust it.
///
/// # Errors
/// When it cannot be made or written.
pub(crate) fn acceptor(certificate: &Path) -> anyhow::Result<TlsAcceptor> {
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(certificate, made.cert.pem())
        .with_context(|| format!("could not write `{}`", certificate.display()))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
