//! The Debian package: installed into a directory, used, and removed without a trace; the archive, unpacked
//! and used. It takes no root and leaves the machine's own packages alone.
//!
//! `MEDIALIFT_RELEASE` names the directory of a release, whose packages are tried then, those of all machines
//! by what they say of themselves; without it, they are made of the program as tests run it.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
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
        run(&mut command).context(
            "cannot install a package of Debian\n\nhint: install the package `dpkg`; Fedora, Homebrew and Nix have it too",
        )
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

/// The directory of the release to be tried, where one is named.
fn release() -> Option<PathBuf> {
    std::env::var_os("MEDIALIFT_RELEASE").map(|path| testkit::root().join(path))
}

/// The only file of `directory` whose name has both ends.
fn only(directory: &Path, beginning: &str, ending: &str) -> Result<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("{}", directory.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.starts_with(beginning) && name.ends_with(ending) {
            found.push(directory.join(name));
        }
    }
    ensure!(
        found.len() == 1,
        "`{beginning}…{ending}` of `{}`: {found:?}",
        directory.display()
    );
    Ok(found.remove(0))
}

/// The Debian package to be tried, made in `directory` where no release is named.
fn debian_package(directory: &Path) -> Result<PathBuf> {
    if let Some(release) = release() {
        let machine = run(Command::new("dpkg").arg("--print-architecture"))?.expect(0);
        return only(
            &release,
            "medialift_",
            &format!("_{}.deb", machine.stdout.trim()),
        );
    }
    package::share(&binary("medialift")?, &package::directory())?;
    let path = directory.join("medialift.deb");
    package::debian(&["--profile=dev", "--fast"], &path)?;
    Ok(path)
}

/// The archive to be tried, likewise.
fn archive(directory: &Path) -> Result<PathBuf> {
    if let Some(release) = release() {
        return only(
            &release,
            "medialift-",
            &format!("-{ARCH}-unknown-linux-musl.tar.gz"),
        );
    }
    let program = binary("medialift")?;
    package::share(&program, directory)?;
    package::archive(&program, directory, "medialift-test", "gzip -1", directory)?;
    Ok(directory.join("medialift-test.tar.gz"))
}

/// Checksums, files, machines and lists of crates.
fn expect_whole(release: &Path) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let mut sums = Command::new("sha256sum");
    run(sums
        .args(["--check", "--strict", "SHA256SUMS"])
        .current_dir(release))?
    .expect(0);
    let summed = fs::read_to_string(release.join("SHA256SUMS"))?;
    let mut summed: Vec<&str> = summed
        .lines()
        .filter_map(|line| line.split_whitespace().nth(1))
        .collect();
    summed.sort_unstable();
    let mut files = vec![
        format!("medialift-{version}-x86_64-unknown-linux-musl.tar.gz"),
        format!("medialift-{version}-aarch64-unknown-linux-musl.tar.gz"),
        format!("medialift_{version}_amd64.deb"),
        format!("medialift_{version}_arm64.deb"),
        format!("medialift-worker-{version}.tar.gz"),
        format!("medialift-{version}.cdx.json"),
        format!("medialift-worker-{version}.cdx.json"),
    ];
    files.sort_unstable();
    assert_eq!(summed, files);

    for (architecture, machine) in [("amd64", "X86-64"), ("arm64", "AArch64")] {
        let package = release.join(format!("medialift_{version}_{architecture}.deb"));
        let mut field = Command::new("dpkg");
        field.arg("--field").arg(&package).arg("Architecture");
        assert_eq!(run(&mut field)?.expect(0).stdout.trim(), architecture);
        let content = tempfile::tempdir()?;
        let mut unpack = Command::new("dpkg-deb");
        unpack.arg("--extract").arg(&package).arg(content.path());
        run(&mut unpack)?.expect(0);
        let program = content.path().join("usr/bin/medialift");
        let header = run(Command::new("readelf").arg("-hl").arg(program))?.expect(0);
        assert!(header.stdout.contains(machine), "{}", header.stdout);
        assert!(!header.stdout.contains("INTERP"), "{}", header.stdout);
    }
    for (name, member) in [
        ("medialift", "medialift"),
        ("medialift-worker", "edge-worker"),
    ] {
        let list = fs::read_to_string(release.join(format!("{name}-{version}.cdx.json")))?;
        let list: serde_json::Value = serde_json::from_str(&list)?;
        assert_eq!(list["bomFormat"], "CycloneDX");
        assert_eq!(list["metadata"]["component"]["name"], member);
        assert_eq!(list["metadata"]["component"]["version"], version);
        let crates = list["components"].as_array().context("no components")?;
        assert!(crates.len() > 50, "{} crates", crates.len());
    }
    Ok(())
}

/// Links between the installed pages, and from them to pictures and directories.
fn expect_links_lead_somewhere(documentation: &Path) -> Result<()> {
    let link = Regex::new(r"\]\(([^)#:]+)[)#]")?;
    let mut find = Command::new("find");
    find.arg(documentation).args(["-name", "*.md"]);
    let pages = run(&mut find)?.expect(0);
    let mut links = 0;
    for page in pages.stdout.lines().map(Path::new) {
        for link in link.captures_iter(&fs::read_to_string(page)?) {
            let target = page.with_file_name(&link[1]);
            assert!(target.exists(), "{}: `{}`", page.display(), &link[1]);
            links += 1;
        }
    }
    assert!(links > 50, "only {links} links");
    Ok(())
}

#[test]
fn the_package_is_installed_used_and_removed_without_a_trace() -> Result<()> {
    if let Some(release) = release() {
        expect_whole(&release)?;
    }
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
    expect_links_lead_somewhere(&system.path("usr/share/doc/medialift"))?;

    let program = system.path("usr/bin/medialift");
    let help = run(Command::new(&program).arg("--help"))?.expect(0);
    assert!(help.stdout.contains("Usage: medialift"), "{help:?}");
    let version = run(Command::new(&program).arg("--version"))?.expect(0);
    assert_eq!(
        version.stdout,
        concat!("medialift ", env!("CARGO_PKG_VERSION"), "\n")
    );

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

/// As README says, but not below `/usr/local`.
#[test]
fn the_archive_is_unpacked_as_the_package_installs_it() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let archive = archive(scratch.path())?;
    let system = tempfile::tempdir()?;
    let mut unpack = Command::new("tar");
    unpack.arg("xzf").arg(&archive);
    unpack
        .args(["--strip-components", "1", "-C"])
        .arg(system.path());
    run(&mut unpack)?.expect(0);

    let program = system.path().join("bin/medialift");
    let version = run(Command::new(&program).arg("--version"))?.expect(0);
    assert_eq!(
        version.stdout,
        concat!("medialift ", env!("CARGO_PKG_VERSION"), "\n")
    );
    let help = run(Command::new(&program).arg("--help"))?.expect(0);
    let commands = Regex::new("(?m)^  ([a-z]+)  ")?;
    let share = system.path().join("share");
    for command in commands.captures_iter(&help.stdout) {
        let page = share.join(format!("man/man1/medialift-{}.1", &command[1]));
        assert!(page.is_file(), "`medialift {}` has no page", &command[1]);
    }
    for name in [
        "bash-completion/completions/medialift",
        "zsh/site-functions/_medialift",
        "fish/vendor_completions.d/medialift.fish",
        "man/man1/medialift.1",
        "doc/medialift/README.md",
        "doc/medialift/LICENSE",
        "doc/medialift/docs/migrate.md",
    ] {
        assert!(share.join(name).is_file(), "the archive lacks `{name}`");
    }
    expect_links_lead_somewhere(&share.join("doc/medialift"))?;
    let notices = fs::read_to_string(share.join("doc/medialift").join(package::NOTICES))?;
    assert!(notices.contains("\nrustls "), "{notices}");
    Ok(())
}
