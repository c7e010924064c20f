//! Mastodon's own gems, with the settings that `env` wrote: uploads with an ACL and in parts, replacements and
//! deletions, and `medialift` on the same bucket.

use std::collections::BTreeMap;

use anyhow::Result;
use e2e::host::{BUCKET, Host, HostOptions};
use e2e::mastodon::Deployment;
use e2e::media::files;

/// Above 15 MB Mastodon uploads in parts.
const LARGE: usize = 16 * 1024 * 1024;

const KEPT: &str = "media_attachments/files/113/000/000/000/000/001/original/kept.png";
const REPLACED: &str = "accounts/avatars/000/000/001/original/replaced.png";
const DELETED: &str = "media_attachments/files/113/000/000/000/000/002/original/deleted.png";
const REMOTE: &str = "cache/media_attachments/files/113/000/000/000/000/003/original/remote.png";
const NEW: &str = "media_attachments/files/113/000/000/000/000/004/original/new.mp4";

fn host() -> Result<Host> {
    Host::start(HostOptions {
        deployment: Deployment::Systemd,
        ruby: true,
        pictures: 0,
        seed: 1,
    })
}

#[test]
fn mastodon_s_own_gems_write_to_the_bucket_beside_medialift() -> Result<()> {
    let host = host()?;
    let mastodon = &host.mastodon;
    let mut rules = host.invariants();
    for key in [KEPT, REPLACED, DELETED, REMOTE] {
        mastodon.write(key, key.as_bytes())?;
    }
    host.run(&["sync"])?.expect(0);
    host.switch()?;
    // A process that had not been started again yet wrote to the disk.
    host.run(&["sync"])?.expect(0);
    rules.check(mastodon)?;

    let large: Vec<u8> = (0..LARGE).map(|byte| (byte % 251) as u8).collect();
    mastodon.write(NEW, &large)?;
    mastodon.write(REPLACED, b"another avatar")?;
    mastodon.delete(DELETED)?;
    mastodon.delete_old_remote_media(100)?;
    let owned = host.client().list(BUCKET)?;
    assert!(owned[NEW].ends_with("-4"), "in parts: {}", owned[NEW]);

    // 4: it names the file that Mastodon has replaced.
    let ran = host.run(&["sync"])?.expect(4);
    let printed = format!("{}{}", ran.stdout, ran.stderr);
    assert!(printed.contains(REPLACED), "{printed}");
    for key in [KEPT, DELETED, REMOTE] {
        assert!(!printed.contains(key), "{printed}");
    }
    assert_eq!(host.client().list(BUCKET)?, owned, "nothing was sent");
    rules.check(mastodon)?;

    host.run(&["cutover"])?.expect(0);
    assert!(host.kept().is_dir());
    rules.check(mastodon)?;
    host.run(&["prune"])?.expect(4);
    let left: BTreeMap<String, Vec<u8>> = files(&host.kept())?;
    assert_eq!(left.keys().collect::<Vec<_>>(), [REPLACED]);
    assert_eq!(host.client().list(BUCKET)?, owned);
    rules.check(mastodon)?;
    let read = host.client().get(BUCKET, NEW)?;
    assert_eq!(read.header("content-type"), "image/png");
    assert_eq!(
        read.header("cache-control"),
        "public, max-age=315576000, immutable"
    );
    assert!(read.body == large, "every byte of a large upload");
    Ok(())
}

#[test]
fn a_suspended_account_s_objects_get_an_acl_that_hides_nothing() -> Result<()> {
    let host = host()?;
    let keys = [KEPT.to_owned()];
    host.mastodon.upload()?;
    host.run(&["sync"])?.expect(0);
    host.switch()?;
    host.run(&["sync"])?.expect(0);
    host.mastodon.write(KEPT, b"a picture")?;
    host.mastodon.suspend(&keys)?;
    assert_eq!(host.origin.requests()?.of("PutObjectAcl"), 1);
    assert_eq!(host.client().get(BUCKET, KEPT)?.status, 200);
    host.mastodon.unsuspend(&keys)?;
    host.run(&["cutover"])?.expect(0);
    Ok(())
}

#[test]
fn a_whole_migration_beside_mastodon_s_own_gems() -> Result<()> {
    let host = Host::start(HostOptions {
        pictures: 30,
        seed: e2e::seed(),
        ruby: true,
        deployment: Deployment::Systemd,
    })?;
    let mut rules = host.invariants();
    let activity = host.mastodon.begin_activity();
    let ran = host.run(&["sync"])?;
    assert!(matches!(ran.code, Some(0 | 4)), "{ran:#?}");
    host.switch()?;
    for name in ["sync", "cutover", "prune"] {
        let ran = host.run(&[name])?;
        assert!(matches!(ran.code, Some(0 | 4)), "`{name}`: {ran:#?}");
        rules.check(&host.mastodon)?;
    }
    activity.stop()
}
