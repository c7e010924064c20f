//! Debian's nginx with the directives that the worker replaces, in a folder and on a port of its
//! own.
//!
//! It is started as an ordinary child, not as the service: no file outside its temporary folder is
//! read or written. The directives stand in `tests/nginx/files.conf`.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

const DIRECTIVES: &str = include_str!("../nginx/files.conf");

/// How long nginx may take until it listens.
const START: Duration = Duration::from_secs(10);

/// A running nginx. Dropping it ends it and removes its folder.
pub struct Nginx {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx in front of that origin (a URL without a slash at the end).
    ///
    /// # Errors
    /// nginx is not installed, refuses its configuration, or does not listen in time.
    pub fn start(origin: &str) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("medialift-nginx-")
            .tempdir()?;
        std::fs::create_dir(folder.path().join("system"))?;
        let address = free_address()?;
        let place = folder
            .path()
            .to_str()
            .context("a temporary folder with a name in UTF-8")?;
        let configuration = DIRECTIVES
            .replace("FOLDER", place)
            .replace("PORT", &address.port().to_string())
            .replace("ORIGIN", origin);
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, configuration)?;
        let log = std::fs::File::create(folder.path().join("error.log"))?;
        let child = Command::new(program()?)
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start nginx")?;
        let mut nginx = Self {
            address,
            child,
            folder,
        };
        nginx.wait_until_it_listens()?;
        Ok(nginx)
    }

    /// What it wrote into its error log so far.
    pub fn error_log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("nginx ended with {status}:\n{}", self.error_log());
            }
            if Instant::now() > deadline {
                bail!(
                    "nginx does not listen on {} after {START:?}:\n{}",
                    self.address,
                    self.error_log()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // A child that has already ended is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A loopback address nobody listens on right now.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))
        .context("no free port")?
        .local_addr()?)
}

/// Where nginx is: daemons are in `/usr/sbin`, which is not on everyone's `PATH`.
fn program() -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")]);
    let found = places
        .map(|place| place.join("nginx"))
        .find(|file| file.is_file());
    found.context(
        "nginx is not installed\n\nhint: run `cargo xtask setup`, or `apt-get install nginx-light`",
    )
}
