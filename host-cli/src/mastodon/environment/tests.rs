//! Tests of `environment`: which of several readings counts, and when the settings were changed.

use super::*;

const PLAIN: &str = "services:\n  web:\n    env_file: .env.production\n    volumes:\n      - ./public/system:/mastodon/public/system\n";

fn environment(pairs: &[(&str, &str)]) -> Environment {
    let known =
        |(name, value): &(&str, &str)| ((*name).to_owned(), Value::Known((*value).to_owned()));
    Environment {
        known: pairs.iter().map(known).collect(),
        complete: true,
    }
}

fn process(in_container: bool, environment: Environment) -> Process {
    Process {
        name: "puma (process 1)".to_owned(),
        directory: PathBuf::new(),
        in_container,
        started: Some(SystemTime::now() + Duration::from_secs(60)),
        environment: Some(environment),
    }
}

/// The settings of an installation with this `.env.production`, Compose file and processes.
fn read(
    env: &str,
    compose: Option<&str>,
    processes: &[Process],
) -> (Result<Media, String>, Running) {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".env.production"), env).unwrap();
    if let Some(text) = compose {
        fs::write(dir.path().join("compose.yaml"), text).unwrap();
    }
    let processes: Vec<_> = processes.iter().collect();
    let deployment = compose.map(|_| Deployment::Docker);
    let settings = config::File::default();
    let read = Sources::find(dir.path(), &settings, deployment, &processes).read();
    let running = read.media.as_ref().map_or_else(
        |why| Running::NotAsked(why.clone()),
        |media| running(media, &processes, &read),
    );
    (read.media, running)
}

#[track_caller]
fn check(read: (Result<Media, String>, Running), expected: Result<&str, &str>) {
    match (&read.0, expected) {
        (Ok(media), Ok(bucket)) => assert_eq!(media.bucket, bucket),
        (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
        _ => panic!("{read:?}"),
    }
}

#[test]
fn where_the_compose_files_are_not_plain_the_running_containers_tell() {
    let env = "S3_ENABLED=false\n";
    let in_bucket = environment(&[("S3_ENABLED", "true"), ("S3_BUCKET", "media")]);
    let on_disk = environment(&[("LOCAL_DOMAIN", "a")]);
    let own = format!("{PLAIN}    environment:\n      S3_ENABLED: $ENABLED\n");
    check(read(env, Some(PLAIN), &[]), Ok(""));
    check(
        read(env, Some(&own), &[]),
        Err("`owner` under `[mastodon]`"),
    );
    let container = process(true, in_bucket.clone());
    check(
        read(env, Some(&own), std::slice::from_ref(&container)),
        Ok("media"),
    );
    let both = [container.clone(), process(true, on_disk)];
    check(read(env, Some(&own), &both), Err("different processes"));
    // Where they are plain, the file counts, and the container must be made anew.
    let (media, shown) = read(env, Some(PLAIN), &[container]);
    assert!(!media.unwrap().in_bucket);
    assert!(matches!(shown, Running::NotRestarted(why) if why.contains("container of puma")));
}

#[test]
fn a_container_that_is_older_than_the_files_tells_nothing_for_sure() {
    let own = format!("{PLAIN}    environment:\n      S3_ENABLED: $ENABLED\n");
    let mut container = process(true, environment(&[]));
    assert_eq!(
        read("", Some(&own), std::slice::from_ref(&container)).1,
        Running::Shows(Owner::Disk)
    );
    container.started = Some(SystemTime::now() - Duration::from_secs(60));
    let older = read("", Some(&own), std::slice::from_ref(&container)).1;
    assert!(matches!(older, Running::NotRestarted(why) if why.contains("before the settings")));
    // Its own environment shows that it has what the plain file says.
    assert_eq!(
        read("", Some(PLAIN), &[container]).1,
        Running::Shows(Owner::Disk)
    );
}

#[test]
fn each_process_must_have_the_same_media_settings() {
    let web = process(false, environment(&[("PORT", "3000")]));
    let sidekiq = process(
        false,
        environment(&[("S3_ENABLED", "true"), ("S3_BUCKET", "media")]),
    );
    let (media, _) = read("", None, std::slice::from_ref(&web));
    assert_eq!(media.unwrap().port.as_deref(), Some("3000"));
    check(read("", None, &[web, sidekiq]), Err("different processes"));
    let staging = process(false, environment(&[("RAILS_ENV", "staging")]));
    check(read("", None, &[staging]), Err("`RAILS_ENV`"));
}

#[test]
fn a_process_whose_environment_is_not_seen_shows_what_its_unit_gives_it_or_nothing() {
    let mut unseen = process(false, environment(&[]));
    unseen.environment = None;
    let media = read("", None, &[]).0.unwrap();
    let shown = |by_units| {
        let read = Read {
            media: Ok(media.clone()),
            files: Vec::new(),
            changed: None,
            of_containers: false,
            by_units,
        };
        running(&media, &[&unseen], &read)
    };
    assert_eq!(shown(true), Running::Shows(Owner::Disk));
    assert!(matches!(shown(false), Running::Unclear(why) if why.contains("puma")));
}

#[test]
fn only_a_file_that_is_not_there_was_never_changed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings");
    assert_eq!(changed(&path).unwrap(), None);
    fs::write(&path, "").unwrap();
    assert!(changed(&path.join("below")).is_err());
    // One that is moved here keeps the time of its content.
    let long_ago = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(long_ago).unwrap();
    let of_file = changed(&path).unwrap().unwrap();
    assert!(of_file > long_ago);
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(changed(&link).unwrap().unwrap() >= of_file);
    fs::remove_file(&path).unwrap();
    assert!(changed(&link).unwrap().is_some());
}
