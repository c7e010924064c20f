//! A public bucket, and which checks of a report of `medialift verify` did not pass.

use std::process::Command;

use anyhow::Result;
use e2e::client::Client;
use e2e::medialift;
use serde_json::Value;
use testkit::stack::{Origin, OriginOptions};

/// A public bucket with the sample tree in it.
pub(crate) struct Bucket {
    pub(crate) origin: Origin,
    pub(crate) directory: tempfile::TempDir,
}

impl Bucket {
    pub(crate) fn with_samples(prefix: &str) -> Result<Bucket> {
        let bucket = Bucket {
            origin: Origin::start(OriginOptions::default())?,
            directory: tempfile::tempdir()?,
        };
        let media = bucket.directory.path().join("system");
        testkit::sample::create(&media)?;
        let mut command = bucket.command()?;
        command
            .env("KEY_PREFIX", prefix)
            .args(["sync", "--not-mastodon"])
            .arg(&media);
        medialift::run(&mut command)?.expect(0);
        Ok(bucket)
    }

    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = medialift::command(self.directory.path())?;
        command
            .env("B2_BUCKET", "media")
            .env("B2_ENDPOINT", &self.origin.s3_url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY);
        Ok(command)
    }

    pub(crate) fn put(&self, key: &str, body: &[u8]) -> Result<()> {
        let writer = Client::signing(
            &self.origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
        );
        assert_eq!(writer.put("media", key, &[], body)?.status, 200);
        Ok(())
    }
}

/// Every check that did not pass: its name and how it came out.
pub(crate) fn not_passed(report: &Value) -> Vec<String> {
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .filter(|finding| finding["outcome"] != "passed")
        .map(|finding| {
            let text = |name: &str| finding[name].as_str().expect("text").to_owned();
            format!("{} {}", text("check"), text("outcome"))
        })
        .collect()
}
