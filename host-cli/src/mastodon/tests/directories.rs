//! How a named directory relates to the media directory.

use std::os::unix::fs::symlink;

use super::*;

#[test]
fn the_media_directory_is_found_by_each_of_its_names() {
    let installation = TestInstallation::new("S3_ENABLED=true\nS3_BUCKET=media\n");
    let media_dir = installation.path("live/public/system");
    fs::create_dir_all(installation.path("live/public/system_/cache")).unwrap();
    for (path, relation) in [
        ("live/public/system", DirectoryRelation::MediaDir),
        ("live/public/../public/system", DirectoryRelation::MediaDir),
        ("live/public/system_", DirectoryRelation::MovedAside),
        (
            "live/public/system/cache/a",
            DirectoryRelation::Below("cache/a".into()),
        ),
        (
            "live/public/system_/cache",
            DirectoryRelation::Below("cache".into()),
        ),
        ("live/public", DirectoryRelation::Above),
        ("live", DirectoryRelation::Above),
    ] {
        let found = installation.find(path);
        assert_eq!(found.relation, relation, "{path}");
        assert_eq!(found.media_dir, media_dir, "{path}");
        assert_eq!(found.owner, Owner::Bucket, "{path}");
        assert_eq!(found.version, Some(Version::new(4, 4, 1)));
    }
    let elsewhere = installation.path("copy");
    fs::create_dir(&elsewhere).unwrap();
    let found = installation.find("copy");
    assert!(matches!(found.owner, Owner::Unknown(_)) && found.root.is_none());
}

/// The media directory and the relation to it of a directory without an installation.
#[track_caller]
fn check_place(path: &str, expected: (&str, DirectoryRelation)) {
    let installation = TestInstallation::new("");
    fs::remove_dir_all(installation.path("live/lib")).unwrap();
    fs::remove_file(installation.path("live/.env.production")).unwrap();
    for directory in [
        "copy/cache/accounts/avatars/109/001/original",
        "copy/accounts/headers",
        "copy/imports/data",
        "backups/system/files",
        "accounts/2024",
    ] {
        fs::create_dir_all(installation.path(directory)).unwrap();
    }
    let found = installation.find(path);
    assert!(matches!(found.owner, Owner::Unknown(_)) && found.root.is_none());
    assert_eq!(
        (found.media_dir, found.relation),
        (installation.path(expected.0), expected.1),
        "{path}"
    );
}

#[test]
fn a_part_of_a_media_directory_is_recognised_without_an_installation() {
    let below = |path: &str| DirectoryRelation::Below(path.into());
    let system = "live/public/system";
    check_place(system, (system, DirectoryRelation::MediaDir));
    check_place("live/public/system/cache/a", (system, below("cache/a")));
    check_place("live/public", (system, DirectoryRelation::Above));
    check_place("copy", ("copy", DirectoryRelation::MediaDir));
    for path in [
        "cache",
        "cache/accounts",
        "cache/accounts/avatars",
        "cache/accounts/avatars/109/001/original",
        "accounts",
        "accounts/headers",
        "imports",
    ] {
        check_place(&format!("copy/{path}"), ("copy", below(path)));
    }
    // Other directories have such names too.
    check_place(
        "accounts/2024",
        ("accounts/2024", DirectoryRelation::MediaDir),
    );
    check_place(
        "backups/system",
        ("backups/system", DirectoryRelation::MediaDir),
    );
    check_place(
        "backups/system/files",
        ("backups/system/files", DirectoryRelation::MediaDir),
    );
}

#[test]
fn a_directory_with_the_structure_of_media_is_related_to_mastodon() {
    let installation = TestInstallation::new("");
    fs::remove_dir_all(installation.path("live/lib")).unwrap();
    fs::remove_file(installation.path("live/.env.production")).unwrap();
    for directory in [
        "own/media_attachments",
        "remote/cache/preview_cards/images",
        "plain/cache/pictures",
    ] {
        fs::create_dir_all(installation.path(directory)).unwrap();
    }
    symlink(
        installation.path("live/public/system"),
        installation.path("link"),
    )
    .unwrap();
    for (path, unrelated) in [
        ("live/public/system", false),
        ("link", false),
        ("own", false),
        ("remote", false),
        ("plain", true),
    ] {
        assert_eq!(installation.find(path).unrelated, unrelated, "{path}");
    }
}

#[test]
fn the_disk_does_not_own_media_that_were_moved_aside() {
    let installation = TestInstallation::new("S3_ENABLED=false\n");
    let by_settings = |path: &str, settings: &config::File| {
        let endpoint = Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap();
        installation
            .find_with(path, settings)
            .owner_by_settings(&Target {
                endpoint,
                region: "us-west-004".to_owned(),
                bucket: "media".to_owned(),
                key_prefix: String::new(),
            })
    };
    let none = config::File::default();
    assert_eq!(by_settings("live/public/system", &none), Owner::Disk);
    fs::create_dir(installation.path("live/public/system_")).unwrap();
    let is_aside =
        |owner: &Owner| matches!(owner, Owner::Unknown(why) if why.contains("moved aside"));
    assert!(is_aside(&by_settings("live/public/system_", &none)));
    // A state file with unknown content.
    installation.write("live/public/.system.medialift.json", "{}");
    assert!(is_aside(&by_settings("live/public/system", &none)));
    installation.write("live/.env.production", "S3_ENABLED=true\nS3_BUCKET=other\n");
    assert!(is_aside(&by_settings("live/public/system", &none)));
    fs::remove_file(installation.path("live/.env.production")).unwrap();
    fs::remove_dir_all(installation.path("live/lib")).unwrap();
    let found = installation.find("live/public/system_");
    assert!(found.moved_aside.is_some() && !found.unrelated);
    assert_eq!(found.relation, DirectoryRelation::MovedAside);
}

#[test]
fn a_link_is_followed_both_ways() {
    let installation = TestInstallation::new("S3_ENABLED=true\nS3_BUCKET=media\n");
    let media_dir = installation.path("live/public/system");
    fs::rename(&media_dir, installation.path("disk")).unwrap();
    symlink(installation.path("disk"), &media_dir).unwrap();
    let found = installation.find("live/public/system");
    assert_eq!(found.resolved_dir, installation.path("disk"));
    assert_eq!(
        (found.relation, found.owner),
        (DirectoryRelation::MediaDir, Owner::Bucket)
    );

    // Nothing leads from the target back to the link: a setting must name Mastodon's directory.
    let found = installation.find("disk");
    assert!(matches!(found.owner, Owner::Unknown(_)), "{found:?}");
    for settings in [
        config::File {
            mastodon: config::Mastodon {
                root: Some(installation.path("live")),
                ..config::Mastodon::default()
            },
            ..config::File::default()
        },
        config::File {
            env_file: Some(installation.path("live/.env.production")),
            ..config::File::default()
        },
    ] {
        let found = installation.find_with("disk", &settings);
        assert_eq!(
            (found.relation, found.owner),
            (DirectoryRelation::MediaDir, Owner::Bucket)
        );
        assert_eq!(found.media_dir, media_dir);
        let found = installation.find_with("disk/cache", &settings);
        assert_eq!(found.relation, DirectoryRelation::Below("cache".into()));
    }
    // The cutover has moved the link aside.
    fs::rename(&media_dir, installation.path("live/public/system_")).unwrap();
    fs::create_dir(&media_dir).unwrap();
    assert_eq!(
        installation.find("live/public/system_").relation,
        DirectoryRelation::MovedAside
    );
}

#[test]
fn the_media_directory_may_be_configured() {
    let installation = TestInstallation::new("S3_ENABLED=false\n");
    fs::create_dir_all(installation.path("media")).unwrap();
    let env = format!(
        "PAPERCLIP_ROOT_PATH={}\n",
        installation.path("media").display()
    );
    installation.write("live/.env.production", &env);
    let settings = config::File {
        env_file: Some(installation.path("live/.env.production")),
        ..config::File::default()
    };
    let found = installation.find_with("media", &settings);
    assert_eq!(
        (found.relation, found.owner),
        (DirectoryRelation::MediaDir, Owner::Disk)
    );
    // Mastodon does not use the default one.
    let found = installation.find_with("live/public/system", &settings);
    assert!(
        matches!(&found.owner, Owner::Unknown(why) if why.contains("the installation that was found uses"))
    );
}
