//! What Mastodon has deleted, replaced or added in the bucket since the upload, on the way there and back.

use std::fs;

use anyhow::Result;
use e2e::media::files;
use e2e::medialift;

use super::{FILES, synced, uploaded};

/// As the day after a switch on an instance with a retention period.
#[test]
fn what_mastodon_deleted_in_the_bucket_does_not_stop_it_and_is_never_restored() -> Result<()> {
    let media = synced()?;
    let deleted = "cache/accounts/avatars/1/original/b.png";
    media.delete(deleted)?;
    let ran = media.run("sync", &["--json"])?.expect(0).json()?;
    assert_eq!(ran["uploaded"]["files"], 0, "{ran}");
    let json = media.run("cutover", &["--json"])?.expect(0).json()?;
    assert_eq!(json["compared"]["deleted_in_bucket"], 1);
    assert_eq!(json["compared"]["same"], FILES.len() - 1);
    // The same tree under its other name.
    let kept = media.kept();
    let kept = kept.to_str().expect("a path in UTF-8");
    let ran = medialift::run(&mut media.command(&["sync", kept, "--json"])?)?;
    assert_eq!(ran.json()?["uploaded"]["files"], 0);
    let ran = media.run("prune", &["--json"])?.expect(0).json()?;
    assert_eq!(ran["deleted"], 5);
    assert_eq!(ran["deleted_in_bucket"], 1);
    assert!(files(&media.kept())?.is_empty());
    assert_eq!(media.client().get(e2e::media::BUCKET, deleted)?.status, 404);
    Ok(())
}

/// Uploaded by another program: it is not known whether Mastodon deleted what is missing.
#[test]
fn without_a_journal_no_hint_restores_deleted_pictures() -> Result<()> {
    let media = uploaded()?;
    media.delete("cache/accounts/avatars/1/original/b.png")?;
    let ran = media.run("cutover", &[])?.expect(3);
    assert!(!ran.stderr.contains("medialift sync"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--allow-unproven"), "{}", ran.stderr);
    media.run("cutover", &["--allow-unproven"])?.expect(0);
    assert_eq!(files(&media.kept())?.len(), FILES.len());
    Ok(())
}

#[test]
fn what_mastodon_replaced_in_the_bucket_does_not_stop_it_and_stays_on_the_disk() -> Result<()> {
    let media = synced()?;
    let replaced = "accounts/avatars/000/000/001/original/a.png";
    media.put(replaced, b"newer avatar")?;
    let json = media.run("cutover", &["--json"])?.expect(0).json()?;
    assert_eq!(json["compared"]["replaced_in_bucket"], 1);
    media.run("prune", &[])?.expect(4);
    assert_eq!(files(&media.kept())?[replaced], b"avatar");
    Ok(())
}

#[test]
fn media_that_only_the_bucket_has_are_counted_before_the_way_back() -> Result<()> {
    let media = synced()?;
    media.run("cutover", &[])?.expect(0);
    media.put("media_attachments/files/2/original/new.png", b"new")?;
    let ran = media.run("rollback", &[])?.expect(3);
    assert!(ran.stderr.contains("1 object is"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--leave-in-bucket"), "{}", ran.stderr);
    assert!(media.kept().exists());
    media.run("rollback", &["--leave-in-bucket"])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// What a user has deleted must not be public again because a directory is renamed.
#[test]
fn media_that_mastodon_deleted_in_the_bucket_are_restored_only_on_request() -> Result<()> {
    let media = synced()?;
    media.run("cutover", &[])?.expect(0);
    let deleted = "cache/accounts/avatars/1/original/b.png";
    media.delete(deleted)?;
    for flags in [&[][..], &["--leave-in-bucket"], &["--dry-run"]] {
        let ran = media.run("rollback", flags)?.expect(3);
        assert!(ran.stdout.contains(deleted), "{}", ran.stdout);
        assert!(ran.stderr.contains("1 file that"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--with-deleted"), "{}", ran.stderr);
        assert!(media.kept().exists());
    }
    let json = media.run("rollback", &["--json"])?.expect(3).json()?;
    let named = &json["deleted_in_bucket"];
    assert_eq!(named["count"], 1, "{json}");
    assert_eq!(named["first"][0]["path"], deleted, "{json}");
    media.run("rollback", &["--with-deleted"])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

#[test]
fn without_a_journal_what_the_bucket_lacks_may_have_been_deleted_there() -> Result<()> {
    let media = uploaded()?;
    media.run("cutover", &[])?.expect(0);
    media.delete("cache/accounts/avatars/1/original/b.png")?;
    let ran = media.run("rollback", &[])?.expect(3);
    assert!(ran.stdout.contains("no journal shows"), "{}", ran.stdout);
    assert!(media.kept().exists());
    // Without the file nothing is restored.
    fs::remove_file(media.kept().join("cache/accounts/avatars/1/original/b.png"))?;
    media.run("rollback", &[])?.expect(0);
    Ok(())
}
