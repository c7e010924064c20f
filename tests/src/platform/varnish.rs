//! Debian's Varnish with the directives of `tests/platform/cache.vcl`, in a folder and on a port of its
//! own, without root.

use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::setup::{self, Need};

const DIRECTIVES: &str = include_str!("../../platform/cache.vcl");

/// How long Varnish may take until it listens: it compiles its directives first.
const START: Duration = Duration::from_secs(60);

/// What Varnish does by default, and a cache that follows the answer's directives does not: a
/// freshness where none is stated, grace where none is stated, compressing, and waiting for an idle
/// connection. An expired copy is kept to be confirmed.
const PARAMETERS: [&str; 9] = [
    "default_ttl=0",
    "default_grace=0",
    "default_keep=86400",
    "http_gzip_support=off",
    "thread_pool_min=100",
    "thread_pool_max=2500",
    "thread_queue_limit=2500",
    "listen_depth=4096",
    "vsl_mask=-Debug",
];

/// A running Varnish. Dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct Varnish {
    // Before the folder, so that it has ended when that goes.
    process: Guarded,
    _folder: ScratchDirectory,
}

impl Varnish {
    /// Starts it on an address, in front of the media entry's.
    ///
    /// # Errors
    /// Varnish is not there, refuses its directives, or does not listen in time.
    pub fn start(address: SocketAddr, media: SocketAddr) -> Result<Self> {
        let folder = scratch_directory("varnish")?;
        let directives = folder.path().join("cache.vcl");
        std::fs::write(
            &directives,
            DIRECTIVES.replace("MEDIA_PORT", &media.port().to_string()),
        )?;
        let mut command = Command::new(setup::place(Need::Varnish)?);
        command
            .arg("-F")
            .arg("-n")
            .arg(folder.path().join("state"))
            .arg("-a")
            .arg(address.to_string())
            .arg("-f")
            .arg(&directives)
            .args(["-s", "malloc,256m"]);
        for parameter in PARAMETERS {
            command.args(["-p", parameter]);
        }
        let mut process = Guarded::spawn("Varnish", command, &folder.path().join("varnish.log"))?;
        process.wait_until(START, |_| TcpStream::connect(address).ok())?;
        Ok(Self {
            process,
            _folder: folder,
        })
    }

    /// What it printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}
