//! Which files of the media directory are read through the domain, and what of it the bucket cannot have.

use super::bucket::{edge, verify};
use anyhow::{Context as _, Result};
use e2e::samples::SampleBucket;
use serde_json::Value;
use testkit::stack::Nginx;

#[test]
fn a_file_that_is_missing_from_the_bucket_is_named() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let nginx = Nginx::start(&bucket.origin.bucket_url("media"))?;
    let lone = tempfile::tempdir()?;
    std::fs::create_dir_all(lone.path().join("accounts/avatars"))?;
    std::fs::write(
        lone.path().join("accounts/avatars/lost.png"),
        "not uploaded",
    )?;
    let directory = lone.path().to_str().expect("a name in UTF-8");
    let report = verify(
        &bucket,
        &format!("http://{}", nginx.address),
        &["--media-dir", directory],
    )?
    .expect(3)
    .json()?;
    let samples: Vec<&Value> = report["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter(|finding| finding["check"] == "samples")
        .collect();
    assert_eq!(samples.len(), 1);
    assert_eq!(samples[0]["outcome"], "failed");
    let detail = samples[0]["detail"].as_str().expect("a detail");
    assert!(detail.contains("accounts/avatars/lost.png"), "{detail}");
    Ok(())
}

#[test]
fn entries_that_cannot_be_uploaded_are_counted_where_all_files_are_read() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let edge = edge(&bucket)?;
    let media = bucket.media();
    let directory = media.to_str().context("a name in UTF-8")?;
    let samples = || -> Result<Value> {
        let report = verify(
            &bucket,
            &edge.url,
            &["--media-dir", directory, "--samples", "all"],
        )?
        .expect(0)
        .json()?;
        let findings = report["findings"].as_array().context("findings")?;
        let finding = findings
            .iter()
            .find(|finding| finding["check"] == "samples");
        Ok(finding.context("a finding on the samples")?.clone())
    };
    let without = samples()?;
    let detail = without["detail"].as_str().context("a detail")?.to_owned();
    assert!(!detail.contains("cannot be uploaded"), "{detail}");
    for (name, counted) in [("link.png", "1 entry"), ("other.png", "2 entries")] {
        std::os::unix::fs::symlink("nowhere.png", media.join(name))?;
        let with = samples()?;
        assert_eq!(with["outcome"], "passed", "{with}");
        let expected = format!(
            "{detail}; {counted} cannot be uploaded: `medialift sync --dry-run` names them"
        );
        assert_eq!(with["detail"], Value::from(expected));
    }
    Ok(())
}

#[test]
fn all_files_need_a_media_directory() -> Result<()> {
    let bucket = SampleBucket::empty()?;
    let ran = verify(&bucket, "http://127.0.0.1:9", &["--samples", "all"])?;
    let ran = ran.expect(2);
    assert!(
        ran.stderr.contains("hint: add `--media-dir DIR`"),
        "{}",
        ran.stderr
    );
    Ok(())
}
