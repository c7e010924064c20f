//! SeaweedFS: an S3 server that is not ours, so that what `medialift` sends is not only understood by
//! a server that was written with it.
//!
//! Leaves to others: installing it (`cargo xtask setup`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::setup::{self, Need};
use testkit::stack::free_addresses;

use crate::client::Client;

/// A running SeaweedFS with one bucket. Dropping it ends it and removes its files.
#[derive(Debug)]
pub struct Seaweed {
    // First, so that it has ended when its directory is removed.
    child: Guarded,
    /// Its S3 endpoint, `http://127.0.0.1:PORT`.
    pub url: String,
    /// Access key id.
    pub key_id: String,
    /// Secret access key.
    pub key: String,
    /// The bucket that was made.
    pub bucket: String,
    _sockets: Sockets,
    _scratch: ScratchDirectory,
}

/// Sockets that it makes in the directory for temporary files, whatever directory it is given for its own,
/// and leaves behind.
#[derive(Debug)]
struct Sockets(Vec<PathBuf>);

impl Drop for Sockets {
    fn drop(&mut self) {
        for socket in &self.0 {
            // One that it did not make, or did remove, is no fault.
            std::fs::remove_file(socket).ok();
        }
    }
}

/// How long it may take to come up; on a quiet machine it takes some four seconds.
const START_TIME: Duration = Duration::from_secs(90);

impl Seaweed {
    /// Starts it on free ports and makes the bucket `media`.
    ///
    /// # Errors
    /// When it is not installed, or, with the end of its log, when it does not come up.
    pub fn start() -> Result<Self> {
        let scratch = scratch_directory("seaweedfs")?;
        let (key_id, key) = ("seaweedtestkey", "seaweedtestsecret");
        write_identities(scratch.path(), key_id, key)?;
        let ports = free_addresses()?.map(|address| address.port());
        let sockets = Sockets(ports.map(internal_sockets).into_iter().flatten().collect());
        let (command, port) = (command(scratch.path(), ports)?, ports[S3]);
        let mut child = Guarded::spawn("SeaweedFS", command, &scratch.path().join("log"))?;
        let url = format!("http://127.0.0.1:{port}");
        let client = Client::signing(&url, key_id, key);
        let made = child.wait_until(START_TIME, |_| {
            let answer = client.send("PUT", "/media", &[], &[]).ok()?;
            (answer.status < 500).then_some(answer)
        })?;
        ensure!(
            matches!(made.status, 200 | 409),
            "SeaweedFS made no bucket: {}",
            made.text()
        );
        // The bucket can be made before there is a volume to write to.
        child.wait_until(START_TIME, |_| {
            let answer = client.put("media", ".probe", &[], b"x").ok()?;
            (answer.status == 200).then_some(())
        })?;
        client.send("DELETE", "/media/.probe", &[], &[])?;
        Ok(Self {
            child,
            url,
            key_id: key_id.to_owned(),
            key: key.to_owned(),
            bucket: "media".to_owned(),
            _sockets: sockets,
            _scratch: scratch,
        })
    }

    /// A client that signs with its key.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::signing(&self.url, &self.key_id, &self.key)
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }
}

fn write_identities(directory: &Path, key_id: &str, key: &str) -> Result<()> {
    let identities = json!({"identities": [{
        "name": "test",
        "credentials": [{"accessKey": key_id, "secretKey": key}],
        "actions": ["Admin", "Read", "List", "Tagging", "Write"],
    }]});
    let path = directory.join("s3.json");
    std::fs::write(&path, identities.to_string())
        .with_context(|| format!("cannot write `{}`", path.display()))
}

/// Place of the S3 endpoint's port among the ports.
const S3: usize = 6;

fn internal_sockets(port: u16) -> [PathBuf; 4] {
    let socket = |role| std::env::temp_dir().join(format!("seaweedfs-{role}-grpc-{port}.sock"));
    ["master", "volume", "filer", "s3"].map(socket)
}

fn command(directory: &Path, ports: [u16; 8]) -> Result<Command> {
    let path = |name: &str| directory.join(name).display().to_string();
    std::fs::create_dir_all(directory.join("data"))?;
    let mut command = Command::new(setup::place(Need::Python)?.join("weed"));
    command.current_dir(directory).env("HOME", directory);
    command.args([
        "-logtostderr=true",
        "server",
        "-s3",
        "-filer",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
    ]);
    let names = [
        "master.port",
        "master.port.grpc",
        "volume.port",
        "volume.port.grpc",
        "filer.port",
        "filer.port.grpc",
        "s3.port",
        "s3.port.grpc",
    ];
    for (name, port) in names.iter().zip(ports) {
        command.arg(format!("-{name}={port}"));
    }
    command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
    command.args([
        format!("-dir={}", path("data")),
        format!("-s3.config={}", path("s3.json")),
        format!("-s3.localSocket={}", path("s3.sock")),
        format!("-filer.localSocket={}", path("filer.sock")),
        // It would report to its makers.
        "-master.telemetry=false".to_owned(),
        // One bucket takes several volumes; small ones leave room on a small disk.
        "-master.volumeSizeLimitMB=256".to_owned(),
        "-volume.max=64".to_owned(),
    ]);
    Ok(command)
}
