//! Tests of `units`: the environment by units and drop-ins.

use super::*;

/// Directories of units, `etc` and `usr`, and a Mastodon in `live`.
struct TestUnits {
    dir: tempfile::TempDir,
}

impl TestUnits {
    fn new() -> TestUnits {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("live")).unwrap();
        TestUnits { dir }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// `HERE` stands for the temporary directory.
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
    let files = TestUnits::new();
    files.web(
        "Environment=\"RAILS_ENV=production\" PORT=3000\nEnvironment=A='b c'd \\\n# no\n  B=e\n",
    );
    files.write(
        "usr/mastodon-other.service",
        "[Service]\nWorkingDirectory=/srv\n",
    );
    files.write("secrets", "S3_BUCKET='media'\n");
    files.write(
        "etc/mastodon-web.service.d/override.conf",
        "[Service]\nEnvironment=S3_ENABLED=true\nEnvironmentFile=HERE/secrets\n[X-Other]\nEnvironment=PORT=1\n",
    );
    files.check(&[
        ("RAILS_ENV", "production"),
        ("S3_ENABLED", "true"),
        ("S3_BUCKET", "media"),
        ("PORT", "3000"),
        ("A", "b cd"),
        ("B", "e"),
    ]);
    let units = files.read();
    assert_eq!(units.environments.len(), 1);
    assert_eq!(units.environment_files, [files.path("secrets")]);
    assert_eq!(units.unit_files.len(), 2);
    fs::remove_file(files.path("secrets")).unwrap();
    files.check_unreadable("does not exist");
}

#[test]
fn an_empty_value_resets_and_a_unit_is_replaced_as_a_whole() {
    let files = TestUnits::new();
    files.web("Environment=A=1\nEnvironmentFile=/nowhere\n");
    files.write(
        "usr/mastodon-web.service.d/a.conf",
        "[Service]\nEnvironment=\nEnvironmentFile=\nEnvironmentFile=-/nowhere\nEnvironment=B=2\nWorkingDirectory=-HERE/live\n",
    );
    files.check(&[("A", ""), ("B", "2")]);
    files.write(
        "etc/mastodon-web.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=C=3\n",
    );
    files.check(&[("B", "2"), ("C", "")]);
    fs::remove_file(files.path("usr/mastodon-web.service.d/a.conf")).unwrap();
    files.check(&[("B", ""), ("C", "3")]);
    // Masked.
    fs::remove_file(files.path("etc/mastodon-web.service")).unwrap();
    std::os::unix::fs::symlink("/dev/null", files.path("etc/mastodon-web.service")).unwrap();
    assert!(!files.read().found);
}

#[test]
fn drop_ins_are_read_by_their_names_and_one_name_is_read_once() {
    let files = TestUnits::new();
    files.web("");
    for (path, value) in [
        ("usr/mastodon-web.service.d/20.conf", "usr 20"),
        ("etc/mastodon-.service.d/30.conf", "shared 30"),
        ("etc/service.d/40.conf", "all 40"),
        ("usr/service.d/50.conf", "all 50"),
    ] {
        files.write(path, &format!("[Service]\nEnvironment=\"A={value}\"\n"));
        files.check(&[("A", value)]);
    }
    for (path, value) in [
        ("usr/mastodon-web.service.d/50.conf", "usr 50"),
        ("etc/mastodon-.service.d/50.conf", "shared 50"),
        ("etc/mastodon-web.service.d/50.conf", "etc 50"),
    ] {
        files.write(path, &format!("[Service]\nEnvironment=\"A={value}\"\n"));
        files.check(&[("A", value)]);
    }
    files.write(
        "etc/mastodon-web.service.d/10.conf",
        "[Service]\nEnvironment=A=first\n",
    );
    files.check(&[("A", "etc 50")]);
}

#[test]
fn each_unit_has_an_environment_of_its_own_and_so_has_an_instance() {
    let files = TestUnits::new();
    files.web("Environment=A=web\n");
    files.write(
        "usr/mastodon-sidekiq@.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=template\n",
    );
    files.write(
        "usr/mastodon-sidekiq@.service.d/1.conf",
        "[Service]\nEnvironment=B=all\n",
    );
    files.write(
        "etc/mastodon-sidekiq@pull.service.d/2.conf",
        "[Service]\nEnvironment=A=pull\n",
    );
    files.write(
        "usr/mastodon-streaming.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=node\nExecStart=/usr/bin/node ./streaming\n",
    );
    let units = files.read();
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
    let files = TestUnits::new();
    let unit = "[Service]\nWorkingDirectory=HERE/live\nEnvironment=S3_ENABLED=true\nExecStart=/usr/bin/env bundle exec puma -C config/puma.rb\n";
    files.write("etc/social-web.service", unit);
    files.check(&[("S3_ENABLED", "true")]);
    // Other units of the machine do not count.
    for (name, directory) in [("a@", "%h"), ("b", "~"), ("c", "/srv"), ("d", "")] {
        let text = format!("[Service]\nWorkingDirectory={directory}\nEnvironment=S3_ENABLED=no\n");
        files.write(&format!("usr/{name}.service"), &text);
    }
    fs::create_dir(files.path("usr/secret.service")).unwrap();
    // Nor do units that run neither Puma nor Sidekiq.
    files.write(
        "etc/backup.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=S3_ENABLED=no\nEnvironmentFile=/nowhere\nExecStart=/usr/local/bin/backup.sh\n",
    );
    files.check(&[("S3_ENABLED", "true")]);
    assert_eq!(files.read().environments.len(), 1);
    // An unreadable part of this unit may define anything.
    fs::create_dir_all(files.path("etc/social-web.service.d")).unwrap();
    files.write(
        "etc/social-web.service.d/a.conf",
        "[Service]\nEnvironmentFile=/etc/%p\n",
    );
    files.check_unreadable("/etc/%p");
}

#[test]
fn a_unit_that_starts_containers_does_not_have_their_environment() {
    let files = TestUnits::new();
    files.write(
        "etc/mastodon.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=1\nExecStart=-/usr/bin/docker compose up\n",
    );
    let units = files.read();
    assert!(!units.found && units.unreadable.is_none(), "{units:?}");
}

#[test]
fn a_shell_that_starts_containers_does_not_have_their_environment() {
    let files = TestUnits::new();
    files.write(
        "etc/mastodon.service",
        "[Service]\nWorkingDirectory=HERE/live\nEnvironment=A=1\nExecStart=/bin/sh -c '/usr/bin/docker compose up'\n",
    );
    assert!(!files.read().found);
}

#[test]
fn what_is_not_evaluated_is_unresolved() {
    let files = TestUnits::new();
    files.web("Environment=A=%i B=100%% C=a\\x20b\nUnsetEnvironment=D\nEnvironment=D=1\nPassEnvironment=E D\n");
    let units = files.read();
    let known = &units.environments[0].known;
    for name in ["A", "C", "D", "E"] {
        assert!(
            matches!(known[name], Value::Unresolved(_)),
            "{name}: {known:?}"
        );
    }
    assert!(known["B"] == Value::Known("100%".to_owned()));
    files.web("EnvironmentFile=/etc/%p\n");
    files.check_unreadable("/etc/%p");
    files.web("EnvironmentFile=/etc/mastodon/*.env\n");
    files.check_unreadable("*.env");
    files.web("WorkingDirectory=%h/live\n");
    files.check_unreadable("WorkingDirectory=%h/live");
    files.web("WorkingDirectory=~\n");
    files.check_unreadable("WorkingDirectory=~");
}

#[test]
fn an_unreadable_unit_or_drop_in_is_an_error() {
    let files = TestUnits::new();
    files.web("");
    // A directory in place of a file cannot be read even by root.
    fs::create_dir_all(files.path("etc/mastodon-web.service.d/a.conf")).unwrap();
    files.check_unreadable("a.conf` cannot be read");
    fs::remove_dir(files.path("etc/mastodon-web.service.d/a.conf")).unwrap();
    fs::create_dir(files.path("etc/mastodon-web.service")).unwrap();
    files.check_unreadable("mastodon-web.service` cannot be read");
    fs::remove_dir_all(files.path("etc")).unwrap();
    fs::write(files.path("etc"), "").unwrap();
    files.check_unreadable("etc` cannot be read");
}
