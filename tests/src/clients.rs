//! Other people's S3 clients, pointed at an S3 endpoint: each a command that reads no settings of the
//! person who runs the tests.
//!
//! Leaves to others: installing them (`cargo xtask setup`).

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use testkit::setup::{self, Need};
use testkit::stack::{Origin, OriginOptions};

/// The clients, for one endpoint and key.
#[derive(Debug)]
pub struct OtherClients {
    bin: PathBuf,
    endpoint: String,
    id: String,
    key: String,
    region: String,
    configuration: PathBuf,
}

impl OtherClients {
    /// Clients of the origin with its default key. Their configuration goes into `directory`.
    ///
    /// # Errors
    /// When they are not installed or their configuration cannot be written.
    pub fn for_origin(origin: &Origin, directory: &Path) -> Result<Self> {
        Self::new(
            &origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
            "us-west-004",
            directory,
        )
    }

    /// Clients of any endpoint.
    ///
    /// # Errors
    /// When they are not installed or their configuration cannot be written.
    pub fn new(
        endpoint: &str,
        id: &str,
        key: &str,
        region: &str,
        directory: &Path,
    ) -> Result<Self> {
        let clients = Self {
            bin: setup::place(Need::Python)?,
            endpoint: endpoint.to_owned(),
            id: id.to_owned(),
            key: key.to_owned(),
            region: region.to_owned(),
            configuration: directory.to_owned(),
        };
        let host = endpoint.trim_start_matches("http://");
        let s3cmd = format!(
            "[default]\naccess_key = {id}\nsecret_key = {key}\nhost_base = {host}\nhost_bucket = {host}\n\
             bucket_location = {region}\nuse_https = False\n"
        );
        let rclone = format!(
            "[origin]\ntype = s3\nprovider = Other\nendpoint = {endpoint}\nregion = {region}\n\
             access_key_id = {id}\nsecret_access_key = {key}\nforce_path_style = true\n"
        );
        for (name, text) in [("s3cmd.conf", s3cmd), ("rclone.conf", rclone)] {
            let path = directory.join(name);
            std::fs::write(&path, text)
                .with_context(|| format!("cannot write `{}`", path.display()))?;
        }
        Ok(clients)
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.configuration)
            .env("LC_ALL", "C.UTF-8")
            .env("AWS_ACCESS_KEY_ID", &self.id)
            .env("AWS_SECRET_ACCESS_KEY", &self.key)
            .env("AWS_REGION", &self.region)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            // B2 refuses the checksums that new Amazon SDKs send by default.
            .env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_required")
            .env("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required");
        command
    }

    /// `aws`.
    #[must_use]
    pub fn aws(&self) -> Command {
        let mut command = self.command("aws");
        command.args(["--endpoint-url", &self.endpoint]);
        command
    }

    /// `s5cmd`.
    #[must_use]
    pub fn s5cmd(&self) -> Command {
        let mut command = self.command("s5cmd");
        command.args(["--endpoint-url", &self.endpoint]);
        command
    }

    /// `s3cmd`.
    #[must_use]
    pub fn s3cmd(&self) -> Command {
        let mut command = self.command("s3cmd");
        command.arg("-c").arg(self.configuration.join("s3cmd.conf"));
        command
    }

    /// `rclone`, with the remote `origin:`.
    #[must_use]
    pub fn rclone(&self) -> Command {
        let mut command = self.command("rclone");
        command
            .arg("--config")
            .arg(self.configuration.join("rclone.conf"));
        command
    }
}
