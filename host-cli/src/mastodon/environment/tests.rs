//! Tests of `environment` and `running`: which of several sources counts, and whether processes have
//! the present settings.

use super::super::owner::{Owner, Running};
use super::super::running::running;
use super::*;

const COMPOSE: &str = "services:\n  web:\n    env_file: .env.production\n    volumes:\n      - ./public/system:/mastodon/public/system\n";

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
) -> (Result<MediaSettings, String>, Running) {
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
        |why| Running::NotObserved(why.clone()),
        |media| running(media, &processes, &read),
    );
    (read.media, running)
}

#[track_caller]
fn check(read: (Result<MediaSettings, String>, Running), expected: Result<&str, &str>) {
    match (&read.0, expected) {
        (Ok(media), Ok(bucket)) => assert_eq!(media.bucket, bucket),
        (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
        _ => panic!("{read:?}"),
    }
}

#[test]
fn where_the_compose_files_deviate_the_running_containers_count() {
    let env = "S3_ENABLED=false\n";
    let in_bucket = environment(&[("S3_ENABLED", "true"), ("S3_BUCKET", "media")]);
    let on_disk = environment(&[("LOCAL_DOMAIN", "a")]);
    let own = format!("{COMPOSE}    environment:\n      S3_ENABLED: $ENABLED\n");
    check(read(env, Some(COMPOSE), &[]), Ok(""));
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
    // Where they do not, the file counts, and the container must be recreated.
    let (media, shown) = read(env, Some(COMPOSE), &[container]);
    assert!(!media.unwrap().in_bucket);
    assert!(matches!(shown, Running::NotRestarted(why) if why.contains("container of puma")));
}

#[test]
fn a_container_that_is_older_than_the_files_was_not_restarted() {
    let own = format!("{COMPOSE}    environment:\n      S3_ENABLED: $ENABLED\n");
    let mut container = process(true, environment(&[]));
    assert_eq!(
        read("", Some(&own), std::slice::from_ref(&container)).1,
        Running::Uses(Owner::Disk)
    );
    container.started = Some(SystemTime::now() - Duration::from_secs(60));
    let older = read("", Some(&own), std::slice::from_ref(&container)).1;
    assert!(matches!(older, Running::NotRestarted(why) if why.contains("before the settings")));
    // Its environment shows that it has the settings of the file.
    assert_eq!(
        read("", Some(COMPOSE), &[container]).1,
        Running::Uses(Owner::Disk)
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
fn a_process_with_an_unreadable_environment_has_that_of_its_unit_or_an_unknown_one() {
    let mut unreadable = process(false, environment(&[]));
    unreadable.environment = None;
    let media = read("", None, &[]).0.unwrap();
    let shown = |from_units| {
        let read = ReadSettings {
            media: Ok(media.clone()),
            files: Vec::new(),
            changed: None,
            from_containers: false,
            from_units,
        };
        running(&media, &[&unreadable], &read)
    };
    assert_eq!(shown(true), Running::Uses(Owner::Disk));
    assert!(matches!(shown(false), Running::Unknown(why) if why.contains("puma")));
}

#[test]
fn only_a_missing_file_has_no_time_of_change() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("settings");
    assert_eq!(changed(&path).unwrap(), None);
    fs::write(&path, "").unwrap();
    assert!(changed(&path.join("below")).is_err());
    // A file that is moved keeps its time of modification.
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
