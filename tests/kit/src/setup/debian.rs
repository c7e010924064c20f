//! Debian's packages: unpacked into the cache, which takes no root and installs nothing; or installed,
//! where somebody asks for that.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::remedy::{self, Manager};
use super::{Installer, lock};
use crate::process::{find_program, is_executable, output};
use crate::tools;

/// Starts a program from unpacked packages as if it were installed: it finds its libraries, and each
/// kind of program what else it was compiled to look for below `/usr`. `NAME` is the program's.
const LAUNCHER: &str = r#"#!/bin/sh
root=$(cd "${0%/*}/../usr" && pwd)
join() {
    for directory; do
        [ -d "$directory" ] && printf '%s:' "$directory"
    done
}
LD_LIBRARY_PATH=$(join "$root"/lib/*-linux-gnu*)${LD_LIBRARY_PATH-}
export LD_LIBRARY_PATH
for program in "$root/sbin/NAME" "$root/bin/NAME" /usr/bin/NAME; do
    [ -x "$program" ] && break
done
case NAME in
varnishd)
    exec "$program" -p "vmod_path=$(join "$root"/lib/*-linux-gnu*/varnish/vmods)" "$@"
    ;;
ruby)
    RUBYLIB=$(join "$root"/lib/ruby/vendor_ruby "$root"/lib/*-linux-gnu*/ruby/vendor_ruby/* \
        "$root"/lib/ruby/[0-9]* "$root"/lib/*-linux-gnu*/ruby/[0-9]*)${RUBYLIB-}
    GEM_PATH=$(join "$root"/share/rubygems-integration/* "$root"/lib/*-linux-gnu*/rubygems-integration/* \
        "$root"/lib/ruby/gems/* /usr/share/rubygems-integration/* /usr/lib/ruby/gems/*)${GEM_PATH-}
    export RUBYLIB GEM_PATH
    ;;
esac
exec "$program" "$@"
"#;

/// A program that one suite or the bench uses: the system's, else the one of Debian's package of its name,
/// unpacked into the cache.
///
/// # Errors
/// Fails when it cannot be had, and says what to do.
pub fn program(package: &'static str) -> Result<PathBuf> {
    let program = Path::new("/usr/bin").join(package);
    if is_executable(&program) {
        return Ok(program);
    }
    // Debian's is for where there is Debian.
    let program = find_program(package).filter(|_| find_program("apt-get").is_none());
    if let Some(program) = program {
        return Ok(program);
    }
    let cache = tools::cache_directory()?;
    let _lock = lock(&cache)?;
    if let Some(program) = unpacked(&cache, package) {
        return Ok(program);
    }
    eprintln!("setup: getting {package}");
    unpack(&Installer::new(&cache, package), package, &[package]).with_context(|| {
        let remedy = remedy::of_package(package, Manager::here());
        format!("cannot get {package}\n\nhint: {remedy}")
    })?;
    unpacked(&cache, package).with_context(|| format!("Debian's `{package}` has no such program"))
}

fn directory(cache: &Path, program: &str) -> PathBuf {
    // Packages of one release do not fit another's libraries.
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let release = release
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .unwrap_or("unknown");
    cache.join(format!("debian-{release}-{program}"))
}

/// The program that [`unpack`] has put into the cache.
pub(super) fn unpacked(cache: &Path, program: &str) -> Option<PathBuf> {
    Some(directory(cache, program).join("bin").join(program)).filter(|path| is_executable(path))
}

/// Downloads Debian's packages, and those of their dependencies that the system has not, with package
/// lists and files of our own, and unpacks them.
pub(super) fn unpack(installer: &Installer, program: &str, packages: &[&str]) -> Result<()> {
    for needed in ["apt-get", "dpkg-deb"] {
        if find_program(needed).is_none() {
            bail!("there is no `{needed}` here to download Debian's packages with");
        }
    }
    let directory = directory(&installer.cache, program);
    installer.install_into(&directory, |directory| {
        let apt = directory.join("apt");
        for name in ["lists/partial", "archives/partial"] {
            fs::create_dir_all(apt.join(name))?;
        }
        let run = |arguments: &[&str]| {
            let mut command = Command::new("apt-get");
            command
                .arg("-o")
                .arg(format!("Dir::State::Lists={}", apt.join("lists").display()))
                .arg("-o")
                .arg(format!("Dir::Cache={}", apt.display()))
                // The lock is the system's, and nothing of the system's is written.
                .args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=root"])
                .args(arguments);
            installer.run(command)
        };
        run(&["update"])?;
        let download = [
            "install",
            "--yes",
            "--no-install-recommends",
            "--download-only",
        ];
        run(&[&download, packages].concat())?;
        for file in fs::read_dir(apt.join("archives"))? {
            let file = file?.path();
            if file.extension().is_some_and(|ending| ending == "deb") {
                let mut command = Command::new("dpkg-deb");
                command.arg("--extract").arg(&file).arg(directory);
                installer.run(command)?;
            }
        }
        fs::remove_dir_all(&apt)?;
        let launcher = directory.join("bin").join(program);
        fs::create_dir_all(directory.join("bin"))?;
        fs::write(&launcher, LAUNCHER.replace("NAME", program))?;
        fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))?;
        check_starts(&launcher, program)
    })
}

/// Starts an unpacked program once: a library may be missing all the same, or one of Ruby's gems.
fn check_starts(launcher: &Path, program: &str) -> Result<()> {
    let mut start = Command::new(launcher);
    let ended = match program {
        "ruby" => start.args(["-e", tools::REQUIRE_GEMS]),
        _ => start.arg("-V"),
    }
    .stdin(Stdio::null())
    .output()?;
    let starts = match program {
        "ruby" => ended.status.success(),
        // Not all of them know `-V`; the shell and the loader end with these where nothing was started.
        _ => !matches!(ended.status.code(), None | Some(126 | 127)),
    };
    ensure!(
        starts,
        "the unpacked `{program}` does not start: {}",
        String::from_utf8_lossy(&ended.stderr).trim()
    );
    Ok(())
}

/// Whether `apt-get` has a version of a package that it could install here.
fn is_installable(package: &str) -> bool {
    let options = ["install", "--simulate", "--no-install-recommends", package];
    output("apt-get", &options).is_some()
}

/// Installs packages into the system, those that it has, without starting any service that comes with them.
pub(super) fn install_on_system(installer: &Installer, packages: &[&str]) -> Result<()> {
    let root = rustix::process::getuid().is_root();
    if !root && output("sudo", &["-n", "true"]).is_none() {
        bail!(
            "installing system packages takes root\n\nhint: as root, `apt-get install --no-install-recommends {}`",
            packages.join(" ")
        );
    }
    let apt = |arguments: &[&str]| {
        let mut command = if root {
            Command::new("env")
        } else {
            let mut command = Command::new("sudo");
            command.args(["-n", "env"]);
            command
        };
        // In run level 1 Debian's installation scripts start no service.
        command.args([
            "DEBIAN_FRONTEND=noninteractive",
            "RUNLEVEL=1",
            "apt-get",
            "-o",
            "DPkg::Lock::Timeout=300",
        ]);
        command.args(arguments);
        command
    };
    let nginx_ran = Path::new("/run/nginx.pid").exists();
    let install = |packages: &[&str]| {
        let options = ["install", "--yes", "--no-install-recommends"];
        installer.run(apt(&[&options[..], packages].concat()))
    };
    // An old package list names versions that are gone, so look again before giving up.
    if install(packages).is_err() {
        installer.run(apt(&["update"]))?;
        // Not every release has every package, and one that is unknown keeps `apt-get` from all.
        let (there, missing): (Vec<&str>, Vec<&str>) = packages
            .iter()
            .copied()
            .partition(|name| is_installable(name));
        if !missing.is_empty() {
            eprintln!(
                "setup: `apt-get` cannot install {}: left out",
                missing.join(", ")
            );
        }
        install(&there)?;
    }
    if !nginx_ran && Path::new("/run/nginx.pid").exists() {
        let mut stop = if root {
            Command::new("nginx")
        } else {
            Command::new("sudo")
        };
        if !root {
            stop.args(["-n", "nginx"]);
        }
        stop.args(["-s", "stop"]);
        installer.run(stop)?;
    }
    Ok(())
}
