//! What the printed nginx answers: under `medialift verify`, with a key prefix, with files on the disk only.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::client::Client;
use e2e::medialift;
use e2e::own_nginx;
use e2e::samples::{SampleBucket, not_passed};

#[test]
fn it_passes_every_check_of_verify() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let nginx = own_nginx::start(&bucket.origin.bucket_url("media"), &[])?;
    let url = format!("http://{}", nginx.address);
    let mut command = bucket.command()?;
    command.args(["verify", "--json", "--files-url", &url, "--samples", "30"]);
    let report = medialift::run(&mut command)?.expect(0).json()?;
    assert_eq!(
        not_passed(&report),
        [
            ("encryption", "skipped"),
            ("health", "skipped"),
            ("purge", "skipped"),
            ("old-addresses", "skipped")
        ]
    );
    assert_eq!(report["samples"].as_array().expect("samples").len(), 30);
    Ok(())
}

#[test]
fn a_key_prefix_is_put_before_a_path_once_and_hides_no_archive() -> Result<()> {
    let bucket = SampleBucket::with_samples("mastodon")?;
    bucket.put("mastodon/a b.png", b"calm")?;
    bucket.put("mastodon/backups/a.zip", b"everything")?;
    let nginx = own_nginx::start(
        &bucket.origin.bucket_url("media"),
        &["--key-prefix", "mastodon"],
    )?;
    let reader = Client::anonymous(&format!("http://{}", nginx.address));
    for (path, status, cache) in [
        ("/a%20b.png", 200, "MISS"),
        ("/mastodon/a%20b.png", 200, "HIT"),
        ("/mastodon/mastodon/a%20b.png", 404, ""),
        ("/backups/a.zip", 403, ""),
        ("/mastodon/backups/a.zip", 403, ""),
        ("//mastodon//%62ackups/a.zip", 403, ""),
    ] {
        let answer = reader.send("GET", path, &[], &[])?;
        let seen = (answer.status, answer.header("x-cache-status"));
        assert_eq!(seen, (status, cache), "{path}");
    }
    let longest = "a".repeat(1_024 - "mastodon/".len());
    bucket.put(&format!("mastodon/{longest}"), b"long")?;
    for (path, status) in [
        (format!("/{longest}"), 200),
        (format!("/mastodon/{longest}"), 200),
        (format!("/{longest}a"), 414),
        (format!("/mastodon/{longest}a"), 414),
    ] {
        assert_eq!(reader.send("GET", &path, &[], &[])?.status, status);
    }
    Ok(())
}

#[test]
fn what_is_on_the_disk_only_is_given_from_there() -> Result<()> {
    let bucket = SampleBucket::with_samples("mastodon")?;
    bucket.put("mastodon/both.png", b"in the bucket")?;
    bucket.put("mastodon/there.png", b"in the bucket")?;
    let disk = bucket.directory.path().join("disk");
    fs::create_dir_all(disk.join("a b/backups"))?;
    fs::create_dir_all(disk.join("backups"))?;
    for name in [
        "both.png",
        "a b/ä+%.png",
        "a b/backups/a.zip",
        "backups/a.zip",
    ] {
        fs::write(disk.join(name), "on the disk")?;
    }
    let folder = disk.to_str().context("a name in UTF-8")?;
    let origin = bucket.origin.bucket_url("media");
    let arguments = ["--key-prefix", "mastodon", "--fallback-dir", folder];
    let nginx = own_nginx::start(&origin, &arguments)?;
    let reader = Client::anonymous(&format!("http://{}", nginx.address));
    for (path, status, text) in [
        ("/both.png", 200, "on the disk"),
        ("/mastodon/both.png?1", 200, "on the disk"),
        ("/a%20b/%C3%A4+%25.png", 200, "on the disk"),
        ("/there.png", 200, "in the bucket"),
        ("/nowhere.png", 404, "404 Not Found\n"),
        ("/a%20b/", 404, "404 Not Found\n"),
        ("/backups/a.zip", 403, "403 Forbidden\n"),
        ("/mastodon/backups/a.zip", 403, "403 Forbidden\n"),
        ("/a%20b/../backups/a.zip", 403, "403 Forbidden\n"),
    ] {
        let answer = reader.send("GET", path, &[], &[])?;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (status, text),
            "{path}"
        );
        if status == 200 {
            assert_eq!(answer.header("access-control-allow-origin"), "*", "{path}");
            assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        }
    }
    Ok(())
}

#[test]
fn the_old_copy_is_shown_once_more_only_where_that_is_wanted() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    bucket.put("a.png", b"calm")?;
    let origin = bucket.origin.bucket_url("media");
    let fresh = ["--fresh-seconds", "1"];
    let both = [fresh[0], fresh[1], "--background-update"];
    for (arguments, expected) in [(&fresh[..], "REVALIDATED"), (&both[..], "STALE")] {
        let nginx = own_nginx::start(&origin, arguments)?;
        let reader = Client::anonymous(&format!("http://{}", nginx.address));
        let state = || -> Result<String> {
            let answer = reader.send("GET", "/a.png", &[], &[])?;
            assert_eq!(answer.text(), "calm");
            Ok(answer.header("x-cache-status").to_owned())
        };
        assert_eq!(state()?, "MISS");
        // nginx counts whole seconds.
        std::thread::sleep(Duration::from_millis(2_300));
        assert_eq!(state()?, expected);
    }
    Ok(())
}
