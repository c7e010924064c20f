//! The nginx of one's own: what `medialift nginx` prints, run by a real nginx.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use testkit::process::{ScratchDirectory, memory_directory};
use testkit::stack::{Nginx, free_address, nginx_command};

use crate::medialift;

/// What stands around the printed configuration.
const AROUND: &str = include_str!("../nginx/own.conf");

/// A folder in which a printed configuration can run.
pub struct Site {
    folder: ScratchDirectory,
    /// The address at which it is to listen.
    pub address: SocketAddr,
}

impl Site {
    /// An empty one.
    ///
    /// # Errors
    /// No folder or no port is free.
    pub fn new() -> Result<Self> {
        Ok(Self {
            folder: memory_directory("own-nginx")?,
            address: free_address()?,
        })
    }

    /// The folder: for certificates and the like.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What `medialift nginx` prints with these arguments, its cache in this folder. `origin` is a
    /// server and a bucket, `https://localhost:9000/media`.
    ///
    /// # Errors
    /// The command fails.
    pub fn print(&self, files_url: &str, origin: &str, arguments: &[&str]) -> Result<String> {
        let (endpoint, bucket) = origin.rsplit_once('/').context("a bucket's URL")?;
        let mut command = medialift::command(self.folder())?;
        command
            .args(["nginx", "--quiet", "--files-url", files_url])
            .args(["--endpoint", endpoint, "--bucket", bucket, "--cache-dir"])
            .arg(self.folder().join("cache"))
            .args(arguments);
        let ran = medialift::run(&mut command)?;
        ensure!(ran.code == Some(0), "{ran:?}");
        Ok(ran.stdout)
    }

    /// Lets nginx check a configuration, and returns what it says.
    ///
    /// # Errors
    /// It is refused, and anything that keeps nginx from looking.
    pub fn test(&self, configuration: &str) -> Result<String> {
        let place = self.folder().to_str().context("a folder's name in UTF-8")?;
        let (file, log) = (self.folder().join("nginx.conf"), self.folder().join("log"));
        fs::write(self.folder().join("site.conf"), configuration)?;
        fs::write(&file, AROUND.replace("FOLDER", place))?;
        let output = nginx_command(&self.folder, &file, &log)?
            .arg("-t")
            .output()?;
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{printed}\n{configuration}");
        Ok(printed)
    }

    /// Starts nginx with it.
    ///
    /// # Errors
    /// As [`Self::test`]; it does not listen in time.
    pub fn start(self, configuration: &str) -> Result<Nginx> {
        self.test(configuration)?;
        Nginx::start_at(self.address, self.folder, AROUND, "")
    }
}

/// Starts the printed proxy over plain HTTP, before that origin.
///
/// # Errors
/// As [`Site::start`].
pub fn start(origin: &str, arguments: &[&str]) -> Result<Nginx> {
    let site = Site::new()?;
    let configuration = site.print(&format!("http://{}", site.address), origin, arguments)?;
    site.start(&configuration)
}
