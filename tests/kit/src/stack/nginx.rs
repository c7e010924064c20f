//! nginx with the directives that the worker replaces, in a folder and on a port of its
//! own.
//!
//! It is started as an ordinary child, not as the service: no file outside its temporary folder is
//! read or written. The directives stand in `tests/nginx/files.conf`.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::free_address;
use crate::process::{Guarded, ScratchDirectory, memory_directory};
use crate::setup::{self, Need};
use crate::tools;

const DIRECTIVES: &str = include_str!("../../../nginx/files.conf");

/// How long nginx may take until it listens.
const START: Duration = Duration::from_secs(60);

/// A running nginx. Dropping it ends it and removes its folder.
#[derive(Debug)]
pub struct Nginx {
    /// Where it listens.
    pub address: SocketAddr,
    // Before the folder, so that it has ended when that goes.
    process: Guarded,
    _folder: ScratchDirectory,
}

impl Nginx {
    /// Starts nginx in front of that origin (a URL without a slash at the end).
    ///
    /// # Errors
    /// nginx is not there, refuses its configuration, or does not listen in time.
    pub fn start(origin: &str) -> Result<Self> {
        let folder = memory_directory("nginx")?;
        std::fs::create_dir(folder.path().join("system"))?;
        Self::start_in(folder, DIRECTIVES, origin)
    }

    /// Starts nginx with another configuration, in which `FOLDER`, `PORT` and `ORIGIN` are filled in; what
    /// else it names is in `folder` already.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(folder: ScratchDirectory, configuration: &str, origin: &str) -> Result<Self> {
        Self::start_at(free_address()?, folder, configuration, origin)
    }

    /// As [`Self::start_in`], for a configuration that names its address in other words than `PORT`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at(
        address: SocketAddr,
        folder: ScratchDirectory,
        configuration: &str,
        origin: &str,
    ) -> Result<Self> {
        let place = folder
            .path()
            .to_str()
            .context("a temporary folder with a name in UTF-8")?;
        let configuration = configuration
            .replace("FOLDER", place)
            .replace("PORT", &address.port().to_string())
            .replace("ORIGIN", origin);
        let (file, log) = (
            folder.path().join("nginx.conf"),
            folder.path().join("error.log"),
        );
        std::fs::write(&file, configuration)?;
        let command = command(&folder, &file, &log)?;
        let mut process = Guarded::spawn("nginx", command, &log)?;
        process.wait_until(START, |_| TcpStream::connect(address).ok())?;
        Ok(Self {
            address,
            process,
            _folder: folder,
        })
    }

    /// The process id; it leads a group of its own.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it wrote into its error log so far.
    #[must_use]
    pub fn error_log(&self) -> String {
        self.process.log()
    }
}

/// nginx with that configuration and no file outside of the folder. Before 1.20 it opens the log that it was
/// compiled with too, before it reads the configuration; where it may not, it says so and goes on.
///
/// # Errors
/// There is no nginx, and none can be had.
pub fn command(folder: &ScratchDirectory, file: &Path, log: &Path) -> Result<Command> {
    let nginx = setup::place(Need::Nginx)?;
    let mut command = Command::new(&nginx);
    command.arg("-p").arg(folder.path()).arg("-c").arg(file);
    if tools::nginx_takes_log(&nginx) {
        command.arg("-e").arg(log);
    }
    Ok(command)
}
