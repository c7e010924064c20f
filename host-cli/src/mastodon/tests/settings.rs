//! The owner and the bucket by files of settings, and by `medialift.toml`.

use std::os::unix::fs::symlink;

use super::*;

/// The owner by this `.env.production`.
#[track_caller]
fn check_owner(env: &str, expected: Owner) {
    let found = TestInstallation::new(env).find("live/public/system");
    match (&found.owner, &expected) {
        (Owner::Unknown(why), Owner::Unknown(part)) => {
            assert!(why.contains(&**part), "{env:?}: {why}");
        }
        _ => assert_eq!(found.owner, expected, "{env:?}"),
    }
    if expected == Owner::Bucket {
        assert_eq!(found.storage, media_bucket(), "{env:?}");
    }
}

fn unknown(part: &str) -> Owner {
    Owner::Unknown(part.to_owned())
}

#[test]
fn the_owner_is_that_of_the_settings_however_they_are_written() {
    for env in [
        "S3_ENABLED=true\nS3_BUCKET=media\n",
        "S3_ENABLED=true\nNAME=media\nS3_BUCKET=${NAME}\n",
        "S3_ENABLED=true\nNAME=media\nS3_BUCKET=\"$NAME\"\n",
        "S3_ENABLED=true\nS3_BUCKET=media # the bucket\n",
        "export S3_ENABLED='true'\nS3_BUCKET=\"media\"\n",
        "S3_ENABLED: true\r\nS3_BUCKET = Media\r\n",
        "\u{feff}S3_ENABLED=true\nS3_BUCKET=media",
        "S3_ENABLED=\n'true'\nS3_BUCKET=MEDIA\nS3_ENABLED=true\n",
    ] {
        check_owner(env, Owner::Bucket);
    }
    for env in [
        "LOCAL_DOMAIN=social.example\n",
        "S3_ENABLED=false\nS3_BUCKET=media\n",
        "S3_ENABLED=True\nS3_BUCKET=media\n",
        "S3_ENABLED=true\nS3_BUCKET=media\nS3_ENABLED=false\n",
        "# S3_ENABLED=true\n",
    ] {
        check_owner(env, Owner::Disk);
    }
}

#[test]
fn an_ambiguous_setting_is_unknown() {
    check_owner("S3_ENABLED=$ELSEWHERE\n", unknown("`$ELSEWHERE`"));
    check_owner(
        "S3_ENABLED=true\nS3_BUCKET=$(cat name)\n",
        unknown("`$(…)`"),
    );
    check_owner(
        "S3_ENABLED=true\nS3_BUCKET=\n",
        unknown("`S3_BUCKET` is not set"),
    );
    // Recent versions of the gem set a lone name to nothing.
    check_owner(
        "S3_ENABLED=true\nS3_BUCKET=media\nS3_ENABLED\n",
        unknown("differently"),
    );
    check_owner(
        "S3_ENABLED=\n'true'\nS3_BUCKET=media\n",
        unknown("differently"),
    );
    check_owner(
        "export SOMETHING=\nS3_ENABLED=false\n",
        unknown("may not start"),
    );
    check_owner("SWIFT_ENABLED=true\n", unknown("Swift"));
    check_owner(
        "PAPERCLIP_ROOT_PATH=$ELSEWHERE\n",
        unknown("`PAPERCLIP_ROOT_PATH`"),
    );
}

#[test]
fn an_endpoint_is_amazons_where_none_is_set_and_otherwise_known_or_an_error() {
    let env = "S3_ENABLED=true\nS3_BUCKET=media\n";
    check_owner(env, Owner::Bucket);
    for endpoint in [
        "S3_ENDPOINT=\n",
        "S3_ENDPOINT=http://minio:9000\n",
        "S3_ENDPOINT=https://s3.example.com/media\n",
        "S3_ENDPOINT=$ELSEWHERE\n",
    ] {
        check_owner(&format!("{env}{endpoint}"), unknown("`S3_ENDPOINT`"));
    }
    check_owner(
        &format!("{env}AWS_ENDPOINT_URL=https://s3.us-west-004.backblazeb2.com\n"),
        unknown("`AWS_ENDPOINT_URL`"),
    );
    // It does not count while the media are on the disk.
    check_owner("S3_ENDPOINT=http://minio:9000\n", Owner::Disk);
}

#[test]
fn the_gem_that_is_installed_decides_where_its_versions_differ() {
    let installation = TestInstallation::new("S3_ENABLED=true\nS3_BUCKET=media\nS3_ENABLED\n");
    for (version, expected) in [("3.1.4", Owner::Bucket), ("3.1.8", Owner::Disk)] {
        installation.write(
            "live/Gemfile.lock",
            &format!("GEM\n  specs:\n    dotenv ({version})\n    dotenv-rails (9.9.9)\n"),
        );
        assert_eq!(
            installation.find("live/public/system").owner,
            expected,
            "{version}"
        );
    }
}

#[test]
fn files_that_outrank_the_main_one_count() {
    let installation = TestInstallation::new("S3_ENABLED=false\nS3_BUCKET=other\n");
    installation.write("live/.env.local", "S3_ENABLED=true\n");
    installation.write("live/.env.production.local", "S3_BUCKET=media\n");
    let found = installation.find("live/public/system");
    assert_eq!(
        (found.owner, found.storage),
        (Owner::Bucket, media_bucket())
    );
    let names = [".env.production.local", ".env.local", ".env.production"];
    let files = names.map(|name| installation.path("live").join(name));
    assert_eq!(found.env_files, files);
    // An unreadable file may set anything.
    fs::remove_file(installation.path("live/.env.local")).unwrap();
    symlink("nowhere", installation.path("live/.env.local")).unwrap();
    let found = installation.find("live/public/system");
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("cannot be read")));
    fs::remove_file(installation.path("live/.env.local")).unwrap();
    let settings = config::File {
        env_file: Some(installation.path("live/.env.production/below")),
        ..config::File::default()
    };
    let found = installation.find_with("live/public/system", &settings);
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("cannot be read")));
}

#[test]
fn compose_mounts_the_media_and_reads_by_its_own_rules() {
    let installation = TestInstallation::new("S3_ENABLED=true\nS3_BUCKET=media # the bucket\n");
    fs::remove_file(installation.path("live/lib/mastodon/version.rb")).unwrap();
    fs::create_dir_all(installation.path("live/files")).unwrap();
    let compose = "services:\n  web:\n    image: ghcr.io/mastodon/mastodon:v4.3.17\n    env_file: .env.production\n    volumes:\n      - ./files:/mastodon/public/system\n";
    installation.write("live/docker-compose.yml", compose);
    let found = installation.find("live/files");
    assert_eq!(found.deployment, Some(Deployment::Docker));
    assert_eq!(found.version, Some(Version::new(4, 3, 17)));
    assert_eq!(
        (found.relation, found.owner),
        (DirectoryRelation::MediaDir, Owner::Bucket)
    );
    assert_eq!(found.storage, media_bucket());

    let own = format!("{compose}    environment:\n      - S3_ENABLED=false\n");
    installation.write("live/docker-compose.yml", &own);
    let found = installation.find("live/files");
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("Compose file sets")));
}

#[test]
fn medialift_toml_is_used_for_what_cannot_be_determined() {
    let installation = TestInstallation::new("S3_ENABLED=$ELSEWHERE\n");
    let mut settings = config::File {
        bucket: Some("Media".to_owned()),
        endpoint: Some("https://S3.amazonaws.com".to_owned()),
        ..config::File::default()
    };
    settings.mastodon.owner = Some(MediaOwner::Bucket);
    settings.mastodon.version = Some("4.5.0".to_owned());
    let found = installation.find_with("live/public/system", &settings);
    assert_eq!(
        (found.owner, found.storage),
        (Owner::Bucket, media_bucket())
    );
    assert_eq!(found.version, Some(Version::new(4, 5, 0)));
    settings.mastodon.owner = Some(MediaOwner::Disk);
    assert_eq!(
        installation
            .find_with("live/public/system", &settings)
            .owner,
        Owner::Disk
    );
    // It does not outrank what can be determined.
    installation.write("live/.env.production", "S3_ENABLED=true\nS3_BUCKET=media\n");
    assert_eq!(
        installation
            .find_with("live/public/system", &settings)
            .owner,
        Owner::Bucket
    );
}
