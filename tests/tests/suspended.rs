//! The files of a suspended account, from the bulk upload to the day when the suspension is lifted:
//! what Mastodon has hidden on the disk does not become public by the migration.

use anyhow::Result;
use e2e::host::{BUCKET, Host, HostOptions};
use e2e::mastodon::Deployment;
use e2e::media::files;

const SEEN: &str = "media_attachments/files/113/000/000/000/000/001/original/seen.png";
const HIDDEN: &str = "media_attachments/files/113/000/000/000/000/002/original/hidden.png";

#[test]
fn a_hidden_file_stays_on_the_disk_until_it_is_asked_for() -> Result<()> {
    let host = Host::start(HostOptions {
        deployment: Deployment::Systemd,
        ruby: false,
        pictures: 0,
        seed: 1,
    })?;
    let mut rules = host.invariants();
    host.mastodon.write(SEEN, b"everybody's")?;
    host.mastodon.write(HIDDEN, b"a suspended account's")?;
    host.mastodon.suspend(&[HIDDEN.to_owned()])?;

    for step in ["sync", "switch", "sync", "cutover", "prune"] {
        if step == "switch" {
            host.switch()?;
            continue;
        }
        let ran = host.run(&[step])?;
        assert!(matches!(ran.code, Some(0 | 4)), "`{step}`: {ran:#?}");
        let printed = format!("{}{}", ran.stdout, ran.stderr);
        assert!(printed.contains(HIDDEN), "`{step}` names it: {printed}");
        let objects = host.client().list(BUCKET)?;
        assert!(objects.contains_key(SEEN), "after `{step}`");
        assert!(!objects.contains_key(HIDDEN), "after `{step}`");
        rules.check(&host.mastodon)?;
    }
    let left = files(&host.kept())?;
    assert_eq!(left.keys().collect::<Vec<_>>(), [HIDDEN]);

    let kept = host.kept();
    let kept = kept.to_str().expect("a path in UTF-8");
    // The flag alone would publish the files of every suspended account.
    let ran = host.run(&["sync", kept, "--include-hidden"])?.expect(2);
    assert!(ran.stderr.contains("--files-from"), "{}", ran.stderr);
    assert!(!host.client().list(BUCKET)?.contains_key(HIDDEN));
    let lifted = ["--include", "media_attachments/files/113/**/002/**"];
    host.run(&[&["sync", kept, "--include-hidden"], &lifted[..]].concat())?
        .expect(0);
    let read = host.client().get(BUCKET, HIDDEN)?;
    assert_eq!(read.text(), "a suspended account's");
    Ok(())
}
