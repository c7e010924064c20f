//! `verify` run against a domain before a bucket, and the worker as such a domain.

use anyhow::Result;
use e2e::medialift::{self, Ran};
use e2e::samples::SampleBucket;
use testkit::stack::Edge;
use testkit::tools::Tools;

const PURGE_HEADER: &str = "x-purge-secret";
const PURGE_SECRET: &str = "a-secret-of-the-tests";

/// Runs `verify`, which must leave no probe behind and show no secret.
pub(crate) fn verify(bucket: &SampleBucket, files_url: &str, arguments: &[&str]) -> Result<Ran> {
    let mut command = bucket.command()?;
    command
        .args(["verify", "--json", "--files-url", files_url])
        .args(arguments)
        .env("PURGE_SECRET_HEADER", PURGE_HEADER)
        .env("PURGE_SECRET", PURGE_SECRET);
    let ran = medialift::run(&mut command)?;
    assert!(!ran.stdout.contains(PURGE_SECRET) && !ran.stderr.contains(PURGE_SECRET));
    assert_eq!(probes_left(bucket)?, 0, "probes are left in the bucket");
    Ok(ran)
}

/// Probes that were put into the bucket, less those that were removed.
pub(crate) fn probes_left(bucket: &SampleBucket) -> Result<u64> {
    let requests = bucket.origin.requests()?;
    let probes = requests
        .by_key
        .iter()
        .filter(|(key, _)| key.contains("medialift-probe"));
    Ok(probes
        .filter(|(key, _)| requests.of_key(key, "PutObject") > 0)
        .filter(|(key, _)| requests.of_key(key, "DeleteObject") == 0)
        .count() as u64)
}

pub(crate) fn edge(bucket: &SampleBucket) -> Result<Edge> {
    Edge::start(
        &Tools::load()?,
        &[
            ("ORIGIN_URL", &bucket.origin.bucket_url("media")),
            ("PURGE_SECRET_HEADER", PURGE_HEADER),
            ("PURGE_SECRET", PURGE_SECRET),
        ],
    )
}
