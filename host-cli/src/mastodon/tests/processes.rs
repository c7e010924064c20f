//! What running processes show of an installation.

use super::*;

/// A process with the name `puma` that runs in `live`; it ends with the test.
struct Puma(std::process::Child);

impl Puma {
    fn start(installation: &TestInstallation, environment: &[(&str, &str)]) -> Puma {
        let mut command = Puma::command(installation);
        command.envs(environment.iter().copied());
        Puma::begin(&mut command, true)
    }

    /// With an unreadable environment, as when a title has overwritten it.
    fn without_environment(installation: &TestInstallation) -> Puma {
        Puma::begin(Puma::command(installation).env_clear(), false)
    }

    fn command(installation: &TestInstallation) -> std::process::Command {
        use std::os::unix::process::CommandExt;
        let mut command = std::process::Command::new("/bin/sleep");
        command.arg0("puma").arg("60");
        command.current_dir(installation.path("live"));
        command
    }

    fn begin(command: &mut std::process::Command, has_environment: bool) -> Puma {
        let puma = Puma(command.spawn().unwrap());
        // Its command line is visible a moment after the start.
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
        panic!("{id} was not found")
    }
}

impl Drop for Puma {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_age_of_a_process_shows_whether_it_has_the_present_settings() {
    use std::time::{Duration, SystemTime};

    let installation = TestInstallation::new("S3_ENABLED=false\n");
    let env = fs::File::options()
        .write(true)
        .open(installation.path("live/.env.production"))
        .unwrap();
    env.set_modified(SystemTime::now() - Duration::from_secs(3600))
        .unwrap();
    assert!(matches!(
        installation.find("live/public/system").running,
        Running::NotObserved(_)
    ));

    let _puma = Puma::start(&installation, &[]);
    let found = installation.find("live/public/system");
    assert_eq!(found.running, Running::Uses(Owner::Disk));
    assert_eq!(found.deployment, Some(Deployment::Systemd));

    env.set_modified(SystemTime::now() + Duration::from_secs(3600))
        .unwrap();
    let found = installation.find("live/public/system");
    assert!(matches!(&found.running, Running::NotRestarted(who) if who.contains("puma")));
}

#[test]
fn the_environment_of_a_process_outranks_every_file() {
    let installation = TestInstallation::new("S3_ENABLED=false\nS3_BUCKET=other\n");
    let _puma = Puma::start(
        &installation,
        &[("S3_ENABLED", "true"), ("S3_BUCKET", "media")],
    );
    let found = installation.find("live/public/system");
    assert_eq!(
        (found.owner, found.storage),
        (Owner::Bucket, media_bucket())
    );
}

#[test]
fn a_process_with_an_unknown_environment_makes_the_owner_unknown() {
    let target = Target {
        endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
        region: "us-west-004".to_owned(),
        bucket: "media".to_owned(),
        key_prefix: String::new(),
    };
    let installation = TestInstallation::new("S3_ENABLED=false\n");
    let old = fs::File::options()
        .write(true)
        .open(installation.path("live/.env.production"))
        .unwrap();
    let hour = std::time::Duration::from_secs(3600);
    old.set_modified(std::time::SystemTime::now() - hour)
        .unwrap();
    let mut settings = config::File::default();
    let none_runs = installation.find("live/public/system");
    assert_eq!(none_runs.owner_of(&target), Owner::Disk);
    let _puma = Puma::without_environment(&installation);
    let found = installation.find("live/public/system");
    assert!(matches!(&found.running, Running::Unknown(why) if why.contains("puma")));
    let owner = found.owner_of(&target);
    assert!(
        matches!(&owner, Owner::Unknown(why) if why.contains("instance_url")),
        "{owner:?}"
    );
    // `owner` in medialift.toml may confirm the settings, but not contradict them.
    settings.mastodon.owner = Some(MediaOwner::Disk);
    let found = installation.find_with("live/public/system", &settings);
    assert_eq!(found.owner_of(&target), Owner::Disk);
    settings.mastodon.owner = Some(MediaOwner::Bucket);
    let found = installation.find_with("live/public/system", &settings);
    assert!(matches!(found.running, Running::Unknown(_)));
}
