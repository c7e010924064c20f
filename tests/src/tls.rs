//! TLS in front of an S3 server, as Backblaze has it: a real nginx with a certificate of its own making.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use xtask::process::{Guarded, ScratchDirectory, scratch_directory};
use xtask::tools::Tools;

const CONFIGURATION: &str = include_str!("../nginx/tls.conf");

/// How long nginx may take until it listens.
const START: Duration = Duration::from_secs(60);

/// A running front. Dropping it ends it.
#[derive(Debug)]
pub struct TlsFront {
    /// Where it listens, `https://127.0.0.1:PORT`.
    pub url: String,
    /// The certificate, for who is to trust it.
    pub certificate: PathBuf,
    // Before the folder, so that it has ended when that goes.
    _process: Guarded,
    _folder: ScratchDirectory,
}

impl TlsFront {
    /// Starts it before that server (a URL without a slash at the end).
    ///
    /// # Errors
    /// Fails when nginx is not installed or does not listen in time.
    pub fn start(server: &str) -> Result<Self> {
        let folder = scratch_directory("tls")?;
        let inside = |name: &str| folder.path().join(name);
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let certificate = inside("certificate.pem");
        fs::write(&certificate, made.cert.pem())?;
        fs::write(inside("key.pem"), made.signing_key.serialize_pem())?;
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let place = folder.path().to_str().context("a folder in UTF-8")?;
        let configuration = CONFIGURATION
            .replace("FOLDER", place)
            .replace("PORT", &address.port().to_string())
            .replace("ORIGIN", server);
        fs::write(inside("nginx.conf"), configuration)?;
        let mut command = Command::new(Tools::load()?.nginx()?);
        command
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(inside("nginx.conf"))
            .arg("-e")
            .arg(inside("error.log"));
        let mut process = Guarded::spawn("nginx", command, &inside("error.log"))?;
        process.wait_until(START, |_| TcpStream::connect(address).ok())?;
        Ok(Self {
            url: format!("https://{address}"),
            certificate,
            _process: process,
            _folder: folder,
        })
    }
}
