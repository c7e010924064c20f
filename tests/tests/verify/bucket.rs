//! A bucket, `verify` run against a domain before it, and which checks of the report did not pass.

use std::process::Command;

use anyhow::Result;
use e2e::medialift::{self, Ran};
use serde_json::Value;
use testkit::stack::{Edge, Origin, OriginOptions};
use testkit::tools::Tools;

const PURGE_HEADER: &str = "x-purge-secret";
const PURGE_SECRET: &str = "a-secret-of-the-tests";

/// An origin whose bucket holds the sample tree, and that tree.
pub(crate) struct Bucket {
    pub(crate) origin: Origin,
    pub(crate) directory: tempfile::TempDir,
}

impl Bucket {
    pub(crate) fn with_samples() -> Result<Bucket> {
        let bucket = Bucket::empty()?;
        testkit::sample::create(&bucket.media())?;
        let mut command = bucket.command()?;
        command.args(["sync", "--not-mastodon"]).arg(bucket.media());
        medialift::run(&mut command)?.expect(0);
        Ok(bucket)
    }

    pub(crate) fn empty() -> Result<Bucket> {
        Ok(Bucket {
            origin: Origin::start(OriginOptions::default())?,
            directory: tempfile::tempdir()?,
        })
    }

    pub(crate) fn media(&self) -> std::path::PathBuf {
        self.directory.path().join("system")
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

    pub(crate) fn verify(&self, files_url: &str, arguments: &[&str]) -> Result<Ran> {
        let mut command = self.command()?;
        command
            .args(["verify", "--json", "--files-url", files_url])
            .args(arguments)
            .env("PURGE_SECRET_HEADER", PURGE_HEADER)
            .env("PURGE_SECRET", PURGE_SECRET);
        let ran = medialift::run(&mut command)?;
        assert!(!ran.stdout.contains(PURGE_SECRET) && !ran.stderr.contains(PURGE_SECRET));
        assert_eq!(self.probes_left()?, 0, "probes are left in the bucket");
        Ok(ran)
    }

    /// Probes that were put into the bucket, less those that were removed.
    pub(crate) fn probes_left(&self) -> Result<u64> {
        let requests = self.origin.requests()?;
        let probes = requests
            .by_key
            .iter()
            .filter(|(key, _)| key.contains("medialift-probe"));
        Ok(probes
            .filter(|(key, _)| requests.of_key(key, "PutObject") > 0)
            .filter(|(key, _)| requests.of_key(key, "DeleteObject") == 0)
            .count() as u64)
    }

    pub(crate) fn edge(&self) -> Result<Edge> {
        Edge::start(
            &Tools::load()?,
            &[
                ("ORIGIN_URL", &self.origin.bucket_url("media")),
                ("PURGE_SECRET_HEADER", PURGE_HEADER),
                ("PURGE_SECRET", PURGE_SECRET),
            ],
        )
    }
}

/// Every check that did not pass: its name and how it came out.
pub(crate) fn not_passed(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["outcome"] != "passed")
        .map(|finding| (text(&finding["check"]), text(&finding["outcome"])))
        .collect()
}

pub(crate) fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(check, outcome): &(&str, &str)| ((*check).to_owned(), (*outcome).to_owned());
    expected.iter().map(own).collect()
}
