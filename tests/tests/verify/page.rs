//! What the page of `--html` shows in a real browser.

use super::bucket::{edge, verify};
use anyhow::Result;
use e2e::browser::{Browser, DESKTOP, PHONE};
use e2e::samples::SampleBucket;
use serde_json::json;

/// Pictures of the page are kept under `target/artefacts`.
#[test]
fn the_page_shows_a_browser_images_untainted_and_a_video_that_seeks() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let edge = edge(&bucket)?;
    let page_file = bucket.directory.path().join("verify.html");
    let html = page_file.to_str().expect("a name in UTF-8");
    verify(&bucket, &edge.url, &["--html", html])?.expect(0);
    let artefacts = testkit::target_directory().join("artefacts");
    let browser = Browser::start()?;
    for (name, window) in [("phone", PHONE), ("desktop", DESKTOP)] {
        let mut page = browser.page(window)?;
        page.open(
            &format!("file://{html}"),
            "document.documentElement.dataset.state === 'done'",
        )?;
        page.screenshot(&artefacts.join(format!("verify-{name}.png")))?;
        let found = page.evaluate("({...document.documentElement.dataset})")?;
        assert_eq!(found["failed"], "0", "{found} {:?}", page.complaints());
        let count = |name: &str| found[name].as_str().unwrap_or("0").parse::<u32>();
        assert!(count("shown")? >= 5, "{found}");
        assert!(count("videos")? >= 1, "{found}");
        assert_eq!(page.complaints(), [] as [String; 0]);
        let overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")?;
        assert!(
            overflow.as_i64().is_some_and(|pixels| pixels <= 0),
            "{name}: {overflow}"
        );
    }
    Ok(())
}

/// The page must be able to fail: without CORS headers every image is tainted.
#[test]
fn the_page_notices_what_no_script_may_read() -> Result<()> {
    let bucket = SampleBucket::with_samples("")?;
    let edge = edge(&bucket)?;
    let page_file = bucket.directory.path().join("verify.html");
    let html = page_file.to_str().expect("a name in UTF-8");
    verify(&bucket, &edge.url, &["--html", html])?.expect(0);
    // The same page, loading from the bucket itself, which sends no such header.
    let text = std::fs::read_to_string(&page_file)?
        .replace(&edge.url, &bucket.origin.bucket_url("media"))
        .replace(
            &format!("img-src {}", bucket.origin.bucket_url("media")),
            &format!("img-src {}", bucket.origin.s3_url),
        )
        .replace(
            &format!("media-src {}", bucket.origin.bucket_url("media")),
            &format!("media-src {}", bucket.origin.s3_url),
        );
    std::fs::write(&page_file, text)?;
    let browser = Browser::start()?;
    let mut page = browser.page(DESKTOP)?;
    page.open(
        &format!("file://{html}"),
        "document.documentElement.dataset.state === 'done'",
    )?;
    page.screenshot(&testkit::target_directory().join("artefacts/verify-failing.png"))?;
    let found = page.evaluate("({...document.documentElement.dataset})")?;
    assert_eq!(found["failed"], found["shown"], "{found}");
    assert_ne!(found["shown"], json!("0"));
    assert!(!page.complaints().is_empty(), "the browser says why");
    Ok(())
}
