//! `xtask setup` on systems that have nothing but a shell and a package manager that fails.

// macOS has its browsers outside of `PATH`, where no test can hide them.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A `PATH` with a shell and what a test adds, and a cache with nothing in it.
struct System {
    folder: TempDir,
}

/// How a chore ended there.
struct Ran {
    success: bool,
    said: String,
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
        for name in managers {
            let script = format!("#!/bin/sh\necho \"$*\" >>'{log}'\nexit 100\n");
            write_program(&bin.join(name), &script);
        }
        Self { folder }
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
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
            calls: calls.lines().map(str::to_owned).collect(),
        }
    }
}

fn write_program(path: &Path, script: &str) {
    fs::write(path, script).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("its mode");
}

#[track_caller]
fn check_named(ran: &Ran, remedies: &[&str]) {
    assert!(!ran.success, "{}", ran.said);
    for remedy in remedies {
        assert!(ran.said.contains(remedy), "`{remedy}` in:\n{}", ran.said);
    }
}

#[test]
fn what_is_missing_is_named_with_the_remedy_of_the_system() {
    let debian = System::with(&["apt-get", "dpkg-deb"]).run(&["setup"]);
    check_named(
        &debian,
        &[
            "rustup target add wasm32-unknown-unknown",
            "`apt-get install --no-install-recommends gcc libc6-dev pkg-config libssl-dev`",
            "`apt-get install --no-install-recommends python3 python3-venv`",
            "`apt-get install --no-install-recommends chromium`",
            "`apt-get install --no-install-recommends ruby ruby-aws-sdk-s3 ruby-dotenv`",
        ],
    );
    assert!(!debian.said.contains("dnf install"), "{}", debian.said);
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
    assert!(!ran.calls.is_empty(), "{}", ran.said);
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
    let ran = System::with(&["apt-get"]).run(&["setup", "--system-packages"]);
    assert!(!ran.success, "{}", ran.said);
    let list = ran
        .said
        .lines()
        .find_map(|line| line.strip_prefix("setup: system packages to install: "))
        .unwrap_or_else(|| panic!("no list in:\n{}", ran.said));
    assert!(
        list.contains("chromium ") && list.contains("ruby-dotenv"),
        "{list}"
    );
    let installs: Vec<&String> = ran
        .calls
        .iter()
        .filter(|call| call.contains(" install "))
        .collect();
    // Without root it is not even tried.
    for call in &installs {
        assert!(call.ends_with(list), "{call}");
    }
    if installs.is_empty() {
        assert!(ran.said.contains("takes root"), "{}", ran.said);
    }
}

#[test]
fn deploying_asks_for_npm_packages_and_crates_and_nothing_else() {
    let ran = System::with(&["apt-get", "dpkg-deb"]).run(&["deploy", "--dry-run"]);
    assert!(!ran.success, "{}", ran.said);
    let asked = ran.said.lines().filter(|line| {
        line.starts_with("setup: [") && !line.ends_with(" failed") && !line.contains(" done in ")
    });
    for line in asked {
        let is_the_workers = ["WebAssembly", "npm packages", "worker-build"]
            .iter()
            .any(|name| line.contains(name));
        assert!(is_the_workers, "{line}");
    }
    assert!(ran.said.contains("worker-build"), "{}", ran.said);
    assert!(ran.calls.is_empty(), "{:?}", ran.calls);
}
