//! What the bucket must have before anything is moved, and by what a file is compared with its object.

use std::fs;

use anyhow::Result;
use e2e::media::{Media, files, write};

use super::{FILES, uploaded};

#[test]
fn a_file_that_the_bucket_lacks_or_has_otherwise_stops_it() -> Result<()> {
    let media = uploaded()?;
    media.delete("accounts/avatars/000/000/001/original/a.png")?;
    media.put("cache/accounts/avatars/1/original/b.png", b"cached avatax")?;
    media.put("media_attachments/files/1/small/c.jpg", b"short")?;
    let ran = media.run("cutover", &[])?.expect(3);
    insta::assert_snapshot!("cutover_refused", media.shown(&ran));
    assert_eq!(files(&media.live())?.len(), FILES.len());
    assert!(!media.kept().exists());
    let json = media.run("cutover", &["--json"])?.expect(3).json()?;
    assert_eq!(json["compared"]["different"]["count"], 3);
    assert_eq!(json["compared"]["same"], 2);
    assert!(json["cutover"].is_null());
    Ok(())
}

#[test]
fn what_no_bucket_can_hold_must_be_allowed_for() -> Result<()> {
    let media = uploaded()?;
    std::os::unix::fs::symlink("/etc/passwd", media.live().join("link"))?;
    let ran = media.run("cutover", &[])?.expect(3);
    assert!(
        ran.stdout.contains("link: a symbolic link"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("--allow-skipped"));
    media.run("cutover", &["--allow-skipped"])?.expect(0);
    assert!(fs::symlink_metadata(media.kept().join("link"))?.is_symlink());
    Ok(())
}

#[test]
fn a_multipart_object_is_compared_by_its_parts_or_read() -> Result<()> {
    let media = Media::with(&[])?;
    media.switch()?;
    let content = "0123456789abcdef".repeat(400_000);
    write(&media.live().join("big.mp4"), &content)?;
    for part_size in [5 << 20, 5_000_123] {
        multipart(&media, "big.mp4", content.as_bytes(), part_size)?;
        media.run("cutover", &["--dry-run"])?.expect(0);
    }
    let mut other = content.into_bytes();
    other[6_000_000] = b'x';
    for part_size in [5 << 20, 5_000_123] {
        multipart(&media, "big.mp4", &other, part_size)?;
        media.run("cutover", &["--dry-run"])?.expect(3);
    }
    Ok(())
}

fn multipart(media: &Media, key: &str, content: &[u8], part_size: usize) -> Result<()> {
    let client = media.client();
    let path = e2e::client::Client::path(e2e::media::BUCKET, key);
    let begun = client.send("POST", &format!("{path}?uploads="), &[], &[])?;
    let id = begun.element("UploadId");
    let mut list = String::from("<CompleteMultipartUpload>");
    for (index, part) in content.chunks(part_size).enumerate() {
        let number = index + 1;
        let url = format!("{path}?partNumber={number}&uploadId={id}");
        let answer = client.send("PUT", &url, &[], part)?;
        list.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>",
            answer.header("etag")
        ));
    }
    list.push_str("</CompleteMultipartUpload>");
    let done = client.send(
        "POST",
        &format!("{path}?uploadId={id}"),
        &[],
        list.as_bytes(),
    )?;
    anyhow::ensure!(done.status == 200, "{}", done.error());
    Ok(())
}
