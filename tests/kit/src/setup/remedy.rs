//! What to do by hand about a tool that cannot be had otherwise, by the system's own package
//! manager.

use crate::pins::{self, WASM_TARGET};
use crate::process::find_program;

use super::Need;

/// What Mastodon writes media and reads settings with.
const GEMS: &str = "`gem install aws-sdk-s3 dotenv`";

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    /// Debian, Ubuntu.
    Apt,
    /// Fedora, Red Hat.
    Dnf,
    /// macOS.
    Brew,
    /// Nix.
    Nix,
}

impl Manager {
    const ALL: [Self; 4] = [Self::Apt, Self::Dnf, Self::Brew, Self::Nix];

    /// The one on `PATH`.
    pub(super) fn here() -> Option<Self> {
        Self::first(|program| find_program(program).is_some())
    }

    fn first(is_there: impl Fn(&str) -> bool) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|manager| is_there(manager.program()))
    }

    const fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Brew => "brew",
            Self::Nix => "nix",
        }
    }

    /// The command that installs packages.
    fn command(self, packages: &[&str]) -> String {
        let names = packages.join(" ");
        match self {
            Self::Apt => format!("as root, `apt-get install --no-install-recommends {names}`"),
            Self::Dnf => format!("as root, `dnf install {names}`"),
            Self::Brew => format!("`brew install {names}`"),
            Self::Nix => {
                let names: Vec<String> = packages
                    .iter()
                    .map(|name| format!("nixpkgs#{name}"))
                    .collect();
                format!("`nix profile install {}`", names.join(" "))
            }
        }
    }
}

/// What to do about `need`; with every manager's command where the system's is not known.
pub(super) fn of(need: Need, manager: Option<Manager>) -> String {
    let besides = match need {
        Need::WasmTarget => {
            return of_target(WASM_TARGET);
        }
        Need::Npm => "let npm reach its registry, and have Node.js and npm: ",
        Need::Nextest
        | Need::CargoDeny
        | Need::CargoMachete
        | Need::CargoDeb
        | Need::CargoCyclonedx => {
            return "let cargo reach its registry: it installs it from there".to_owned();
        }
        Need::WorkerBuild | Need::WasmPack => {
            "let cargo reach its registry, and have a C compiler, pkg-config and OpenSSL's headers: "
        }
        Need::Python | Need::Linters | Need::Zigbuild => {
            "let pip reach its index, and have Python 3.11 or newer with `venv`: "
        }
        Need::Nginx => "set `MEDIALIFT_NGINX` to nginx 1.18 or newer, or install it: ",
        Need::Browser => "set `CHROME_PATH` to a Chromium or Chrome, or install one: ",
        Need::Varnish | Need::Ruby | Need::Mandoc => "",
    };
    let command = |manager: Manager| {
        let command = manager.command(of_manager(need, manager));
        // Only Debian has the gems as packages.
        match (need, manager) {
            (Need::Ruby, Manager::Brew) => {
                format!("{command}, put `$(brew --prefix ruby)/bin` first on `PATH`, then {GEMS}")
            }
            (Need::Ruby, Manager::Dnf | Manager::Nix) => format!("{command}, then {GEMS}"),
            // Installed headers are found by nothing there: a shell with them is.
            (Need::WorkerBuild | Need::WasmPack, Manager::Nix) => {
                "install nothing, but run this in `nix-shell -p gcc pkg-config openssl`".to_owned()
            }
            _ => command,
        }
    };
    format!("{besides}{}", commands(manager, command))
}

/// What to do about a program that has the name of its package everywhere.
pub(super) fn of_package(name: &str, manager: Option<Manager>) -> String {
    commands(manager, |manager| manager.command(&[name]))
}

fn commands(manager: Option<Manager>, command: impl Fn(Manager) -> String) -> String {
    match manager {
        Some(manager) => command(manager),
        None => Manager::ALL.map(command).join("; or "),
    }
}

/// What to do about a target's standard library.
pub(super) fn of_target(target: &str) -> String {
    format!("install Rust by rustup, and let `rustup target add {target}` reach its server")
}

/// The packages of several needs, each once.
pub(super) fn packages(needs: impl Iterator<Item = Need>, manager: Manager) -> Vec<&'static str> {
    let mut packages: Vec<&str> = Vec::new();
    for name in needs.flat_map(|need| of_manager(need, manager)) {
        if !packages.contains(name) {
            packages.push(name);
        }
    }
    packages
}

const fn of_manager(need: Need, manager: Manager) -> &'static [&'static str] {
    use Manager::{Apt, Brew, Dnf, Nix};
    match (need, manager) {
        (
            Need::WasmTarget
            | Need::Nextest
            | Need::CargoDeny
            | Need::CargoMachete
            | Need::CargoDeb
            | Need::CargoCyclonedx,
            _,
        ) => &[],
        (Need::Npm, Apt | Dnf) => &["nodejs", "npm"],
        (Need::Npm, Brew) => &["node"],
        (Need::Npm, Nix) => &["nodejs"],
        (Need::WorkerBuild | Need::WasmPack, Apt) => {
            &["gcc", "libc6-dev", "pkg-config", "libssl-dev"]
        }
        (Need::WorkerBuild | Need::WasmPack, Dnf) => {
            &["gcc", "pkgconf-pkg-config", "openssl-devel"]
        }
        (Need::WorkerBuild | Need::WasmPack, Brew) => &["pkgconf", "openssl@3"],
        (Need::WorkerBuild | Need::WasmPack, Nix) => &["gcc", "pkg-config", "openssl"],
        (Need::Python | Need::Linters | Need::Zigbuild, Apt) => &["python3", "python3-venv"],
        (Need::Python | Need::Linters | Need::Zigbuild, Dnf | Nix) => &["python3"],
        (Need::Python | Need::Linters | Need::Zigbuild, Brew) => &["python"],
        (Need::Nginx, Apt) => &[pins::DEBIAN_NGINX],
        (Need::Nginx, Dnf | Brew | Nix) => &["nginx"],
        (Need::Browser, Apt | Dnf | Nix) => &["chromium"],
        (Need::Browser, Brew) => &["--cask", "google-chrome"],
        (Need::Varnish, Apt) => pins::DEBIAN_VARNISH,
        (Need::Varnish, Dnf | Brew | Nix) => &["varnish"],
        (Need::Mandoc, _) => &["mandoc"],
        (Need::Ruby, Apt) => pins::DEBIAN_RUBY,
        (Need::Ruby, Dnf | Brew | Nix) => &["ruby"],
    }
}

#[cfg(test)]
mod tests {
    use super::{Manager, Need, of, of_package, packages};

    #[track_caller]
    fn check(need: Need, manager: Option<Manager>, expected: &str) {
        assert_eq!(of(need, manager), expected);
    }

    #[test]
    fn the_remedy_is_this_systems() {
        let varnish = |manager| of(Need::Varnish, Some(manager));
        assert_eq!(
            varnish(Manager::Apt),
            "as root, `apt-get install --no-install-recommends varnish`"
        );
        assert_eq!(varnish(Manager::Dnf), "as root, `dnf install varnish`");
        assert_eq!(varnish(Manager::Brew), "`brew install varnish`");
        assert_eq!(
            of_package("wrk", Some(Manager::Dnf)),
            "as root, `dnf install wrk`"
        );
        assert_eq!(
            varnish(Manager::Nix),
            "`nix profile install nixpkgs#varnish`"
        );
        check(
            Need::Ruby,
            Some(Manager::Brew),
            "`brew install ruby`, put `$(brew --prefix ruby)/bin` first on `PATH`, then `gem install \
             aws-sdk-s3 dotenv`",
        );
        check(
            Need::Ruby,
            Some(Manager::Nix),
            "`nix profile install nixpkgs#ruby`, then `gem install aws-sdk-s3 dotenv`",
        );
    }

    #[test]
    fn a_system_without_a_known_manager_is_shown_all() {
        check(
            Need::Nginx,
            None,
            "set `MEDIALIFT_NGINX` to nginx 1.18 or newer, or install it: as root, `apt-get install \
             --no-install-recommends nginx-light`; or as root, `dnf install nginx`; or `brew install \
             nginx`; or `nix profile install nixpkgs#nginx`",
        );
    }

    #[test]
    fn every_need_has_a_remedy_everywhere() {
        for need in [&Need::all(), Need::RELEASE].concat() {
            for manager in Manager::ALL.map(Some).into_iter().chain([None]) {
                let remedy = of(need, manager);
                assert!(remedy.contains("install"), "{need}, {manager:?}: {remedy}");
            }
        }
    }

    #[test]
    fn the_manager_is_the_one_that_is_there() {
        assert_eq!(Manager::first(|name| name == "dnf"), Some(Manager::Dnf));
        assert_eq!(
            Manager::first(|name| matches!(name, "brew" | "apt-get")),
            Some(Manager::Apt)
        );
        assert_eq!(Manager::first(|_| false), None);
    }

    #[test]
    fn a_package_of_two_needs_is_listed_once() {
        let needs = [Need::WorkerBuild, Need::WasmPack, Need::Varnish];
        assert_eq!(
            packages(needs.into_iter(), Manager::Apt),
            ["gcc", "libc6-dev", "pkg-config", "libssl-dev", "varnish"]
        );
    }
}
