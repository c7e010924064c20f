//! Whether Mastodon uses the bucket: where it uses the disk, or is not found, nothing is moved.

use std::fs;

use anyhow::Result;
use e2e::media::files;
use serde_json::json;

use super::{FILES, uploaded};

#[test]
fn an_instance_that_uses_the_disk_keeps_its_media() -> Result<()> {
    let media = uploaded()?;
    media.switch_back()?;
    for flags in [&[][..], &["--dry-run"]] {
        let ran = media.run("cutover", flags)?.expect(2);
        assert!(ran.stderr.contains("S3_ENABLED"), "{}", ran.stderr);
        assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    }
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

#[test]
fn an_instance_that_goes_back_to_the_disk_meanwhile_keeps_its_media() -> Result<()> {
    let media = uploaded()?;
    media.origin.reset_requests()?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2_000 }))?;
    let child = media
        .command(&["cutover", "public/system"])?
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    media.switch_back()?;
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("S3_ENABLED"), "{printed}");
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

#[test]
fn without_an_installation_a_flag_is_needed() -> Result<()> {
    let media = uploaded()?;
    fs::remove_file(media.path().join(".env.production"))?;
    media.run("cutover", &[])?.expect(2);
    media.run("cutover", &["--not-mastodon"])?.expect(0);
    assert_eq!(files(&media.kept())?.len(), FILES.len());
    // From then on the bucket is authoritative: nothing is restored or replaced in it.
    for directory in ["public/system", "public/system_"] {
        let arguments = ["sync", directory, "--not-mastodon", "--replace"];
        let ran = e2e::medialift::run(&mut media.command(&arguments)?)?.expect(2);
        assert!(ran.stderr.contains("moved aside"), "{}", ran.stderr);
    }
    Ok(())
}
