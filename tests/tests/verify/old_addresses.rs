//! Whether the instance's own server still answers the addresses that media had before.

use super::bucket::{edge, verify};
use anyhow::{Context as _, Result};
use e2e::samples::{SampleBucket, not_passed};
use testkit::process::scratch_directory;
use testkit::stack::Nginx;

/// An instance whose nginx has this for `/system/`; `MEDIA` is a media directory on its disk.
fn instance(bucket: &SampleBucket, media_conf: &str) -> Result<Nginx> {
    let folder = scratch_directory("instance")?;
    let media = bucket.media();
    let media = media.to_str().context("a name in UTF-8")?;
    std::fs::write(
        folder.path().join("media.conf"),
        media_conf.replace("MEDIA", media),
    )?;
    let configuration = include_str!("../../nginx/instance.conf").replace("PUBLIC", media);
    Nginx::start_in(folder, &configuration, "http://127.0.0.1:9")
}

#[test]
fn old_addresses_must_lead_to_the_files_domain_or_be_answered_from_the_disk() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let edge = edge(&bucket)?;
    let files_url = edge.url.trim_end_matches('/');
    let rewrite =
        |to: &str| format!("location ^~ /system/ {{ rewrite ^/system/(.*)$ {to} redirect; }}");
    for (media_conf, outcome) in [
        (rewrite(&format!("{files_url}/$1?")), "passed"),
        (rewrite(&format!("{files_url}/system/$1?")), "failed"),
        (rewrite("https://elsewhere.example.com/$1?"), "failed"),
        (
            "location ^~ /system/ { alias MEDIA/; }".to_owned(),
            "passed",
        ),
        ("location ^~ /system/ { return 404; }".to_owned(), "failed"),
        ("location ^~ /system/ { return 503; }".to_owned(), "failed"),
    ] {
        let nginx = instance(&bucket, &media_conf)?;
        let url = format!("http://{}", nginx.address);
        let code = if outcome == "failed" { 3 } else { 0 };
        let report = verify(&bucket, files_url, &["--samples", "1", "--site-url", &url])?
            .expect(code)
            .json()?;
        let found = not_passed(&report);
        let found = found.iter().find(|(check, _)| *check == "old-addresses");
        let found = found.map_or("passed", |(_, outcome)| *outcome);
        assert_eq!(found, outcome, "{media_conf}: {report}");
    }
    Ok(())
}
