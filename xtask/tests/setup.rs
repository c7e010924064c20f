//! `xtask setup` on systems that have nothing but a shell and a package manager that fails.

// macOS has its browsers outside of `PATH`, where no test can hide them.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A `PATH` with a shell and what a test adds, and a cache with nothing in it.
struct System {
    folder: TempDir,
}

/// How a chore ended there.
struct Ran {
    success: bool,
    stderr: String,
    /// The arguments of each call of a package manager.
    calls: Vec<String>,
}

impl System {
    fn with(managers: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        for (name, real) in [("sh", "/bin/sh"), ("env", "/usr/bin/env")] {
            symlink(real, bin.join(name)).expect("a link");
        }
        let log = folder.path().join("calls").display().to_string();
        let system = Self { folder };
        for name in managers {
            system.add(name, &format!("echo \"$*\" >>'{log}'; exit 100"));
        }
        system
    }

    fn add(&self, program: &str, script: &str) {
        let path = self.folder.path().join("bin").join(program);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let path = |name: &str| self.folder.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .env_clear()
            .env("PATH", path("bin"))
            .env("HOME", path("home"))
            .env("MEDIALIFT_CACHE", path("cache"))
            .stdin(Stdio::null())
            .output()
            .expect("xtask starts");
        let calls = fs::read_to_string(path("calls")).unwrap_or_default();
        Ran {
            success: output.status.success(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }
}

#[track_caller]
fn check_named(ran: &Ran, remedies: &[&str]) {
    let stderr = &ran.stderr;
    assert!(!ran.success, "{stderr}");
    for remedy in remedies {
        assert!(stderr.contains(remedy), "`{remedy}` in:\n{stderr}");
    }
}

#[test]
fn what_is_missing_is_named_with_the_remedy_of_the_system() {
    let debian = System::with(&["apt-get", "dpkg-deb"]);
    debian.add("python3", "echo Python 3.9.2");
    let debian = debian.run(&["setup"]);
    check_named(
        &debian,
        &[
            "S3 clients): there is no Python 3.11 or newer on PATH",
            "rustup target add wasm32-unknown-unknown",
            "`apt-get install --no-install-recommends gcc libc6-dev pkg-config libssl-dev`",
            "`apt-get install --no-install-recommends python3 python3-venv`",
            "`apt-get install --no-install-recommends chromium`",
            "`apt-get install --no-install-recommends ruby ruby-aws-sdk-s3 ruby-dotenv`",
        ],
    );
    assert!(!debian.stderr.contains("dnf install"), "{}", debian.stderr);
    check_named(
        &System::with(&["dnf"]).run(&["setup"]),
        &[
            "`dnf install chromium`",
            "`dnf install ruby`, then `gem install aws-sdk-s3 dotenv`",
        ],
    );
    check_named(
        &System::with(&[]).run(&["setup"]),
        &[
            "--no-install-recommends chromium`; or as root, `dnf install chromium`; or \
             `brew install --cask google-chrome`; or `nix profile install nixpkgs#chromium`",
        ],
    );
}

#[test]
fn nothing_is_installed_into_the_system_unasked() {
    let ran = System::with(&["apt-get", "dpkg-deb", "sudo"]).run(&["setup"]);
    assert!(!ran.calls.is_empty(), "{}", ran.stderr);
    for call in &ran.calls {
        // With lists and files of its own, `apt-get` only downloads.
        assert!(
            call.contains("Dir::State::Lists=")
                && (call.ends_with(" update") || call.contains(" --download-only ")),
            "{call}"
        );
    }
}

#[test]
fn system_packages_are_listed_first() {
    let system = System::with(&["apt-get"]);
    // For a user without root.
    system.add("sudo", "shift; \"$@\"");
    let ran = system.run(&["setup", "--system-packages"]);
    assert!(!ran.success, "{}", ran.stderr);
    let list = ran
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("setup: system packages to install: "))
        .unwrap_or_else(|| panic!("no list in:\n{}", ran.stderr));
    assert!(
        list.contains("chromium ") && list.contains("ruby-dotenv"),
        "{list}"
    );
    // What fails may be for a package list that is out of date.
    let [install, update] = ran.calls.as_slice() else {
        panic!("{:?}", ran.calls)
    };
    assert!(
        install.ends_with(&format!(" install --yes --no-install-recommends {list}"))
            && update.ends_with(" update"),
        "{install}\n{update}"
    );
    let fedora = System::with(&["dnf"]).run(&["setup", "--system-packages"]);
    check_named(&fedora, &["`--system-packages` knows `apt-get` only"]);
    assert!(!fedora.stderr.contains("to install"), "{}", fedora.stderr);
}

#[test]
fn deploying_asks_for_npm_packages_and_crates_and_nothing_else() {
    let ran = System::with(&["apt-get", "dpkg-deb"]).run(&["deploy", "--dry-run"]);
    assert!(!ran.success, "{}", ran.stderr);
    for asked in ["1/3] Rust's", "2/3] npm packages", "3/3] worker-build"] {
        assert!(ran.stderr.contains(asked), "{}", ran.stderr);
    }
    assert!(ran.calls.is_empty(), "{:?}", ran.calls);
}
