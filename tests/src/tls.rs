//! TLS in front of an S3 server, as Backblaze has it: a real nginx with a certificate of its own making.

use std::fs;
use std::path::PathBuf;

use anyhow::Result;
use testkit::process::scratch_directory;
use testkit::stack::Nginx;

const CONFIGURATION: &str = include_str!("../nginx/tls.conf");

/// A running front. Dropping it ends it.
#[derive(Debug)]
pub struct TlsFront {
    /// Where it listens, `https://127.0.0.1:PORT`.
    pub url: String,
    /// The certificate, for who is to trust it.
    pub certificate: PathBuf,
    _nginx: Nginx,
}

impl TlsFront {
    /// Starts it before that server (a URL without a slash at the end).
    ///
    /// # Errors
    /// Fails when nginx is not installed or does not listen in time.
    pub fn start(server: &str) -> Result<Self> {
        let folder = scratch_directory("tls")?;
        let made =
            rcgen::generate_simple_self_signed(["127.0.0.1".to_owned(), "localhost".to_owned()])?;
        let certificate = folder.path().join("certificate.pem");
        fs::write(&certificate, made.cert.pem())?;
        fs::write(
            folder.path().join("key.pem"),
            made.signing_key.serialize_pem(),
        )?;
        let nginx = Nginx::start_in(folder, CONFIGURATION, server)?;
        Ok(Self {
            url: format!("https://{}", nginx.address),
            certificate,
            _nginx: nginx,
        })
    }
}
