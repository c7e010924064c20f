//! Tests of `guards`: which commands may run in each state of an installation.

use super::*;
use crate::config::Endpoint;
use crate::mastodon::{Installation, Storage};

fn target() -> Target {
    Target {
        endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
        region: "us-west-004".to_owned(),
        bucket: "Media".to_owned(),
        key_prefix: String::new(),
    }
}

fn installation(owner: Owner) -> Installation {
    let storage = (owner == Owner::Bucket).then(|| Storage {
        bucket: "media".to_owned(),
        key_prefix: String::new(),
        endpoint: "s3.us-west-004.backblazeb2.com".to_owned(),
    });
    Installation::for_tests(owner, storage)
}

/// Which of `sync --delete`, `sync --replace`, `cutover`, `prune`, `rollback` are allowed.
#[track_caller]
fn check(installation: &Installation, expected: [bool; 5]) {
    let target = target();
    let verdicts = [
        may_sync_delete(installation, &target),
        may_overwrite(installation, &target),
        may_cutover(installation, &target),
        may_prune(installation, &target),
        may_rollback(installation),
    ];
    let allowed = verdicts
        .clone()
        .map(|verdict| verdict == Permission::Allowed);
    assert_eq!(allowed, expected, "{installation:?}: {verdicts:?}");
    for verdict in verdicts {
        if let Permission::Refused { reason, hint } = verdict {
            assert!(!reason.is_empty() && !hint.is_empty());
            assert!(!reason.ends_with('.') && !hint.ends_with('.'));
        }
    }
}

const DISK: [bool; 5] = [true, true, false, false, true];
const BUCKET: [bool; 5] = [false, false, true, true, true];
const NEITHER: [bool; 5] = [false, false, false, false, true];
const NOTHING: [bool; 5] = [false; 5];

#[test]
fn the_owner_decides() {
    check(&installation(Owner::Disk), DISK);
    check(&installation(Owner::Bucket), BUCKET);
    check(&installation(Owner::Unknown("no file".to_owned())), NEITHER);
}

#[test]
fn another_bucket_prefix_or_service_is_not_this_one() {
    let of = |change: fn(&mut Storage)| {
        let mut installation = installation(Owner::Bucket);
        installation.storage.as_mut().map(change).unwrap();
        installation
    };
    // A bucket that Mastodon does not use is a copy of the disk.
    check(
        &of(|s| s.bucket = "other".to_owned()),
        [true, true, false, false, true],
    );
    check(&of(|s| s.key_prefix = "media/".to_owned()), NEITHER);
    check(&of(|s| s.endpoint = "s3.example.com".to_owned()), NEITHER);
    let mut unknown = installation(Owner::Bucket);
    unknown.storage = None;
    check(&unknown, NEITHER);
}

#[test]
fn an_instance_with_old_settings_must_be_restarted() {
    let mut before = installation(Owner::Bucket);
    before.running = Running::Uses(Owner::Disk);
    check(&before, NEITHER);
    before.running = Running::NotRestarted("puma is older".to_owned());
    check(&before, NEITHER);
    before.running = Running::Uses(Owner::Bucket);
    check(&before, BUCKET);
    let mut back = installation(Owner::Disk);
    for running in [
        Running::Uses(Owner::Bucket),
        Running::NotRestarted("puma is older".to_owned()),
    ] {
        back.running = running;
        check(&back, NEITHER);
        let owner = back.owner_of(&target());
        assert!(matches!(owner, Owner::Unknown(why) if why.contains("restart Mastodon")));
    }
    let mut elsewhere = installation(Owner::Bucket);
    elsewhere.storage.as_mut().unwrap().bucket = "other".to_owned();
    elsewhere.running = Running::NotRestarted("puma is older".to_owned());
    check(&elsewhere, NEITHER);
}

#[test]
fn amazon_has_one_bucket_of_a_name_and_no_other_service_has_it() {
    let mut amazon = installation(Owner::Bucket);
    amazon.storage.as_mut().unwrap().endpoint = "s3.amazonaws.com".to_owned();
    check(&amazon, NEITHER);
    let target = Target {
        endpoint: Endpoint::parse("s3.eu-west-1.amazonaws.com").unwrap(),
        ..target()
    };
    assert_eq!(may_cutover(&amazon, &target), Permission::Allowed);
}

#[test]
fn a_directory_below_or_above_is_not_the_media() {
    for owner in [Owner::Disk, Owner::Bucket] {
        let mut installation = installation(owner);
        installation.relation = DirectoryRelation::Below("cache".into());
        check(&installation, NOTHING);
        installation.relation = DirectoryRelation::Above;
        check(&installation, NOTHING);
    }
    let mut after_cutover = installation(Owner::Bucket);
    after_cutover.moved_aside = Some("/home/mastodon/live/public/system".into());
    check(&after_cutover, BUCKET);
    after_cutover.owner = Owner::Disk;
    check(&after_cutover, NEITHER);
    // The bucket that Mastodon does not use may have uploads since the cutover.
    let owner = after_cutover.owner_of(&target());
    assert!(matches!(owner, Owner::Unknown(why) if why.contains("moved aside")));
    assert_eq!(may_ignore_mastodon(&after_cutover), Permission::Allowed);
    assert_ne!(
        may_sync_without_mastodon(&after_cutover),
        Permission::Allowed
    );
}

#[test]
fn an_instance_with_unknown_settings_allows_nothing_that_could_lose_data() {
    for owner in [Owner::Disk, Owner::Bucket] {
        let mut found = installation(owner);
        found.running = Running::Unknown("its environment cannot be read".to_owned());
        check(&found, NEITHER);
        assert_ne!(found.owner_of(&target()), Owner::Disk);
    }
}

#[test]
fn the_bucket_is_not_turned_off_while_the_media_are_moved_aside() {
    let aside = Path::new("/home/mastodon/live/public/system");
    assert_eq!(may_undo(None, true), Permission::Allowed);
    assert_eq!(may_undo(Some(aside), false), Permission::Allowed);
    assert_ne!(may_undo(Some(aside), true), Permission::Allowed);
}

#[test]
fn an_existing_installation_is_not_ignored() {
    let mut found = installation(Owner::Disk);
    assert_eq!(may_ignore_mastodon(&found), Permission::Allowed);
    found.root = Some("/home/mastodon/live".into());
    assert_ne!(may_ignore_mastodon(&found), Permission::Allowed);
}
