//! A Mastodon host and its bucket, with `medialift` on it and without a files domain: what the tests
//! of ownership start from.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use testkit::stack::{Origin, OriginOptions};

use crate::client::Client;
use crate::mastodon::{Deployment, Installation, Invariants, Mastodon};
use crate::medialift::{self, Ran};

/// The bucket's name.
pub const BUCKET: &str = "example-social-media";

/// How to start a [`Host`].
#[derive(Clone, Copy, Debug)]
pub struct HostOptions {
    /// How Mastodon is run.
    pub deployment: Deployment,
    /// Whether Mastodon's own gems write to the bucket.
    pub ruby: bool,
    /// Pictures that are there at first.
    pub pictures: usize,
    /// Seed of what users do.
    pub seed: u64,
}

/// The services and directories.
#[derive(Debug)]
pub struct Host {
    /// The instance.
    pub mastodon: Mastodon,
    /// The S3 endpoint, with a private bucket.
    pub origin: Origin,
    directory: tempfile::TempDir,
}

impl Host {
    /// Starts the origin and an instance whose media are on the disk.
    ///
    /// # Errors
    /// Fails when one does not come up or a file cannot be written.
    pub fn start(options: HostOptions) -> Result<Host> {
        let directory = tempfile::tempdir()?;
        let origin = Origin::start(OriginOptions {
            buckets: vec![format!("{BUCKET}=private")],
            ..OriginOptions::default()
        })?;
        let live = directory.path().join("live");
        let mut installation = Installation::create(&live, options.deployment)?;
        installation.ruby = options.ruby;
        let mastodon = Mastodon::start(installation, options.seed)?;
        for _ in 0..options.pictures {
            mastodon.upload()?;
        }
        let host = Host {
            mastodon,
            origin,
            directory,
        };
        fs::create_dir(host.work())?;
        let media = host.media();
        let env_file = host.mastodon.installation().env_file();
        let settings = format!(
            "bucket = \"{BUCKET}\"\nendpoint = \"{}\"\nregion = \"us-west-004\"\nvisibility = \"private\"\n\
             media_dir = {media:?}\nenv_file = {env_file:?}\nstate_dir = \"state\"\ninstance_url = \"{}\"\n",
            host.origin.s3_url,
            host.mastodon.url(),
        );
        fs::write(host.work().join("medialift.toml"), settings)?;
        Ok(host)
    }

    /// The media directory.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.mastodon.installation().media()
    }

    /// What a cutover puts aside.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.mastodon.installation().kept()
    }

    /// The working directory of the commands.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// A client that signs with the key that the commands use.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::signing(
            &self.origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
        )
    }

    /// The rules that hold at every moment.
    #[must_use]
    pub fn invariants(&self) -> Invariants {
        Invariants::new(self.client(), BUCKET)
    }

    /// A `medialift` command with the host's settings.
    ///
    /// # Errors
    /// Fails when the binary has not been built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = medialift::command(&self.work())?;
        command
            .args(arguments)
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY);
        Ok(command)
    }

    /// Runs one to its end.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Ran> {
        medialift::run(&mut self.command(arguments)?)
    }

    /// Points Mastodon at the bucket, and starts it again.
    ///
    /// # Errors
    /// Fails when `medialift env` does, or Mastodon does not start.
    pub fn switch(&self) -> Result<()> {
        let mut command = self.command(&["env"])?;
        command.env("FILES_URL", "https://files.example.com");
        let ran = medialift::run(&mut command)?;
        ensure!(ran.code == Some(0), "`medialift env`: {ran:?}");
        match self.mastodon.installation().deployment {
            Deployment::Systemd => self.mastodon.restart(),
            Deployment::Docker => self.mastodon.recreate(),
        }
    }
}
