//! The Debian package: installed into a directory, used, and removed without a trace. It takes no root and
//! leaves the machine's own packages alone.
//!
//! `MEDIALIFT_DEB` names a package of a release; without it, one is made of the program as tests run it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use e2e::medialift::{Ran, run};
use regex::Regex;
use testkit::package;
use testkit::setup::{Need, place};
use testkit::stack::binary;

/// A system with no package in it, as `dpkg` sees it.
struct System {
    root: tempfile::TempDir,
}

impl System {
    fn new() -> Result<Self> {
        let root = tempfile::tempdir()?;
        let state = root.path().join("var/lib/dpkg");
        for name in ["info", "updates", "triggers"] {
            fs::create_dir_all(state.join(name))?;
        }
        fs::write(state.join("status"), "")?;
        Ok(Self { root })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn dpkg(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = Command::new("dpkg");
        command
            .arg("--root")
            .arg(self.root.path())
            .arg("--log")
            .arg(self.path("var/lib/dpkg/log"))
            // The package has no scripts, which is what dpkg wants root and the system's programs for.
            .args(["--force-not-root", "--force-bad-path"])
            .args(arguments);
        run(&mut command).context("`dpkg` is needed to install a package of Debian")
    }

    /// All files and directories but what dpkg itself keeps, each with its mode.
    fn contents(&self) -> Result<Vec<String>> {
        let mut find = Command::new("find");
        find.arg(self.root.path())
            .args(["-mindepth", "1", "-path", "*/var/lib/dpkg", "-prune"])
            .args(["-o", "-printf", "%m %P\n"]);
        let found = run(&mut find)?.expect(0);
        let mut contents: Vec<String> = found.stdout.lines().map(str::to_owned).collect();
        contents.sort_by(|a, b| a[4..].cmp(&b[4..]));
        Ok(contents)
    }
}

/// The package to be tried, made in `directory` where none of a release is named.
fn debian_package(directory: &Path) -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MEDIALIFT_DEB") {
        return Ok(testkit::root().join(path));
    }
    package::share(&binary("medialift")?)?;
    let path = directory.join("medialift.deb");
    package::debian(&["--profile=dev", "--fast"], &path)?;
    Ok(path)
}

#[test]
fn the_package_is_installed_used_and_removed_without_a_trace() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let package = debian_package(scratch.path())?;
    let package = package.to_string_lossy();
    let fields = run(Command::new("dpkg").args(["--field", &package]))?.expect(0);
    // It differs between releases and machines.
    let differs = Regex::new("(?m)^(Version|Architecture|Installed-Size): .*\n")?;
    insta::assert_snapshot!("fields", differs.replace_all(&fields.stdout, ""));

    let system = System::new()?;
    let before = system.contents()?;
    system.dpkg(&["--install", &package])?.expect(0);
    let installed = system.contents()?;
    // The pages of the guide change.
    let shown: Vec<&str> = installed
        .iter()
        .map(String::as_str)
        .filter(|line| !line.contains("/docs/"))
        .collect();
    insta::assert_snapshot!("contents", shown.join("\n"));
    assert!(
        system
            .path("usr/share/doc/medialift/docs/migrate.md")
            .is_file()
    );

    let program = system.path("usr/bin/medialift");
    let help = run(Command::new(&program).arg("--help"))?.expect(0);
    assert!(help.stdout.contains("Usage: medialift"), "{help:?}");
    let version = run(Command::new(&program).arg("version"))?.expect(0);
    assert_eq!(version.stdout.trim(), env!("CARGO_PKG_VERSION"));

    let mandoc = place(Need::Mandoc)?;
    // Bold letters are printed twice, one over the other.
    let printed_over = Regex::new(".\u{8}")?;
    for (name, says) in [
        ("medialift.1.gz", "medialift-provision(1)"),
        ("medialift-sync.1.gz", "--delete"),
    ] {
        let page = system.path("usr/share/man/man1").join(name);
        let page = run(Command::new(&mandoc).args(["-T", "ascii"]).arg(page))?.expect(0);
        let text = printed_over.replace_all(&page.stdout, "");
        assert!(text.contains("\nNAME\n"), "{text}");
        assert!(text.contains(says), "{text}");
    }

    let completion = r#"
        source "$0"
        COMP_WORDS=(medialift pro) COMP_CWORD=1
        "$(complete -p medialift | sed 's/.*-F \([^ ]*\).*/\1/')" medialift pro medialift
        echo "${COMPREPLY[@]}""#;
    let script = system.path("usr/share/bash-completion/completions/medialift");
    let completed = run(Command::new("bash").args(["-c", completion]).arg(script))?.expect(0);
    assert_eq!(completed.stdout.trim(), "provision");

    system.dpkg(&["--purge", "medialift"])?.expect(0);
    assert_eq!(system.contents()?, before);
    let known = system.dpkg(&["--get-selections"])?.expect(0);
    assert_eq!(known.stdout, "");
    Ok(())
}
