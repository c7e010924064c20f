//! Which checks pass for the worker, for nginx, and for a domain that is set up wrongly.

use super::bucket::{edge, verify};
use anyhow::Result;
use e2e::samples::{SampleBucket, not_passed};
use testkit::stack::Nginx;

#[test]
fn the_worker_passes_every_check() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let edge = edge(&bucket)?;
    let media = bucket.media();
    let media = media.to_str().expect("a name in UTF-8");
    let report = verify(
        &bucket,
        &edge.url,
        &["--media-dir", media, "--samples", "30"],
    )?
    .expect(0)
    .json()?;
    assert_eq!(
        not_passed(&report),
        [("encryption", "skipped"), ("old-addresses", "skipped")]
    );
    assert_eq!(report["passed"], true);
    assert!(report["purge_method"].is_string(), "{report}");
    let samples = report["samples"].as_array().expect("samples");
    assert_eq!(samples.len(), 30);
    Ok(())
}

#[test]
fn nginx_passes_all_but_what_it_cannot_do() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let nginx = Nginx::start(&bucket.origin.bucket_url("media"))?;
    let report = verify(
        &bucket,
        &format!("http://{}", nginx.address),
        &["--samples", "0"],
    )?
    .expect(3)
    .json()?;
    assert_eq!(
        not_passed(&report),
        [
            ("encryption", "skipped"),
            // `x-amz-version-id` is not on its list of names.
            ("stripped-headers", "failed"),
            ("hardening", "warned"),
            // It sends decoded names to the bucket.
            ("names", "failed"),
            ("archives", "warned"),
            ("health", "skipped"),
            ("purge", "failed"),
            ("samples", "skipped"),
            ("old-addresses", "skipped"),
        ]
    );
    for finding in report["findings"].as_array().expect("findings") {
        let needs_hint = matches!(finding["outcome"].as_str(), Some("failed" | "warned"));
        assert_eq!(finding["hint"].is_string(), needs_hint, "{finding}");
    }
    Ok(())
}

#[test]
fn a_bucket_without_a_proxy_is_recognised() -> Result<()> {
    let bucket = SampleBucket::empty()?;
    let report = verify(&bucket, &bucket.origin.bucket_url("media"), &[])?
        .expect(3)
        .json()?;
    let failed: Vec<&str> = not_passed(&report)
        .into_iter()
        .filter(|(_, outcome)| *outcome == "failed")
        .map(|(check, _)| check)
        .collect();
    assert_eq!(
        failed,
        [
            "first-read",
            "second-read",
            "query",
            "cors",
            "stripped-headers",
            "refused-methods",
            "purge-secret",
            "purge"
        ]
    );
    Ok(())
}

#[test]
fn another_bucket_behind_the_domain_is_noticed() -> Result<()> {
    let bucket = SampleBucket::empty()?;
    let other = SampleBucket::empty()?;
    let nginx = Nginx::start(&other.origin.bucket_url("media"))?;
    let report = verify(&bucket, &format!("http://{}", nginx.address), &[])?
        .expect(3)
        .json()?;
    let finding = &report["findings"][1];
    assert_eq!(finding["check"], "first-read");
    assert_eq!(finding["outcome"], "failed");
    assert!(
        finding["hint"]
            .as_str()
            .expect("a hint")
            .contains("another bucket or prefix"),
        "{finding}"
    );
    Ok(())
}

#[test]
fn a_domain_that_does_not_answer_is_one_finding_and_leaves_no_probe() -> Result<()> {
    let bucket = SampleBucket::empty()?;
    let report = verify(&bucket, "http://127.0.0.1:9", &[])?
        .expect(3)
        .json()?;
    assert_eq!(
        not_passed(&report),
        [("encryption", "skipped"), ("first-read", "failed")]
    );
    Ok(())
}
