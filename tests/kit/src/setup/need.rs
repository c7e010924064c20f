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

    /// Everything, in the order in which it can be installed.
    pub const ALL: &[Self] = &[
        Self::WasmTarget,
        Self::Npm,
        Self::WorkerBuild,
        Self::WasmPack,
        Self::Python,
        Self::Nginx,
        Self::Browser,
        Self::Varnish,
        Self::Ruby,
    ];

    /// Where it is: the system's own before what was installed into `cache`.
    ///
    /// # Errors
    /// Fails when somebody has named a program that is not there, or a lock file cannot be read.
    pub fn locate(self, cache: &Path) -> Result<Option<PathBuf>> {
        match self {
            Self::WasmTarget => Ok(crates::target_directory(WASM_TARGET)),
            Self::Npm => npm::installed(cache),
            Self::WorkerBuild => crates::worker_build(cache),
            Self::WasmPack => Ok(crates::wasm_pack(cache)),
            Self::Python => Ok(python::installed(cache, pins::PYTHON)),
            Self::Nginx => Ok(tools::nginx()?.or_else(|| python::nginx(cache))),
            Self::Browser => Ok(tools::browser()?.or_else(|| browser::installed(cache))),
            Self::Varnish => {
                Ok(find_program("varnishd").or_else(|| debian::unpacked(cache, "varnishd")))
            }
            Self::Ruby => Ok(tools::ruby().or_else(|| debian::unpacked(cache, "ruby"))),
        }
    }

    /// Installs it into the cache, without root.
    pub(super) fn get(self, installer: &Installer) -> Result<()> {
        match self {
            Self::WasmTarget => crates::add_target(installer, WASM_TARGET),
            Self::Npm => npm::install(installer),
            Self::WorkerBuild => crates::install_worker_build(installer),
            Self::WasmPack => crates::install_wasm_pack(installer),
            Self::Python => python::install(installer, pins::PYTHON),
            Self::Nginx => python::install(installer, &[pins::NGINX]),
            Self::Browser => browser::install(installer),
            Self::Varnish => debian::unpack(installer, "varnishd", pins::DEBIAN_VARNISH),
            Self::Ruby => debian::unpack(installer, "ruby", pins::DEBIAN_RUBY),
        }
    }

    /// Whether the system has what its package manager could give: the tool itself, or for those that
    /// are never the system's what installs them.
    pub(super) fn is_on_system(self) -> bool {
        match self {
            Self::WasmTarget => true,
            Self::Npm => find_program("npm").is_some(),
            Self::WorkerBuild | Self::WasmPack => {
                find_program("cc").is_some()
                    && output("pkg-config", &["--exists", "openssl"]).is_some()
            }
            Self::Python => python::can_make_environments(),
            Self::Nginx => matches!(tools::nginx(), Ok(Some(_))),
            Self::Browser => matches!(tools::browser(), Ok(Some(_))),
            Self::Varnish => find_program("varnishd").is_some(),
            Self::Ruby => tools::ruby().is_some(),
        }
    }

    /// What to expect of an installation, for whoever waits.
    pub(super) const fn duration(self) -> &'static str {
        match self {
            Self::WorkerBuild => "about 4 minutes",
            Self::WasmPack => "about 3 minutes",
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
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Need;

    #[test]
    fn the_worker_takes_npm_packages_and_crates_and_nothing_else() {
        assert_eq!(
            Need::WORKER,
            [Need::WasmTarget, Need::Npm, Need::WorkerBuild]
        );
    }

    #[test]
    fn everything_holds_what_every_chore_names() {
        for need in Need::WORKER.iter().chain(Need::WASM_TESTS) {
            assert!(Need::ALL.contains(need), "{need}");
        }
    }
}
