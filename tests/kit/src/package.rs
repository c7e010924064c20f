//! What a release has of `medialift`: programs that take no library of the system, in archives and Debian
//! packages with man pages, completions and the guide; and lists of crates, and checksums.
//!
//! `cargo xtask package` makes a release, and a test installs and removes a package.

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build::without_package;
use crate::pins::RELEASED_TARGETS;
use crate::process;
use crate::setup::{self, Need};

/// The version of everything here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Each shell's name, and below `share` the file in which it looks for a command's completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "bash-completion/completions/medialift"),
    ("zsh", "zsh/site-functions/_medialift"),
    ("fish", "fish/vendor_completions.d/medialift.fish"),
];

/// Where packages and what goes into them are made. `host-cli/Cargo.toml` names it to `cargo deb`, so it is
/// below the root wherever cargo builds.
#[must_use]
pub fn directory() -> PathBuf {
    crate::root().join("target/package")
}

/// Lets `program`, a `medialift`, write its man pages and completions, and puts the guide beside them:
/// `share`, as it is installed below `/usr/local`.
///
/// # Errors
/// Fails when the program does not run, or a file cannot be written.
pub fn share(program: &Path) -> Result<PathBuf> {
    let share = empty_directory(&directory().join("share"))?;
    let pages = make_directory(&share.join("man/man1"))?;
    let run = |arguments: &[&Path], output: Stdio| {
        let mut command = Command::new(program);
        command.args(arguments).stdout(output);
        process::run("`medialift`", command)
    };
    run(&[Path::new("man"), &pages], Stdio::null())?;
    for (shell, name) in COMPLETIONS {
        let path = share.join(name);
        make_directory(path.parent().unwrap_or(&share))?;
        let script =
            File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
        run(&[Path::new("completions"), Path::new(shell)], script.into())?;
    }
    let guide = make_directory(&share.join("doc/medialift/docs"))?;
    for name in ["README.md", "CHANGELOG.md", "LICENSE"] {
        copy(
            &crate::root().join(name),
            &share.join("doc/medialift").join(name),
        )?;
    }
    for entry in fs::read_dir(crate::root().join("docs"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "md") {
            copy(&path, &guide.join(path.file_name().unwrap_or_default()))?;
        }
    }
    Ok(share)
}

/// Packages and lists of the same commit are the same, by the variable in which their tools look for a time
/// (<https://reproducible-builds.org/docs/source-date-epoch/>).
fn dated(mut command: Command) -> Command {
    command.current_dir(crate::root());
    if let Some(time) = process::output("git", &["log", "-1", "--format=%ct"]) {
        command.env("SOURCE_DATE_EPOCH", time);
    }
    command
}

/// Builds `medialift` for [`RELEASED_TARGETS`], and writes archives, Debian packages and the list of crates
/// into a new directory, which it returns.
///
/// # Errors
/// Fails when it cannot be built, or needs a library of the system after all.
pub fn medialift() -> Result<PathBuf> {
    let release = empty_directory(&directory().join("release"))?;
    let zigbuild = setup::place(Need::Zigbuild)?;
    let program = |target: &str| {
        crate::target_directory()
            .join(target)
            .join("dist/medialift")
    };
    for target in RELEASED_TARGETS {
        setup::standard_library(target)?;
        eprintln!("package: medialift for {target}");
        let mut build = without_package(Command::new(zigbuild.join("cargo-zigbuild")));
        build
            .args(["zigbuild", "--quiet", "--locked", "--profile=dist"])
            .args(["--package=medialift", "--target", target])
            .env("CARGO_ZIGBUILD_PYTHON_PATH", zigbuild.join("python"))
            .current_dir(crate::root());
        process::run("`cargo zigbuild`", build)?;
        let path = program(target);
        let headers = process::output("readelf", &["-l", &path.to_string_lossy()])
            .context("`readelf` (binutils) cannot read what was built")?;
        ensure!(
            !headers.contains("INTERP"),
            "`{}` is not static",
            path.display()
        );
    }
    share(&program(&format!("{ARCH}-unknown-linux-musl")))?;
    let bin = make_directory(&directory().join("bin"))?;
    for target in RELEASED_TARGETS {
        copy(&program(target), &bin.join("medialift"))?;
        let name = format!("medialift-{VERSION}-{target}");
        let mut archive = Command::new("tar");
        archive
            .args(["--create", "--use-compress-program=gzip -9n", "--file"])
            .arg(release.join(format!("{name}.tar.gz")))
            // The same files give the same archive.
            .args(["--sort=name", "--mtime=@0", "--mode=u=rwX,go=rX"])
            .args(["--owner=0", "--group=0", "--numeric-owner"])
            .arg(format!("--transform=s,^,{name}/,"))
            .args(["bin", "share"])
            .current_dir(directory());
        process::run("`tar`", archive)?;
        debian(
            &["--profile=dist", "--no-strip", "--target", target],
            &release,
        )?;
    }
    crates("host-cli", RELEASED_TARGETS[0], &release, "medialift")?;
    Ok(release)
}

/// Writes which crates a member of the workspace is made of for one target, as CycloneDX, into
/// `directory`.
///
/// # Errors
/// Fails when `cargo-cyclonedx` cannot be had.
pub fn crates(member: &str, target: &str, directory: &Path, name: &str) -> Result<()> {
    let mut list = dated(without_package(Command::new(setup::place(
        Need::CargoCyclonedx,
    )?)));
    list.args([
        "cyclonedx",
        "--quiet",
        "--format=json",
        "--spec-version=1.5",
        "--override-filename=crates",
    ])
    .args(["--target", target, "--manifest-path"])
    .arg(Path::new(member).join("Cargo.toml"));
    process::run("`cargo cyclonedx`", list)?;
    let list = directory.join(format!("{name}-{VERSION}.cdx.json"));
    let text = fs::read_to_string(crate::root().join(member).join("crates.json"))
        .context("`cargo cyclonedx` has written no list")?;
    // It names each member by its path: the same wherever the repository is.
    let text = text.replace(&format!("{}/", crate::root().display()), "/medialift/");
    fs::write(&list, text).with_context(|| format!("cannot write `{}`", list.display()))?;
    // It has written one for every member.
    for manifest in process::output(
        "git",
        &[
            "-C",
            &crate::root().to_string_lossy(),
            "ls-files",
            "*Cargo.toml",
        ],
    )
    .context("`git` does not list the members")?
    .lines()
    {
        let list = crate::root().join(manifest).with_file_name("crates.json");
        if list.exists() {
            fs::remove_file(&list)
                .with_context(|| format!("cannot remove `{}`", list.display()))?;
        }
    }
    Ok(())
}

/// Writes `SHA256SUMS` of all files of `directory`.
///
/// # Errors
/// Fails when it cannot.
pub fn checksums(directory: &Path) -> Result<()> {
    let mut sums = Command::new("sh");
    sums.args(["-c", "sha256sum -- * > ../SHA256SUMS && mv ../SHA256SUMS ."])
        .current_dir(directory);
    process::run("`sha256sum`", sums)
}

/// Makes the Debian package of a `medialift` that is built, with what [`share`] has written; `arguments` say
/// which build, `output` is a file, or a directory for one of the usual name.
///
/// # Errors
/// Fails when `cargo-deb` cannot be had, or what `host-cli/Cargo.toml` names is not there.
pub fn debian(arguments: &[&str], output: &Path) -> Result<()> {
    let mut command = dated(without_package(Command::new(setup::place(Need::CargoDeb)?)));
    command
        .args(["--package=medialift", "--no-build", "--locked", "--quiet"])
        .args(arguments)
        .arg("--output")
        .arg(output)
        .stdout(Stdio::null());
    process::run("`cargo deb`", command)
}

fn empty_directory(path: &Path) -> Result<PathBuf> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    make_directory(path)
}

fn make_directory(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path).with_context(|| format!("cannot create `{}`", path.display()))?;
    Ok(path.to_owned())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .map(|_| ())
        .with_context(|| format!("cannot copy `{}` to `{}`", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_one_everywhere() {
        for (path, named) in [
            ("CHANGELOG.md", format!("\n## {VERSION} (")),
            ("deploy/package.json", format!("\"version\": \"{VERSION}\"")),
            (
                "deploy/package-lock.json",
                format!("\"version\": \"{VERSION}\""),
            ),
        ] {
            let text = fs::read_to_string(crate::root().join(path)).unwrap();
            assert!(text.contains(&named), "{path} does not name {VERSION}");
        }
    }
}
