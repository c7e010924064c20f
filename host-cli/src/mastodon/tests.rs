//! Tests of `mastodon`: how an installation lies on a disk, and what is found of it.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A Mastodon in `live`, whose `.env.production` has this text, with files in `public/system`.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new(env: &str) -> World {
        let dir = tempfile::tempdir().unwrap();
        let world = World { dir };
        fs::create_dir_all(world.path("live/public/system/cache/a")).unwrap();
        fs::create_dir_all(world.path("live/lib/mastodon")).unwrap();
        world.write(
            "live/lib/mastodon/version.rb",
            "def major\n 4\nend\ndef minor\n 4\nend\ndef patch\n 1\nend\n",
        );
        world.write("live/.env.production", env);
        world
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn find(&self, path: &str) -> Installation {
        self.find_with(path, &config::File::default())
    }

    fn find_with(&self, path: &str, settings: &config::File) -> Installation {
        Installation::find(Some(&self.path(path)), settings).unwrap()
    }
}

fn media_bucket() -> Option<Storage> {
    Some(Storage {
        bucket: "media".to_owned(),
        key_prefix: String::new(),
        endpoint: "s3.amazonaws.com".to_owned(),
    })
}

/// The owner by this `.env.production`.
#[track_caller]
fn check_owner(env: &str, expected: Owner) {
    let found = World::new(env).find("live/public/system");
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
fn the_owner_is_what_the_settings_say_however_they_are_written() {
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
fn what_can_be_read_in_more_than_one_way_is_not_assumed() {
    check_owner("S3_ENABLED=$ELSEWHERE\n", unknown("`$ELSEWHERE`"));
    check_owner(
        "S3_ENABLED=true\nS3_BUCKET=$(cat name)\n",
        unknown("`$(…)`"),
    );
    check_owner(
        "S3_ENABLED=true\nS3_BUCKET=\n",
        unknown("`S3_BUCKET` is not set"),
    );
    // Emptied by the lone name, but only by recent versions of the gem.
    check_owner(
        "S3_ENABLED=true\nS3_BUCKET=media\nS3_ENABLED\n",
        unknown("read differently"),
    );
    check_owner(
        "S3_ENABLED=\n'true'\nS3_BUCKET=media\n",
        unknown("read differently"),
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
fn an_endpoint_is_amazons_where_none_is_set_and_never_a_guess() {
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
    // It does not count where the media are on the disk.
    check_owner("S3_ENDPOINT=http://minio:9000\n", Owner::Disk);
}

#[test]
fn the_gem_that_is_installed_decides_where_its_versions_differ() {
    let world = World::new("S3_ENABLED=true\nS3_BUCKET=media\nS3_ENABLED\n");
    for (version, expected) in [("3.1.4", Owner::Bucket), ("3.1.8", Owner::Disk)] {
        world.write(
            "live/Gemfile.lock",
            &format!("GEM\n  specs:\n    dotenv ({version})\n    dotenv-rails (9.9.9)\n"),
        );
        assert_eq!(
            world.find("live/public/system").owner,
            expected,
            "{version}"
        );
    }
}

#[test]
fn files_that_outrank_the_main_one_count() {
    let world = World::new("S3_ENABLED=false\nS3_BUCKET=other\n");
    world.write("live/.env.local", "S3_ENABLED=true\n");
    world.write("live/.env.production.local", "S3_BUCKET=media\n");
    let found = world.find("live/public/system");
    assert_eq!(
        (found.owner, found.storage),
        (Owner::Bucket, media_bucket())
    );
    let names = [".env.production.local", ".env.local", ".env.production"];
    let files = names.map(|name| world.path("live").join(name));
    assert_eq!(found.env_files, files);
    // One that cannot be read may say anything.
    fs::remove_file(world.path("live/.env.local")).unwrap();
    symlink("nowhere", world.path("live/.env.local")).unwrap();
    let found = world.find("live/public/system");
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("cannot be read")));
    fs::remove_file(world.path("live/.env.local")).unwrap();
    let settings = config::File {
        env_file: Some(world.path("live/.env.production/below")),
        ..config::File::default()
    };
    let found = world.find_with("live/public/system", &settings);
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("cannot be looked at")));
}

#[test]
fn the_media_directory_is_found_by_each_of_its_names() {
    let world = World::new("S3_ENABLED=true\nS3_BUCKET=media\n");
    let media_dir = world.path("live/public/system");
    fs::create_dir_all(world.path("live/public/system_/cache")).unwrap();
    for (path, place) in [
        ("live/public/system", Place::Whole),
        ("live/public/../public/system", Place::Whole),
        ("live/public/system_", Place::Kept),
        ("live/public/system/cache/a", Place::Below("cache/a".into())),
        ("live/public/system_/cache", Place::Below("cache".into())),
        ("live/public", Place::Above),
        ("live", Place::Above),
    ] {
        let found = world.find(path);
        assert_eq!(found.place, place, "{path}");
        assert_eq!(found.media_dir, media_dir, "{path}");
        assert_eq!(found.owner, Owner::Bucket, "{path}");
        assert_eq!(found.version, Some(Version::new(4, 4, 1)));
    }
    let elsewhere = world.path("copy");
    fs::create_dir(&elsewhere).unwrap();
    let found = world.find("copy");
    assert!(matches!(found.owner, Owner::Unknown(_)) && found.root.is_none());
}

/// What a directory without an installation is: the media directory, and the part below it.
#[track_caller]
fn check_place(path: &str, expected: (&str, Place)) {
    let world = World::new("");
    fs::remove_dir_all(world.path("live/lib")).unwrap();
    fs::remove_file(world.path("live/.env.production")).unwrap();
    for directory in [
        "copy/cache/accounts/avatars/109/001/original",
        "copy/accounts/headers",
        "copy/imports/data",
        "backups/system/files",
        "accounts/2024",
    ] {
        fs::create_dir_all(world.path(directory)).unwrap();
    }
    let found = world.find(path);
    assert!(matches!(found.owner, Owner::Unknown(_)) && found.root.is_none());
    assert_eq!(
        (found.media_dir, found.place),
        (world.path(expected.0), expected.1),
        "{path}"
    );
}

#[test]
fn a_part_of_a_media_directory_is_known_without_an_installation() {
    let below = |path: &str| Place::Below(path.into());
    let system = "live/public/system";
    check_place(system, (system, Place::Whole));
    check_place("live/public/system/cache/a", (system, below("cache/a")));
    check_place("live/public", (system, Place::Above));
    check_place("copy", ("copy", Place::Whole));
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
    // Other people's directories are called so too.
    check_place("accounts/2024", ("accounts/2024", Place::Whole));
    check_place("backups/system", ("backups/system", Place::Whole));
    check_place(
        "backups/system/files",
        ("backups/system/files", Place::Whole),
    );
}

#[test]
fn media_are_mastodons_although_it_is_not_seen() {
    let world = World::new("");
    fs::remove_dir_all(world.path("live/lib")).unwrap();
    fs::remove_file(world.path("live/.env.production")).unwrap();
    for directory in [
        "own/media_attachments",
        "remote/cache/preview_cards/images",
        "plain/cache/pictures",
    ] {
        fs::create_dir_all(world.path(directory)).unwrap();
    }
    symlink(world.path("live/public/system"), world.path("link")).unwrap();
    for (path, alone) in [
        ("live/public/system", false),
        ("link", false),
        ("own", false),
        ("remote", false),
        ("plain", true),
    ] {
        assert_eq!(world.find(path).alone, alone, "{path}");
    }
}

#[test]
fn media_that_were_moved_aside_are_not_what_the_disk_owns() {
    let world = World::new("S3_ENABLED=false\n");
    let by_settings = |path: &str, settings: &config::File| {
        let endpoint = Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap();
        world.find_with(path, settings).owner_by_settings(&Target {
            endpoint,
            region: "us-west-004".to_owned(),
            bucket: "media".to_owned(),
            key_prefix: String::new(),
        })
    };
    let none = config::File::default();
    assert_eq!(by_settings("live/public/system", &none), Owner::Disk);
    fs::create_dir(world.path("live/public/system_")).unwrap();
    let is_aside =
        |owner: &Owner| matches!(owner, Owner::Unknown(why) if why.contains("moved aside"));
    assert!(is_aside(&by_settings("live/public/system_", &none)));
    // Not read: it is not known what it says.
    world.write("live/public/.system.medialift.json", "{}");
    assert!(is_aside(&by_settings("live/public/system", &none)));
    world.write("live/.env.production", "S3_ENABLED=true\nS3_BUCKET=other\n");
    assert!(is_aside(&by_settings("live/public/system", &none)));
    fs::remove_file(world.path("live/.env.production")).unwrap();
    fs::remove_dir_all(world.path("live/lib")).unwrap();
    let found = world.find("live/public/system_");
    assert!(found.moved_aside.is_some() && !found.alone);
    assert_eq!(found.place, Place::Kept);
}

#[test]
fn a_link_is_followed_both_ways() {
    let world = World::new("S3_ENABLED=true\nS3_BUCKET=media\n");
    let media_dir = world.path("live/public/system");
    fs::rename(&media_dir, world.path("disk")).unwrap();
    symlink(world.path("disk"), &media_dir).unwrap();
    let found = world.find("live/public/system");
    assert_eq!(found.resolved_dir, world.path("disk"));
    assert_eq!((found.place, found.owner), (Place::Whole, Owner::Bucket));

    // Nothing leads from the target back to the link: it must be said where Mastodon is.
    let found = world.find("disk");
    assert!(matches!(found.owner, Owner::Unknown(_)), "{found:?}");
    for settings in [
        config::File {
            mastodon: config::Mastodon {
                root: Some(world.path("live")),
                ..config::Mastodon::default()
            },
            ..config::File::default()
        },
        config::File {
            env_file: Some(world.path("live/.env.production")),
            ..config::File::default()
        },
    ] {
        let found = world.find_with("disk", &settings);
        assert_eq!((found.place, found.owner), (Place::Whole, Owner::Bucket));
        assert_eq!(found.media_dir, media_dir);
        let found = world.find_with("disk/cache", &settings);
        assert_eq!(found.place, Place::Below("cache".into()));
    }
    // What the cutover has put aside is the link.
    fs::rename(&media_dir, world.path("live/public/system_")).unwrap();
    fs::create_dir(&media_dir).unwrap();
    assert_eq!(world.find("live/public/system_").place, Place::Kept);
}

#[test]
fn the_media_may_lie_where_the_settings_say() {
    let world = World::new("S3_ENABLED=false\n");
    fs::create_dir_all(world.path("media")).unwrap();
    let env = format!("PAPERCLIP_ROOT_PATH={}\n", world.path("media").display());
    world.write("live/.env.production", &env);
    let settings = config::File {
        env_file: Some(world.path("live/.env.production")),
        ..config::File::default()
    };
    let found = world.find_with("media", &settings);
    assert_eq!((found.place, found.owner), (Place::Whole, Owner::Disk));
    // Mastodon does not use this one.
    let found = world.find_with("live/public/system", &settings);
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("is not the media")));
}

#[test]
fn compose_mounts_the_media_and_reads_by_its_own_rules() {
    let world = World::new("S3_ENABLED=true\nS3_BUCKET=media # the bucket\n");
    fs::remove_file(world.path("live/lib/mastodon/version.rb")).unwrap();
    fs::create_dir_all(world.path("live/files")).unwrap();
    let compose = "services:\n  web:\n    image: ghcr.io/mastodon/mastodon:v4.3.17\n    env_file: .env.production\n    volumes:\n      - ./files:/mastodon/public/system\n";
    world.write("live/docker-compose.yml", compose);
    let found = world.find("live/files");
    assert_eq!(found.deployment, Some(Deployment::Docker));
    assert_eq!(found.version, Some(Version::new(4, 3, 17)));
    assert_eq!((found.place, found.owner), (Place::Whole, Owner::Bucket));
    assert_eq!(found.storage, media_bucket());

    let own = format!("{compose}    environment:\n      - S3_ENABLED=false\n");
    world.write("live/docker-compose.yml", &own);
    let found = world.find("live/files");
    assert!(matches!(&found.owner, Owner::Unknown(why) if why.contains("Compose file sets")));
}

#[test]
fn settings_say_what_cannot_be_found() {
    let world = World::new("S3_ENABLED=$ELSEWHERE\n");
    let mut settings = config::File {
        bucket: Some("Media".to_owned()),
        endpoint: Some("https://S3.amazonaws.com".to_owned()),
        ..config::File::default()
    };
    settings.mastodon.owner = Some(MediaOwner::Bucket);
    settings.mastodon.version = Some("4.5.0".to_owned());
    let found = world.find_with("live/public/system", &settings);
    assert_eq!(
        (found.owner, found.storage),
        (Owner::Bucket, media_bucket())
    );
    assert_eq!(found.version, Some(Version::new(4, 5, 0)));
    settings.mastodon.owner = Some(MediaOwner::Disk);
    assert_eq!(
        world.find_with("live/public/system", &settings).owner,
        Owner::Disk
    );
    // What is clear is not changed by it.
    world.write("live/.env.production", "S3_ENABLED=true\nS3_BUCKET=media\n");
    assert_eq!(
        world.find_with("live/public/system", &settings).owner,
        Owner::Bucket
    );
}

/// A process that is called as Mastodon's, in `live`; it ends with the test.
#[cfg(target_os = "linux")]
struct Puma(std::process::Child);

#[cfg(target_os = "linux")]
impl Puma {
    fn start(world: &World, environment: &[(&str, &str)]) -> Puma {
        let mut command = Puma::command(world);
        command.envs(environment.iter().copied());
        Puma::begin(&mut command, true)
    }

    /// One whose environment cannot be read, as when a title was written over it.
    fn without_environment(world: &World) -> Puma {
        Puma::begin(Puma::command(world).env_clear(), false)
    }

    fn command(world: &World) -> std::process::Command {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("/bin/sleep");
        command.arg0("puma").arg("60");
        command.current_dir(world.path("live"));
        command
    }

    fn begin(command: &mut std::process::Command, has_environment: bool) -> Puma {
        let puma = Puma(command.spawn().unwrap());
        // Its own command line is there a moment after it has been started.
        let id = format!("puma (process {})", puma.0.id());
        for _ in 0..500 {
            let seen = process::of_mastodon();
            if seen.iter().any(|process| {
                process.name == id && process.environment.is_some() == has_environment
            }) {
                return puma;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("{id} is not seen")
    }
}

#[cfg(target_os = "linux")]
impl Drop for Puma {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_tells_whether_it_has_the_present_settings() {
    use std::time::{Duration, SystemTime};

    let world = World::new("S3_ENABLED=false\n");
    let env = fs::File::options()
        .write(true)
        .open(world.path("live/.env.production"))
        .unwrap();
    env.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
    assert!(matches!(
        world.find("live/public/system").running,
        Running::NotAsked(_)
    ));

    let _puma = Puma::start(&world, &[]);
    let found = world.find("live/public/system");
    assert_eq!(found.running, Running::Shows(Owner::Disk));
    assert_eq!(found.deployment, Some(Deployment::Systemd));

    env.set_modified(SystemTime::now() + Duration::from_secs(3600))
        .unwrap();
    let found = world.find("live/public/system");
    assert!(matches!(&found.running, Running::NotRestarted(who) if who.contains("puma")));
}

#[cfg(target_os = "linux")]
#[test]
fn the_environment_of_a_process_outranks_every_file() {
    let world = World::new("S3_ENABLED=false\nS3_BUCKET=other\n");
    let _puma = Puma::start(&world, &[("S3_ENABLED", "true"), ("S3_BUCKET", "media")]);
    let found = world.find("live/public/system");
    assert_eq!(
        (found.owner, found.storage),
        (Owner::Bucket, media_bucket())
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_process_whose_environment_nobody_tells_shows_nothing() {
    let target = Target {
        endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
        region: "us-west-004".to_owned(),
        bucket: "media".to_owned(),
        key_prefix: String::new(),
    };
    let world = World::new("S3_ENABLED=false\n");
    let old = fs::File::options()
        .write(true)
        .open(world.path("live/.env.production"))
        .unwrap();
    let hour = std::time::Duration::from_secs(3600);
    old.set_modified(std::time::SystemTime::now() - hour)
        .unwrap();
    let mut settings = config::File::default();
    let none_runs = world.find("live/public/system");
    assert_eq!(none_runs.owner_of(&target), Owner::Disk);
    let _puma = Puma::without_environment(&world);
    let found = world.find("live/public/system");
    assert!(matches!(&found.running, Running::Unclear(why) if why.contains("puma")));
    let owner = found.owner_of(&target);
    assert!(
        matches!(&owner, Owner::Unknown(why) if why.contains("instance_url")),
        "{owner:?}"
    );
    // Who runs it may say so, but not against its settings.
    settings.mastodon.owner = Some(MediaOwner::Disk);
    let found = world.find_with("live/public/system", &settings);
    assert_eq!(found.owner_of(&target), Owner::Disk);
    settings.mastodon.owner = Some(MediaOwner::Bucket);
    let found = world.find_with("live/public/system", &settings);
    assert!(matches!(found.running, Running::Unclear(_)));
}
