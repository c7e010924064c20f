//! The B2-like origin as a child process, and its control endpoint.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Profile, binary_of};
use crate::process::{Guarded, ScratchDirectory, scratch_directory};

/// How to start an [`Origin`]. The default is one public bucket `media` in a temporary directory.
#[derive(Clone, Debug)]
pub struct OriginOptions {
    /// Where the objects are kept; `None` for a directory that goes away with the origin.
    pub directory: Option<PathBuf>,
    /// `NAME=public` or `NAME=private`, as many as wanted.
    pub buckets: Vec<String>,
    /// `ID=SECRET`, as many as wanted.
    pub keys: Vec<String>,
    /// The region that signatures must name.
    pub region: String,
    /// The address to listen on; port 0 takes a free one.
    pub listen: String,
    /// What becomes of the bytes of an upload.
    pub bodies: Bodies,
    /// Milliseconds that every request waits.
    pub latency_ms: u64,
    /// Which build of the origin to run.
    pub profile: Profile,
    /// Whether clients come over TLS; [`Origin::s3_url`] is there besides.
    pub tls: bool,
}

/// What becomes of the bytes of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bodies {
    /// They are digested and kept.
    Kept,
    /// They are digested and thrown away.
    Discarded,
    /// They are discarded, and their `Content-MD5` is trusted.
    Trusted,
}

impl Bodies {
    /// As the origin's command line has it.
    const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Discarded => "discarded",
            Self::Trusted => "trusted",
        }
    }
}

impl OriginOptions {
    /// The application key id of the default key.
    pub const KEY_ID: &str = "00161f959a5f87b0000000005";
    /// The secret of the default key.
    pub const KEY: &str = "K001testsecretkeyofthetestserver";
}

impl Default for OriginOptions {
    fn default() -> Self {
        Self {
            directory: None,
            buckets: vec!["media=public".to_owned()],
            keys: vec![format!("{}={}", Self::KEY_ID, Self::KEY)],
            region: "us-west-004".to_owned(),
            listen: "127.0.0.1:0".to_owned(),
            bodies: Bodies::Kept,
            latency_ms: 0,
            profile: Profile::Debug,
            tls: false,
        }
    }
}

/// A running B2-like origin.
#[derive(Debug)]
pub struct Origin {
    // First, so that it has ended when its directory is removed.
    child: Guarded,
    /// The S3 endpoint, `http://127.0.0.1:PORT`.
    pub s3_url: String,
    /// The S3 endpoint over TLS, and the certificate to trust, where that was asked for.
    pub tls: Option<(String, PathBuf)>,
    /// The endpoint that sets faults and counts requests.
    pub control_url: String,
    /// Where the objects are kept.
    pub directory: PathBuf,
    agent: ureq::Agent,
    _scratch: ScratchDirectory,
}

/// What the origin was asked for since it was started or last reset.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Requests {
    /// All requests.
    pub total: u64,
    /// By S3's name of the operation.
    pub by_operation: BTreeMap<String, u64>,
    /// By object key, then by operation.
    pub by_key: BTreeMap<String, BTreeMap<String, u64>>,
    /// By object key, how often it was stored whole.
    pub stored: BTreeMap<String, u64>,
    /// Those that were refused.
    pub refused: u64,
    /// Those that have not been answered yet.
    pub under_way: u64,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Totals {
    /// Objects in it.
    pub objects: u64,
    /// Bytes of them all.
    pub bytes: u64,
}

impl Requests {
    /// How often `operation` was asked for on `key`.
    #[must_use]
    pub fn of_key(&self, key: &str, operation: &str) -> u64 {
        self.by_key
            .get(key)
            .and_then(|operations| operations.get(operation))
            .copied()
            .unwrap_or(0)
    }

    /// How often `operation` was asked for.
    #[must_use]
    pub fn of(&self, operation: &str) -> u64 {
        self.by_operation.get(operation).copied().unwrap_or(0)
    }
}

impl Origin {
    /// Starts the origin and waits until it answers.
    ///
    /// # Errors
    /// Fails, with the end of its log, when it does not come up.
    pub fn start(options: OriginOptions) -> Result<Self> {
        #[derive(Deserialize)]
        struct Ready {
            s3: String,
            tls: Option<String>,
            control: String,
        }
        let scratch = scratch_directory("origin")?;
        let directory = options
            .directory
            .unwrap_or_else(|| scratch.path().join("objects"));
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create `{}`", directory.display()))?;
        let mut command = Command::new(binary_of(options.profile, "b2-origin")?);
        command.arg("--dir").arg(&directory);
        command.args([
            "--listen",
            &options.listen,
            "--control",
            "127.0.0.1:0",
            "--region",
            &options.region,
        ]);
        command.args(["--latency-ms", &options.latency_ms.to_string()]);
        command.args(["--bodies", options.bodies.name()]);
        for bucket in &options.buckets {
            command.args(["--bucket", bucket]);
        }
        for key in &options.keys {
            command.args(["--key", key]);
        }
        let certificate = scratch.path().join("certificate.pem");
        if options.tls {
            command.arg("--tls").arg(&certificate);
        }
        let log = scratch.path().join("origin.log");
        let (child, ready) = Guarded::server("the origin", command, &log, |log| {
            let mut lines = log.lines();
            lines.find_map(|line| serde_json::from_str::<Ready>(line).ok())
        })?;
        Ok(Self {
            child,
            s3_url: ready.s3,
            tls: ready.tls.map(|url| (url, certificate)),
            control_url: ready.control,
            directory,
            agent: control_agent(),
            _scratch: scratch,
        })
    }

    /// The S3 endpoint that clients are given: over TLS where that was asked for.
    #[must_use]
    pub fn client_url(&self) -> &str {
        self.tls.as_ref().map_or(&self.s3_url, |(url, _)| url)
    }

    /// The URL of a bucket, as `ORIGIN_URL` of the worker wants it.
    #[must_use]
    pub fn bucket_url(&self, bucket: &str) -> String {
        format!("{}/{bucket}", self.s3_url)
    }

    /// The process id, for tests that kill it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed.
    #[must_use]
    pub fn log(&self) -> String {
        self.child.log()
    }

    /// The file that holds what it printed.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.child.log_path()
    }

    /// Adds a fault or an array of them, as the control endpoint takes them.
    ///
    /// # Errors
    /// Fails when the origin does not accept them.
    pub fn set_faults(&self, faults: &serde_json::Value) -> Result<()> {
        let url = format!("{}/faults", self.control_url);
        self.agent
            .post(&url)
            .header("Content-Type", "application/json")
            .send(faults.to_string())
            .with_context(|| format!("cannot set faults at `{url}`"))?;
        Ok(())
    }

    /// Removes every fault.
    ///
    /// # Errors
    /// Fails when the origin does not answer.
    pub fn clear_faults(&self) -> Result<()> {
        self.delete("faults")
    }

    /// What it was asked for.
    ///
    /// # Errors
    /// Fails when the origin does not answer.
    pub fn requests(&self) -> Result<Requests> {
        self.get("requests")
    }

    /// Objects and bytes in `bucket`.
    ///
    /// # Errors
    /// Fails when the origin does not answer or has no such bucket.
    pub fn totals(&self, bucket: &str) -> Result<Totals> {
        let mut all: BTreeMap<String, Totals> = self.get("buckets")?;
        all.remove(bucket)
            .with_context(|| format!("the origin has no bucket `{bucket}`"))
    }

    /// The ETag of an object of a public bucket, without its quotes. Counts as a request.
    ///
    /// # Errors
    /// Fails when there is no such object, or the bucket is private.
    pub fn etag(&self, bucket: &str, key: &str) -> Result<String> {
        let url = format!("{}/{key}", self.bucket_url(bucket));
        let response = self
            .agent
            .head(&url)
            .call()
            .with_context(|| format!("cannot look at `{url}`"))?;
        let etag = response.headers().get("ETag");
        let text = etag
            .and_then(|value| value.to_str().ok())
            .with_context(|| format!("`{url}` has no ETag"))?;
        Ok(text.trim_matches('"').to_owned())
    }

    /// Registers objects without bytes: `lines` of JSON with `key`, `size` and `etag` each.
    ///
    /// # Errors
    /// Fails when the origin does not accept them.
    pub fn register(&self, bucket: &str, lines: String) -> Result<()> {
        let url = format!("{}/objects/{bucket}", self.control_url);
        self.agent
            .post(&url)
            .send(lines)
            .with_context(|| format!("cannot register objects at `{url}`"))?;
        Ok(())
    }

    /// Starts counting anew.
    ///
    /// # Errors
    /// Fails when the origin does not answer.
    pub fn reset_requests(&self) -> Result<()> {
        self.delete("requests")
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let url = format!("{}/{path}", self.control_url);
        let text = self
            .agent
            .get(&url)
            .call()
            .and_then(|mut response| {
                response
                    .body_mut()
                    .with_config()
                    .limit(1 << 30)
                    .read_to_string()
            })
            .with_context(|| format!("cannot read `{url}`"))?;
        serde_json::from_str(&text)
            .with_context(|| format!("cannot understand the answer of `{url}`"))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let url = format!("{}/{path}", self.control_url);
        self.agent
            .delete(&url)
            .call()
            .with_context(|| format!("cannot reset `{url}`"))?;
        Ok(())
    }
}

fn control_agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(30)))
        .proxy(None)
        .build()
        .into()
}
