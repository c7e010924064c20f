//! Everything a migration takes, on this machine: Backblaze's model of the native API, the B2-like
//! origin, the real worker and a Mastodon host's directories.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use xtask::stack::{Edge, EdgeOptions, Origin, OriginOptions};
use xtask::tools::Tools;

use crate::b2sim::{B2Sim, B2SimOptions};

/// The bucket's name.
pub const BUCKET: &str = "example-social-media";

/// The endpoint that stands in texts for the one on this machine.
const ENDPOINT: &str = "s3.us-west-004.backblazeb2.com";
/// The host's directory that stands in texts for the one on this machine.
const LIVE: &str = "/home/mastodon/live";
/// The files domain that stands in texts for the worker on this machine.
const FILES_URL: &str = "https://files.example.com";

/// The services and directories.
#[derive(Debug)]
pub struct World {
    /// The native API; the key that it makes is the one that the origin knows.
    pub b2: B2Sim,
    /// The S3 endpoint, with a private bucket.
    pub origin: Origin,
    /// The worker, once it runs.
    pub edge: Option<Edge>,
    directory: tempfile::TempDir,
}

impl World {
    /// Starts all but the worker; the media directory has sample files in it.
    ///
    /// # Errors
    /// Fails when one does not come up or a file cannot be written.
    pub fn start() -> Result<World> {
        let origin = Origin::start(OriginOptions {
            buckets: vec![format!("{BUCKET}=private")],
            ..OriginOptions::default()
        })?;
        let b2 = B2Sim::start(&B2SimOptions {
            created_keys: vec![format!("{}={}", OriginOptions::KEY_ID, OriginOptions::KEY)],
            s3_url: Some(origin.s3_url.clone()),
            ..B2SimOptions::default()
        })?;
        let world = World {
            b2,
            origin,
            edge: None,
            directory: tempfile::tempdir()?,
        };
        xtask::sample::create(&world.media())?;
        fs::set_permissions(world.media(), fs::Permissions::from_mode(0o751))?;
        fs::create_dir_all(world.work())?;
        Ok(world)
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.directory.path()
    }

    /// Mastodon's directory.
    #[must_use]
    pub fn live(&self) -> PathBuf {
        self.home().join("live")
    }

    /// What Mastodon uses.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.live().join("public/system")
    }

    /// What a cutover puts aside.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.live().join("public/system_")
    }

    /// Mastodon's settings.
    #[must_use]
    pub fn env_file(&self) -> PathBuf {
        self.live().join(".env.production")
    }

    /// The working directory of the commands.
    #[must_use]
    pub fn work(&self) -> PathBuf {
        self.home().join("work")
    }

    /// The worker's address, without a slash at its end.
    ///
    /// # Errors
    /// Fails while it does not run.
    pub fn edge_url(&self) -> Result<&str> {
        let edge = self.edge.as_ref().context("the worker runs")?;
        Ok(edge.url.trim_end_matches('/'))
    }

    /// Starts the worker with this purge secret.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub fn start_edge(&mut self, purge_secret: &str) -> Result<()> {
        let origin_url = self.origin.bucket_url(BUCKET);
        let variables = [
            ("ORIGIN_URL", origin_url.as_str()),
            ("B2_ENDPOINT", ENDPOINT),
            ("B2_BUCKET", BUCKET),
            ("ORIGIN_AUTH", "sigv4"),
            ("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID),
            ("B2_APPLICATION_KEY", OriginOptions::KEY),
            ("PURGE_SECRET_HEADER", "X-Purge-Secret"),
            ("PURGE_SECRET", purge_secret),
        ];
        self.edge = Some(Edge::start_with(
            &Tools::load()?,
            EdgeOptions {
                variables: variables
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .into(),
                ..EdgeOptions::default()
            },
        )?);
        Ok(())
    }

    /// A text with this machine's names for those of an example. The worker's address is known once
    /// it runs; until then nobody asks it anything.
    ///
    /// # Errors
    /// Fails where a path is not UTF-8.
    pub fn local(&self, text: &str) -> Result<String> {
        let live = self.live();
        let live = live.to_str().context("a path in UTF-8")?;
        let text = text
            .replace(LIVE, live)
            .replace(ENDPOINT, &self.origin.s3_url);
        Ok(match &self.edge {
            None => text,
            Some(_) => text.replace(FILES_URL, self.edge_url()?),
        })
    }

    /// The way back: a text with an example's names for those of this machine.
    ///
    /// # Errors
    /// Fails where a path is not UTF-8.
    pub fn example(&self, text: &str) -> Result<String> {
        let live = fs::canonicalize(self.live())?;
        let live = live.to_str().context("a path in UTF-8")?;
        let authority = self.origin.s3_url.trim_start_matches("http://");
        let text = text
            .replace(live, LIVE)
            .replace(&self.origin.s3_url, &format!("https://{ENDPOINT}"))
            .replace(authority, ENDPOINT);
        Ok(match &self.edge {
            None => text,
            Some(_) => text.replace(self.edge_url()?, FILES_URL),
        })
    }
}
