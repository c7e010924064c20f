//! Tests of `units`: what systemd makes of units and drop-ins.

use super::*;

/// Units of a Mastodon in `live`, in `etc` and `usr`.
struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("live")).unwrap();
        World { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// `HERE` is the directory of all this.
    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let here = self.dir.path().to_str().unwrap();
        fs::write(path, text.replace("HERE", here)).unwrap();
    }

    fn web(&self, lines: &str) {
        let text = format!("[Service]\nWorkingDirectory=HERE/live\n{lines}");
        self.write("usr/mastodon-web.service", &text);
    }

    fn read(&self) -> Units {
        let directories = ["etc", "usr"].map(|name| self.path(name));
        let directories = directories.each_ref().map(|path| path.to_str().unwrap());
        read(&directories, &self.path("live"))
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let units = self.read();
        assert!(units.found && units.unreadable.is_none(), "{units:?}");
        let known = &units.environments[0].known;
        for (name, value) in expected {
            let value = (!value.is_empty()).then(|| Value::Known((*value).to_owned()));
            assert!(known.get(*name) == value.as_ref(), "{name}: {known:?}");
        }
    }

    #[track_caller]
    fn check_unreadable(&self, part: &str) {
        let why = self.read().unreadable;
        assert!(
            why.as_ref().is_some_and(|why| why.contains(part)),
            "{why:?}"
        );
    }
}

#[test]
fn units_that_start_in_the_directory_give_their_environment() {
    let world = World::new();
    world.web(
        "Environment=\"RAILS_ENV=production\" PORT=3000\nEnvironment=A='b c'd \\\n# no\n  B=e\n",
    );
    world.write(
        "usr/mastodon-other.service",
        "[Service]\nWorkingDirectory=/srv\n",
    );
    world.write("secrets", "S3_BUCKET='media'\n");
    world.write(
        "etc/mastodon-web.service.d/override.conf",
        "[Service]\nEnvironment=S3_ENABLED=true\nEnvironmentFile=HERE/secrets\n[X-Other]\nEnvironment=PORT=1\n",
    );
    world.check(&[
        ("RAILS_ENV", "production"),
        ("S3_ENABLED", "true"),
        ("S3_BUCKET", "media"),
        ("PORT", "3000"),
        ("A", "b cd"),
        ("B", "e"),
    ]);
    let units = world.read();
    assert_eq!(units.environments.len(), 1);
    assert_eq!(units.environment_files, [world.path("secrets")]);
    assert_eq!(units.unit_files.len(), 2);
    fs::remove_file(world.path("secrets")).unwrap();
    world.check_unreadable("is not there");
}

#[test]
fn an_empty_value_takes_back_and_a_unit_is_replaced_as_a_whole() {
    let world = World::new();
    world.web("Environment=A=1\nEnvironmentFile=/nowhere\n");
    world.write(
        "usr/mastodon-web.service.d/a.conf",
        "[Service]\nEnvironment=\nEnvironmentFile=\nEnvironmentFile=-/nowhere\nEnvironment=B=2\nWorkingDirectory=-HERE/live\n",
    );
    world.check(&[("A", ""), ("B", "2")]);
    world.write(
        "etc/mastodon-web.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=C=3\n",
    );
    world.check(&[("B", "2"), ("C", "")]);
    fs::remove_file(world.path("usr/mastodon-web.service.d/a.conf")).unwrap();
    world.check(&[("B", ""), ("C", "3")]);
    // Masked.
    fs::remove_file(world.path("etc/mastodon-web.service")).unwrap();
    std::os::unix::fs::symlink("/dev/null", world.path("etc/mastodon-web.service")).unwrap();
    assert!(!world.read().found);
}

#[test]
fn drop_ins_are_read_by_their_names_and_one_name_is_read_once() {
    let world = World::new();
    world.web("");
    for (path, value) in [
        ("usr/mastodon-web.service.d/20.conf", "usr 20"),
        ("etc/mastodon-.service.d/30.conf", "shared 30"),
        ("etc/service.d/40.conf", "all 40"),
        ("usr/service.d/50.conf", "all 50"),
    ] {
        world.write(path, &format!("[Service]\nEnvironment=\"A={value}\"\n"));
        world.check(&[("A", value)]);
    }
    for (path, value) in [
        ("usr/mastodon-web.service.d/50.conf", "usr 50"),
        ("etc/mastodon-.service.d/50.conf", "shared 50"),
        ("etc/mastodon-web.service.d/50.conf", "etc 50"),
    ] {
        world.write(path, &format!("[Service]\nEnvironment=\"A={value}\"\n"));
        world.check(&[("A", value)]);
    }
    world.write(
        "etc/mastodon-web.service.d/10.conf",
        "[Service]\nEnvironment=A=first\n",
    );
    world.check(&[("A", "etc 50")]);
}

#[test]
fn each_unit_has_an_environment_of_its_own_and_so_has_an_instance() {
    let world = World::new();
    world.web("Environment=A=web\n");
    world.write(
        "usr/mastodon-sidekiq@.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=template\n",
    );
    world.write(
        "usr/mastodon-sidekiq@.service.d/1.conf",
        "[Service]\nEnvironment=B=all\n",
    );
    world.write(
        "etc/mastodon-sidekiq@pull.service.d/2.conf",
        "[Service]\nEnvironment=A=pull\n",
    );
    world.write(
        "usr/mastodon-streaming.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=node\nExecStart=/usr/bin/node ./streaming\n",
    );
    let units = world.read();
    let of = |name: &str| -> Vec<_> {
        let values = units.environments.iter().map(|e| e.known.get(name));
        values
            .map(|value| match value {
                Some(Value::Known(text)) => text.clone(),
                _ => String::new(),
            })
            .collect()
    };
    assert_eq!(of("A"), ["template", "pull", "web"]);
    assert_eq!(of("B"), ["all", "all", ""]);
}

#[test]
fn a_unit_of_any_name_counts_that_starts_there() {
    let world = World::new();
    let unit = "[Service]\nWorkingDirectory=HERE/live\nEnvironment=S3_ENABLED=true\nExecStart=/usr/bin/env bundle exec puma -C config/puma.rb\n";
    world.write("etc/social-web.service", unit);
    world.check(&[("S3_ENABLED", "true")]);
    // The machine's other units may be what they like.
    for (name, directory) in [("a@", "%h"), ("b", "~"), ("c", "/srv"), ("d", "")] {
        let text = format!("[Service]\nWorkingDirectory={directory}\nEnvironment=S3_ENABLED=no\n");
        world.write(&format!("usr/{name}.service"), &text);
    }
    fs::create_dir(world.path("usr/secret.service")).unwrap();
    // Nor has one that runs neither Puma nor Sidekiq anything to say of them.
    world.write(
        "etc/backup.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=S3_ENABLED=no\nEnvironmentFile=/nowhere\nExecStart=/usr/local/bin/backup.sh\n",
    );
    world.check(&[("S3_ENABLED", "true")]);
    assert_eq!(world.read().environments.len(), 1);
    // What cannot be read of this one may say anything.
    fs::create_dir_all(world.path("etc/social-web.service.d")).unwrap();
    world.write(
        "etc/social-web.service.d/a.conf",
        "[Service]\nEnvironmentFile=/etc/%p\n",
    );
    world.check_unreadable("/etc/%p");
}

#[test]
fn a_unit_that_starts_containers_has_not_their_environment() {
    let world = World::new();
    world.write(
        "etc/mastodon.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=1\nExecStart=-/usr/bin/docker compose up\n",
    );
    let units = world.read();
    assert!(!units.found && units.unreadable.is_none(), "{units:?}");
}

#[test]
fn a_shell_that_starts_containers_has_not_their_environment_either() {
    let world = World::new();
    world.write(
        "etc/mastodon.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=1\nExecStart=/bin/sh -c '/usr/bin/docker compose up'\n",
    );
    assert!(!world.read().found);
}

#[test]
fn what_is_not_understood_is_not_taken_as_it_stands() {
    let world = World::new();
    world.web("Environment=A=%i B=100%% C=a\\x20b\nUnsetEnvironment=D\nEnvironment=D=1\nPassEnvironment=E D\n");
    let units = world.read();
    let known = &units.environments[0].known;
    for name in ["A", "C", "D", "E"] {
        assert!(
            matches!(known[name], Value::Unclear(_)),
            "{name}: {known:?}"
        );
    }
    assert!(known["B"] == Value::Known("100%".to_owned()));
    world.web("EnvironmentFile=/etc/%p\n");
    world.check_unreadable("/etc/%p");
    world.web("EnvironmentFile=/etc/mastodon/*.env\n");
    world.check_unreadable("*.env");
    world.web("WorkingDirectory=%h/live\n");
    world.check_unreadable("starts in `%h/live`");
    world.web("WorkingDirectory=~\n");
    world.check_unreadable("starts in `~`");
}

#[test]
fn a_unit_or_a_drop_in_that_cannot_be_read_may_say_anything() {
    let world = World::new();
    world.web("");
    // A directory in place of a file cannot be read, by nobody.
    fs::create_dir_all(world.path("etc/mastodon-web.service.d/a.conf")).unwrap();
    world.check_unreadable("a.conf` cannot be read");
    fs::remove_dir(world.path("etc/mastodon-web.service.d/a.conf")).unwrap();
    fs::create_dir(world.path("etc/mastodon-web.service")).unwrap();
    world.check_unreadable("mastodon-web.service` cannot be read");
    fs::remove_dir_all(world.path("etc")).unwrap();
    fs::write(world.path("etc"), "").unwrap();
    world.check_unreadable("etc` cannot be read");
}
