//! Everything a migration takes, on this machine: Backblaze's model of the native API, the B2-like
//! origin, the real worker, and a simulated Mastodon behind a real nginx.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use testkit::process::scratch_directory;
use testkit::stack::{Edge, EdgeOptions, Nginx, Origin, OriginOptions};
use testkit::tools::Tools;

use crate::b2sim::{B2Sim, B2SimOptions};
use crate::client::Client;
use crate::mastodon::{Deployment, Installation, Mastodon};

/// The bucket's name.
pub const BUCKET: &str = "example-social-media";

/// The key that the model of the native API makes, of the form that the service's keys have.
pub const KEY: &str = "K001abcdefghijklmnopqrstuvwxyz1";

/// The endpoint that stands in texts for the one on this machine.
const ENDPOINT: &str = "s3.us-west-004.backblazeb2.com";
/// The host's directory that stands in texts for the one on this machine.
const LIVE: &str = "/home/mastodon/live";
/// The files domain that stands in texts for the worker on this machine.
const FILES_URL: &str = "https://files.example.com";
/// The instance that stands in texts for the one on this machine.
const INSTANCE_URL: &str = "https://example.com";

const NGINX: &str = include_str!("../nginx/instance.conf");
/// As in the configuration that Mastodon ships.
const MEDIA_CONF: &str = "location /system/ { try_files $uri =404; }\n";

/// The services and directories.
#[derive(Debug)]
pub struct World {
    /// The native API; the key that it makes is the one that the origin knows.
    pub b2: B2Sim,
    /// The S3 endpoint, with a private bucket.
    pub origin: Origin,
    /// The worker, once it runs.
    pub edge: Option<Edge>,
    /// The instance's nginx.
    pub nginx: Nginx,
    /// The instance.
    pub mastodon: Mastodon,
    nginx_folder: PathBuf,
    directory: tempfile::TempDir,
}

impl World {
    /// Starts all but the worker; the media directory has sample files in it. `seed`: of what
    /// Mastodon writes.
    ///
    /// # Errors
    /// Fails when one does not come up or a file cannot be written.
    pub fn start(deployment: Deployment, seed: u64) -> Result<World> {
        Self::start_with(deployment, seed, "private")
    }

    /// As [`Self::start`], with a bucket that is `private` or `public`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(deployment: Deployment, seed: u64, visibility: &str) -> Result<World> {
        let origin = Origin::start(OriginOptions {
            buckets: vec![format!("{BUCKET}={visibility}")],
            keys: vec![format!("{}={KEY}", OriginOptions::KEY_ID)],
            ..OriginOptions::default()
        })?;
        let b2 = B2Sim::start(&B2SimOptions {
            created_keys: vec![format!("{}={KEY}", OriginOptions::KEY_ID)],
            s3_url: Some(origin.s3_url.clone()),
            ..B2SimOptions::default()
        })?;
        let directory = tempfile::tempdir()?;
        // nginx may run as another user.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let installation = Installation::create(&directory.path().join("live"), deployment)?;
        testkit::sample::create(&installation.media())?;
        let mastodon = Mastodon::start(installation, seed)?;
        let folder = scratch_directory("instance")?;
        let nginx_folder = folder.path().to_owned();
        fs::write(nginx_folder.join("media.conf"), MEDIA_CONF)?;
        let public = directory.path().join("live/public");
        let configuration = NGINX.replace("PUBLIC", public.to_str().context("a path in UTF-8")?);
        let nginx = Nginx::start_in(folder, &configuration, mastodon.url())?;
        mastodon.route(INSTANCE_URL, &format!("http://{}", nginx.address));
        let world = World {
            b2,
            origin,
            edge: None,
            nginx,
            mastodon,
            nginx_folder,
            directory,
        };
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

    /// A shell that runs `commands` as a person would, in the working directory; every command of them
    /// must end well. Nothing of the test's own environment gets in.
    #[must_use]
    pub fn shell(&self, path: &OsStr, commands: &str) -> Command {
        let mut command = Command::new("bash");
        command
            .args(["-euo", "pipefail", "-c", commands])
            .current_dir(self.work())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("B2_ENVIRONMENT", &self.b2.url)
            // The name of an endpoint on this machine does not contain the region.
            .env("B2_REGION", "us-west-004")
            // Where a visitor finds the site.
            .env("SITE_URL", self.instance_url())
            .env("NGINX_PIDS", self.nginx.id().to_string())
            .env(
                "INSTANCE_ADDRESS",
                self.mastodon.url().trim_start_matches("http://"),
            );
        command
    }

    /// The worker's address, without a slash at its end.
    ///
    /// # Errors
    /// Fails while it does not run.
    pub fn edge_url(&self) -> Result<&str> {
        let edge = self.edge.as_ref().context("the worker runs")?;
        Ok(edge.url.trim_end_matches('/'))
    }

    /// A client that signs with the key of the bucket.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::signing(&self.origin.s3_url, OriginOptions::KEY_ID, KEY)
    }

    /// Where the `location` blocks of media are in the instance's nginx.
    #[must_use]
    pub fn media_conf(&self) -> PathBuf {
        self.nginx_folder.join("media.conf")
    }

    /// The instance's address, without a slash at its end.
    #[must_use]
    pub fn instance_url(&self) -> String {
        format!("http://{}", self.nginx.address)
    }

    /// Starts the worker with this purge secret; with `fallback` it asks the instance for what the
    /// bucket lacks. It is deployed again by starting it once more: it keeps its address and its cache.
    ///
    /// # Errors
    /// Fails when it does not come up.
    pub fn start_edge(&mut self, purge_secret: &str, fallback: bool) -> Result<()> {
        let origin_url = self.origin.bucket_url(BUCKET);
        let fallback_url = format!("{}/system", self.instance_url());
        let mut variables = vec![
            ("ORIGIN_URL", origin_url.as_str()),
            ("B2_ENDPOINT", ENDPOINT),
            ("B2_BUCKET", BUCKET),
            ("ORIGIN_AUTH", "sigv4"),
            ("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID),
            ("B2_APPLICATION_KEY", KEY),
            ("PURGE_SECRET_HEADER", "X-Purge-Secret"),
            ("PURGE_SECRET", purge_secret),
        ];
        if fallback {
            variables.push(("FALLBACK_ORIGIN", &fallback_url));
        }
        let port = self.edge.take().and_then(|edge| {
            edge.url
                .trim_end_matches('/')
                .rsplit(':')
                .next()?
                .parse()
                .ok()
        });
        let edge = Edge::start_with(
            &Tools::load()?,
            EdgeOptions {
                variables: variables
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                persist: Some(self.home().join("edge")),
                port,
                ..EdgeOptions::default()
            },
        )?;
        self.mastodon.route(FILES_URL, &edge.url);
        self.edge = Some(edge);
        Ok(())
    }

    /// A text with this machine's names for those of an example. The worker's address is known once
    /// it runs; until then it gets no request.
    ///
    /// # Errors
    /// Fails where a path is not UTF-8.
    pub fn local(&self, text: &str) -> Result<String> {
        let live = self.live();
        let live = live.to_str().context("a path in UTF-8")?;
        let text = text
            .replace(LIVE, live)
            .replace(ENDPOINT, &self.origin.s3_url)
            .replace(INSTANCE_URL, &self.instance_url());
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
            .replace(authority, ENDPOINT)
            .replace(&self.instance_url(), INSTANCE_URL);
        Ok(match &self.edge {
            None => text,
            Some(_) => text.replace(self.edge_url()?, FILES_URL),
        })
    }
}
