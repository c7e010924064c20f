//! The tools that chores and tests ask for: where each is, and how it is had without root.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{Installer, browser, crates, debian, npm, python};
use crate::pins::{self, WASM_TARGET};
use crate::process::{find_program, output};
use crate::tools;

/// A tool, or a set of tools that come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Rust's standard library for WebAssembly.
    WasmTarget,
    /// wrangler, esbuild, binaryen, and Node.js where there is none that is new enough.
    Npm,
    /// `worker-build` and `wasm-bindgen`.
    WorkerBuild,
    /// What runs tests as WebAssembly.
    WasmPack,
    /// The independent S3 server and other people's S3 clients.
    Python,
    /// The server that the worker is compared with.
    Nginx,
    /// A browser that can do without a window.
    Browser,
    /// The shared cache that stands in for the platform's.
    Varnish,
    /// Ruby with the gems by which Mastodon reads its settings and writes media.
    Ruby,
    /// What shows man pages.
    Mandoc,
    /// What runs the tests, each in a process of its own and with a limit of time.
    Nextest,
    /// What checks the licences, the sources and the known faults of the crates.
    CargoDeny,
    /// What finds dependencies that nothing uses.
    CargoMachete,
    /// The linters of spelling, of GitHub's workflows and of shell scripts.
    Linters,
    /// What makes the Debian package.
    CargoDeb,
    /// What lists the crates of a release.
    CargoCyclonedx,
    /// What builds for other systems.
    Zigbuild,
}

impl Need {
    /// What builds, runs and deploys the worker, in the order in which it can be installed.
    pub const WORKER: &[Self] = &[Self::WasmTarget, Self::Npm, Self::WorkerBuild];

    /// What the worker's tests as WebAssembly take.
    pub const WASM_TESTS: &[Self] = &[
        Self::WasmTarget,
        Self::Npm,
        Self::WorkerBuild,
        Self::WasmPack,
    ];

    /// What all tests take, in the order in which it can be installed.
    pub const TESTS: &[Self] = &[
        Self::WasmTarget,
        Self::Npm,
        Self::WorkerBuild,
        Self::WasmPack,
        Self::Nextest,
        Self::Python,
        Self::Nginx,
        Self::Browser,
        Self::Varnish,
        Self::Ruby,
        Self::Mandoc,
        Self::CargoDeb,
    ];

    /// What only the gates of `cargo xtask ci` take.
    pub const LINTS: &[Self] = &[Self::CargoDeny, Self::CargoMachete, Self::Linters];

    /// What only a release takes.
    pub const RELEASE: &[Self] = &[Self::CargoDeb, Self::CargoCyclonedx, Self::Zigbuild];

    /// Everything that gates and tests take.
    pub fn all() -> Vec<Self> {
        [Self::TESTS, Self::LINTS].concat()
    }

    /// Where it is: the system's own before what was installed into `cache`.
    ///
    /// # Errors
    /// Fails when a variable names a program that is not there, or a lock file cannot be read.
    pub fn locate(self, cache: &Path) -> Result<Option<PathBuf>> {
        match self {
            Self::WasmTarget => Ok(crates::target_directory(WASM_TARGET)),
            Self::Npm => npm::installed(cache),
            Self::WorkerBuild => crates::worker_build(cache),
            Self::WasmPack => Ok(crates::program(cache, "wasm-pack", pins::WASM_PACK)),
            Self::Python => Ok(python::installed(cache, pins::PYTHON)),
            Self::Nginx => Ok(tools::nginx()?.or_else(|| python::nginx(cache))),
            Self::Browser => Ok(tools::browser()?.or_else(|| browser::installed(cache))),
            Self::Varnish => {
                Ok(find_program("varnishd").or_else(|| debian::unpacked(cache, "varnishd")))
            }
            Self::Ruby => Ok(tools::ruby().or_else(|| debian::unpacked(cache, "ruby"))),
            Self::Mandoc => {
                Ok(find_program("mandoc").or_else(|| debian::unpacked(cache, "mandoc")))
            }
            Self::Nextest => {
                Ok(tools::nextest()
                    .or_else(|| crates::program(cache, "cargo-nextest", pins::NEXTEST)))
            }
            Self::CargoDeny => Ok(crates::program(cache, "cargo-deny", pins::CARGO_DENY)),
            Self::CargoMachete => Ok(crates::program(cache, "cargo-machete", pins::CARGO_MACHETE)),
            Self::Linters => Ok(python::installed(cache, pins::LINTERS)),
            Self::CargoDeb => Ok(crates::program(cache, "cargo-deb", pins::CARGO_DEB)),
            Self::CargoCyclonedx => Ok(crates::program(
                cache,
                "cargo-cyclonedx",
                pins::CARGO_CYCLONEDX,
            )),
            Self::Zigbuild => Ok(python::installed(cache, pins::ZIGBUILD)),
        }
    }

    /// Installs it into the cache, without root.
    pub(super) fn get(self, installer: &Installer) -> Result<()> {
        match self {
            Self::WasmTarget => crates::add_target(installer, WASM_TARGET),
            Self::Npm => npm::install(installer),
            Self::WorkerBuild => crates::install_worker_build(installer),
            Self::WasmPack => crates::install_program(installer, "wasm-pack", pins::WASM_PACK),
            Self::Python => python::install(installer, pins::PYTHON),
            Self::Nginx => python::install_nginx(installer),
            Self::Browser => browser::install(installer),
            Self::Varnish => debian::unpack(installer, "varnishd", pins::DEBIAN_VARNISH),
            Self::Ruby => debian::unpack(installer, "ruby", pins::DEBIAN_RUBY),
            Self::Mandoc => debian::unpack(installer, "mandoc", &["mandoc"]),
            Self::Nextest => crates::install_program(installer, "cargo-nextest", pins::NEXTEST),
            Self::CargoDeny => crates::install_program(installer, "cargo-deny", pins::CARGO_DENY),
            Self::CargoMachete => {
                crates::install_program(installer, "cargo-machete", pins::CARGO_MACHETE)
            }
            Self::Linters => python::install(installer, pins::LINTERS),
            Self::CargoDeb => crates::install_program(installer, "cargo-deb", pins::CARGO_DEB),
            Self::CargoCyclonedx => {
                crates::install_program(installer, "cargo-cyclonedx", pins::CARGO_CYCLONEDX)
            }
            Self::Zigbuild => python::install(installer, pins::ZIGBUILD),
        }
    }

    /// Whether the system has what its package manager could give: the tool itself, or for those that
    /// are never the system's what installs them.
    pub(super) fn is_on_system(self) -> bool {
        match self {
            Self::WasmTarget
            | Self::Nextest
            | Self::CargoDeny
            | Self::CargoMachete
            | Self::CargoDeb
            | Self::CargoCyclonedx => true,
            Self::Npm => find_program("npm").is_some(),
            Self::WorkerBuild | Self::WasmPack => {
                find_program("cc").is_some()
                    && output("pkg-config", &["--exists", "openssl"]).is_some()
            }
            Self::Python | Self::Linters | Self::Zigbuild => python::can_make_environments(),
            Self::Nginx => matches!(tools::nginx(), Ok(Some(_))),
            Self::Browser => matches!(tools::browser(), Ok(Some(_))),
            Self::Varnish => find_program("varnishd").is_some(),
            Self::Mandoc => find_program("mandoc").is_some(),
            Self::Ruby => tools::ruby().is_some(),
        }
    }

    /// About how long an installation takes, to be shown.
    pub(super) const fn duration(self) -> &'static str {
        match self {
            Self::WorkerBuild => "about 4 minutes",
            Self::WasmPack | Self::CargoDeny => "about 3 minutes",
            Self::Nextest => "about 5 minutes",
            _ => "under a minute",
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WasmTarget => "Rust's standard library for WebAssembly",
            Self::Npm => "npm packages (wrangler, Node.js, esbuild, binaryen)",
            Self::WorkerBuild => "worker-build and wasm-bindgen",
            Self::WasmPack => "wasm-pack",
            Self::Python => "Python packages (SeaweedFS, S3 clients)",
            Self::Nginx => "nginx",
            Self::Browser => "a browser",
            Self::Varnish => "Varnish",
            Self::Ruby => "Ruby with Mastodon's S3 client",
            Self::Mandoc => "mandoc",
            Self::Nextest => "cargo-nextest",
            Self::CargoDeny => "cargo-deny",
            Self::CargoMachete => "cargo-machete",
            Self::Linters => "linters of PyPI (shellcheck, typos, zizmor)",
            Self::CargoDeb => "cargo-deb",
            Self::CargoCyclonedx => "cargo-cyclonedx",
            Self::Zigbuild => "cargo-zigbuild and zig",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn what_builds_and_tests_the_worker_is_among_what_all_tests_take() {
        for need in Need::WORKER.iter().chain(Need::WASM_TESTS) {
            assert!(Need::TESTS.contains(need), "{need}");
        }
    }
}
