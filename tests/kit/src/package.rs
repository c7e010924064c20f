//! What a release has of `medialift`: programs that take no library of the system, in archives and Debian
//! packages with man pages, completions, the guide and the licences of the crates; and lists of crates, and
//! checksums.
//!
//! `cargo xtask package` makes a release, and tests install and remove it.

mod notices;

use std::env::consts::ARCH;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::build::for_cargo;
use crate::pins::RELEASED_TARGETS;
use crate::process;
use crate::setup::{self, Need};

pub use notices::notices;

/// The version of everything here.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The file with the licences of the crates that something is made of.
pub const NOTICES: &str = "THIRD-PARTY-LICENSES";

/// The directories of the guide: its pages, and what they link to. `host-cli/Cargo.toml` names them too.
const GUIDE: [&str; 4] = ["docs", "docs/decisions", "docs/images", "docs/performance"];

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
/// `share` of `directory`, as it is installed below `/usr/local`.
///
/// # Errors
/// Fails when the program does not run, or a file cannot be written.
pub fn share(program: &Path, directory: &Path) -> Result<()> {
    let share = empty_directory(&directory.join("share"))?;
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
    let documentation = make_directory(&share.join("doc/medialift"))?;
    for name in ["README.md", "CHANGELOG.md", "LICENSE"] {
        copy(&crate::root().join(name), &documentation.join(name))?;
    }
    for folder in GUIDE {
        let installed = make_directory(&documentation.join(folder))?;
        for entry in fs::read_dir(crate::root().join(folder))? {
            let path = entry?.path();
            if path.is_file() {
                copy(&path, &installed.join(path.file_name().unwrap_or_default()))?;
            }
        }
    }
    write(
        &documentation.join(NOTICES),
        &notices("medialift", RELEASED_TARGETS)?,
    )
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
        let mut build = for_cargo(Command::new(zigbuild.join("cargo-zigbuild")));
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
    share(
        &program(&format!("{ARCH}-unknown-linux-musl")),
        &directory(),
    )?;
    for target in RELEASED_TARGETS {
        let name = archive_name(target);
        archive(&program(target), &directory(), &name, "gzip -9n", &release)?;
        debian(
            &["--profile=dist", "--no-strip", "--target", target],
            &release,
        )?;
    }
    crates("host-cli", RELEASED_TARGETS[0], &release, "medialift")?;
    Ok(release)
}

/// The archive's name without its ending, and the name of the directory in it.
fn archive_name(target: &str) -> String {
    format!("medialift-{VERSION}-{target}")
}

/// Writes the archive `name`, of `program` and the `share` of `directory`, into `output`.
///
/// # Errors
/// Fails when it cannot.
pub fn archive(
    program: &Path,
    directory: &Path,
    name: &str,
    compressor: &str,
    output: &Path,
) -> Result<()> {
    let bin = make_directory(&directory.join("bin"))?;
    copy(program, &bin.join("medialift"))?;
    let mut archive = Command::new("tar");
    archive
        .arg("--create")
        .arg(format!("--use-compress-program={compressor}"))
        .arg("--file")
        .arg(output.join(format!("{name}.tar.gz")))
        // The same files give the same archive.
        .args(["--sort=name", "--mtime=@0", "--mode=u=rwX,go=rX"])
        .args(["--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--transform=s,^,{name}/,"))
        .args(["bin", "share"])
        .current_dir(directory);
    process::run("`tar`", archive)
}

/// Writes which crates a member of the workspace is made of for one target, as CycloneDX, into
/// `directory`.
///
/// # Errors
/// Fails when `cargo-cyclonedx` cannot be had.
pub fn crates(member: &str, target: &str, directory: &Path, name: &str) -> Result<()> {
    let mut list = dated(for_cargo(Command::new(setup::place(Need::CargoCyclonedx)?)));
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
    write(&list, &text)?;
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
    write(&directory().join("changelog"), &debian_changelog()?)?;
    let mut command = dated(for_cargo(Command::new(setup::place(Need::CargoDeb)?)));
    command
        .args(["--package=medialift", "--no-build", "--locked", "--quiet"])
        .args(arguments)
        .arg("--output")
        .arg(output)
        .stdout(Stdio::null());
    process::run("`cargo deb`", command)
}

/// The metadata of packages in `host-cli/Cargo.toml`.
fn metadata() -> Result<toml::Table> {
    let path = crate::root().join("host-cli/Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let manifest: toml::Table =
        toml::from_str(&text).with_context(|| format!("cannot understand `{}`", path.display()))?;
    manifest["package"]["metadata"]
        .as_table()
        .cloned()
        .with_context(|| format!("`{}` has no metadata", path.display()))
}

/// The changelog in Debian's form, which its rules want: of one entry, that names `CHANGELOG.md`.
fn debian_changelog() -> Result<String> {
    let metadata = metadata()?;
    let maintainer = metadata["deb"]["maintainer"]
        .as_str()
        .context("the package has no maintainer")?;
    let address = if maintainer.contains('<') { "" } else { " <>" };
    let date = process::output("git", &["log", "-1", "--format=%cD"])
        .context("`git` does not print the commit's date")?;
    Ok(format!(
        "medialift ({VERSION}) stable; urgency=medium\n\n  * Changes: /usr/share/doc/medialift/CHANGELOG.md\n\n \
         -- {maintainer}{address}  {date}\n"
    ))
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

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))
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
    fn cargo_binstall_looks_for_the_archives_that_are_made() {
        let metadata = metadata().unwrap();
        for target in RELEASED_TARGETS {
            let filled_in = |field: &str| {
                let template = metadata["binstall"][field].as_str().unwrap();
                template
                    .replace("{ repo }", "https://example.com/medialift")
                    .replace("{ name }", "medialift")
                    .replace("{ version }", VERSION)
                    .replace("{ target }", target)
                    .replace("{ bin }", "medialift")
            };
            let name = archive_name(target);
            assert_eq!(
                filled_in("pkg-url"),
                format!("https://example.com/medialift/releases/download/v{VERSION}/{name}.tar.gz")
            );
            assert_eq!(filled_in("bin-dir"), format!("{name}/bin/medialift"));
        }
    }

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
