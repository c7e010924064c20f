//! A bucket for what is shown of a files domain: the sample tree, the command's settings for it, and the findings
//! of a report of `medialift verify`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::stack::{Origin, OriginOptions};

use crate::client::Client;
use crate::media::BUCKET;
use crate::medialift;

/// A running origin, and a working directory of the command.
#[derive(Debug)]
pub struct SampleBucket {
    /// The origin.
    pub origin: Origin,
    /// The working directory, with `system` in it.
    pub directory: tempfile::TempDir,
}

impl SampleBucket {
    /// Starts an origin whose bucket is empty.
    ///
    /// # Errors
    /// Fails when the origin does not come up.
    pub fn empty() -> Result<Self> {
        Ok(Self {
            origin: Origin::start(OriginOptions::default())?,
            directory: tempfile::tempdir()?,
        })
    }

    /// The same, with the sample tree in `system` and, below `prefix`, in the bucket.
    ///
    /// # Errors
    /// As [`SampleBucket::empty`], and when the tree cannot be written or uploaded.
    pub fn with_samples(prefix: &str) -> Result<Self> {
        let bucket = Self::empty()?;
        testkit::sample::create(&bucket.media())?;
        let mut command = bucket.command()?;
        command
            .env("KEY_PREFIX", prefix)
            .args(["sync", "--not-mastodon"])
            .arg(bucket.media());
        medialift::run(&mut command)?.expect(0);
        Ok(bucket)
    }

    /// The media directory.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.directory.path().join("system")
    }

    /// `medialift` with the settings of this bucket.
    ///
    /// # Errors
    /// Fails when the command has not been built.
    pub fn command(&self) -> Result<Command> {
        let mut command = medialift::command(self.directory.path())?;
        command
            .env("B2_BUCKET", BUCKET)
            .env("B2_ENDPOINT", &self.origin.s3_url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY);
        Ok(command)
    }

    /// Stores an object.
    ///
    /// # Errors
    /// Fails when the origin refuses it.
    pub fn put(&self, key: &str, body: &[u8]) -> Result<()> {
        let writer = Client::signing(
            &self.origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
        );
        let status = writer.put(BUCKET, key, &[], body)?.status;
        ensure!(status == 200, "the origin answers {status} to `{key}`");
        Ok(())
    }
}

/// Every finding of a report that did not pass: its check and its outcome.
///
/// # Panics
/// Panics when it is no report of `medialift verify`.
#[must_use]
pub fn not_passed(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().expect("findings");
    let texts = findings.iter().map(|finding| {
        let text = |name: &str| finding[name].as_str().expect("a text");
        (text("check"), text("outcome"))
    });
    texts.filter(|(_, outcome)| *outcome != "passed").collect()
}
