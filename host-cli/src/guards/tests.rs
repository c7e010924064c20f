//! Tests of `guards`: for each state of an installation, which commands may run.

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
    let allowed = verdicts.clone().map(|verdict| verdict == Verdict::Allow);
    assert_eq!(allowed, expected, "{installation:?}: {verdicts:?}");
    for verdict in verdicts {
        if let Verdict::Refuse { why, what_to_do } = verdict {
            assert!(!why.is_empty() && !what_to_do.is_empty());
            assert!(!why.ends_with('.') && !what_to_do.ends_with('.'));
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
    // Whatever is in a bucket that Mastodon does not know is a copy.
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
    before.running = Running::Shows(Owner::Disk);
    check(&before, NEITHER);
    before.running = Running::NotRestarted("puma is older".to_owned());
    check(&before, NEITHER);
    before.running = Running::Shows(Owner::Bucket);
    check(&before, BUCKET);
    let mut back = installation(Owner::Disk);
    for running in [
        Running::Shows(Owner::Bucket),
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
    assert_eq!(may_cutover(&amazon, &target), Verdict::Allow);
}

#[test]
fn a_directory_below_or_above_is_not_the_media() {
    for owner in [Owner::Disk, Owner::Bucket] {
        let mut installation = installation(owner);
        installation.place = Place::Below("cache".into());
        check(&installation, NOTHING);
        installation.place = Place::Above;
        check(&installation, NOTHING);
    }
    let mut after_cutover = installation(Owner::Bucket);
    after_cutover.moved_aside = Some("/home/mastodon/live/public/system".into());
    check(&after_cutover, BUCKET);
    after_cutover.owner = Owner::Disk;
    check(&after_cutover, NEITHER);
    // The bucket that Mastodon does not use may have what it uploaded since.
    let owner = after_cutover.owner_of(&target());
    assert!(matches!(owner, Owner::Unknown(why) if why.contains("moved aside")));
    assert_eq!(may_do_without(&after_cutover), Verdict::Allow);
    assert_ne!(may_sync_without(&after_cutover), Verdict::Allow);
}

#[test]
fn an_instance_that_runs_with_what_nobody_knows_is_neithers() {
    for owner in [Owner::Disk, Owner::Bucket] {
        let mut found = installation(owner);
        found.running = Running::Unclear("its environment cannot be read".to_owned());
        check(&found, NEITHER);
        assert_ne!(found.owner_of(&target()), Owner::Disk);
    }
}

#[test]
fn the_bucket_is_not_turned_off_while_the_media_are_aside() {
    let aside = Path::new("/home/mastodon/live/public/system");
    assert_eq!(may_undo(None, true), Verdict::Allow);
    assert_eq!(may_undo(Some(aside), false), Verdict::Allow);
    assert_ne!(may_undo(Some(aside), true), Verdict::Allow);
}

#[test]
fn an_installation_that_is_there_is_not_done_without() {
    let mut found = installation(Owner::Disk);
    assert_eq!(may_do_without(&found), Verdict::Allow);
    found.root = Some("/home/mastodon/live".into());
    assert_ne!(may_do_without(&found), Verdict::Allow);
}
