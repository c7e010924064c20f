//! `cargo xtask build`: the worker as WebAssembly, in `worker/build`, and how big it is.

pub(crate) mod steps;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use walkdir::WalkDir;

use crate::progress;
use crate::stack::Profile;
use crate::tools::{Tools, WasmRust};

/// What the worker may weigh. Cloudflare's limit on the free plan is 3 MB gzipped; what costs first is
/// the start of an isolate.
pub(crate) const BUDGET: Size = Size {
    plain: 350_000,
    gzipped: 140_000,
};

/// Size of the worker's WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes as they are.
    pub plain: u64,
    /// Bytes as Cloudflare counts them against its limit: compressed.
    pub gzipped: u64,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} kB, {} kB gzipped",
            self.plain.div_ceil(1000),
            self.gzipped.div_ceil(1000)
        )
    }
}

/// Builds the worker unless what it is made from has not changed since.
///
/// # Errors
/// Fails when it does not compile, with the compiler's own words.
pub fn worker(tools: &Tools) -> Result<Size> {
    let directory = crate::root().join("worker");
    let output = directory.join("build");
    let shipped = output.join("index_bg.wasm");
    // Beside what it is about, so that it goes with it.
    let stamp = output.join("inputs");
    let inputs = fingerprint(tools, &directory)?;
    let made = [
        &shipped,
        &output.join("index.js"),
        &bound().join("index_bg.wasm"),
        &bound().join("index.js"),
    ];
    if made.iter().all(|file| file.exists())
        && fs::read_to_string(&stamp).is_ok_and(|old| old == inputs)
    {
        return weigh(&shipped);
    }
    eprintln!("build: the edge worker (about 2 minutes the first time)");
    let start = Instant::now();
    // Beside the native build: two compilers would spoil each other's work.
    let workshop = crate::target_directory().join("wasm");
    fs::create_dir_all(&workshop)
        .with_context(|| format!("cannot create `{}`", workshop.display()))?;
    let wasm = steps::bind(
        tools,
        steps::SHIPPED,
        &workshop,
        &bound(),
        &workshop.join("build.log"),
    )
    .context("cannot build the edge worker")?;
    let optimised = wasm.with_extension("optimised.wasm");
    steps::optimise(tools, &wasm, steps::OPTIMISER, false, &optimised)?;
    // Whatever was there before is gone, and for as short a time as may be.
    if output.exists() {
        fs::remove_dir_all(&output)
            .with_context(|| format!("cannot remove `{}`", output.display()))?;
    }
    fs::create_dir_all(&output).with_context(|| format!("cannot create `{}`", output.display()))?;
    fs::copy(&optimised, &shipped)
        .with_context(|| format!("cannot write `{}`", shipped.display()))?;
    steps::glue(tools, &bound(), false, &output.join("index.js"))?;
    fs::write(&stamp, &inputs).with_context(|| format!("cannot write `{}`", stamp.display()))?;
    let size = weigh(&shipped)?;
    eprintln!(
        "build: done in {}, {size}",
        progress::duration(start.elapsed())
    );
    Ok(size)
}

/// What `wasm-bindgen` has made of the worker as it is shipped, before it was optimised.
pub(crate) fn bound() -> PathBuf {
    crate::target_directory().join("wasm/bound")
}

/// Flags of the compiler for WebAssembly alone.
///
/// SHA-256 in its small form: it is run over some hundred bytes for each signature. And the places
/// that panics name are told from the crate on: where this machine keeps its crates is nobody's
/// business, and a build says the same everywhere.
pub(crate) fn flags() -> [(&'static str, String); 1] {
    let home = std::env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"),
        PathBuf::from,
    );
    let mut flags = vec![r#"--cfg=sha2_backend_soft="compact""#.to_owned()];
    let registries = fs::read_dir(home.join("registry/src")).ok();
    for registry in registries.into_iter().flatten().flatten() {
        flags.push(format!(
            "--remap-path-prefix={}/=",
            registry.path().display()
        ));
    }
    flags.sort();
    [("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))]
}

/// Builds `medialift` and `b2-origin`, as the tests and the demonstration run them.
///
/// # Errors
/// Fails when they do not compile; cargo's own words go to standard error.
pub fn programs() -> Result<()> {
    programs_of(Profile::Debug)
}

/// As [`programs`], of either profile; optimised they take minutes the first time.
///
/// # Errors
/// Fails when they do not compile; cargo's own words go to standard error.
pub fn programs_of(profile: Profile) -> Result<()> {
    let mut command = Command::new(cargo());
    command
        .args([
            "build",
            "--quiet",
            "--package",
            "medialift",
            "--package",
            "b2-origin",
        ])
        .args(["--bin", "medialift", "--bin", "b2-origin"])
        .current_dir(crate::root())
        .stdout(std::io::stderr());
    match profile {
        Profile::Debug => eprintln!("build: medialift and the origin"),
        Profile::Release => {
            command.arg("--release");
            eprintln!("build: medialift and the origin, optimised (minutes the first time)");
        }
    }
    crate::process::run("`cargo build`", command)
}

/// The cargo that runs us, else the one on `PATH`.
#[must_use]
pub fn cargo() -> PathBuf {
    std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from)
}

/// The size of a file.
pub(crate) fn weigh(file: &Path) -> Result<Size> {
    let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    let gzipped = encoder.finish()?.len();
    Ok(Size {
        plain: bytes.len() as u64,
        gzipped: gzipped as u64,
    })
}

/// A hash of all that the worker is made from: its files, the workspace's, and the tools.
pub(crate) fn fingerprint(tools: &Tools, directory: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut files: Vec<PathBuf> = ["Cargo.toml", "Cargo.lock", ".cargo/config.toml"]
        .map(|name| crate::root().join(name))
        .to_vec();
    for entry in WalkDir::new(directory).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read `{}`", directory.display()))?;
        let below = entry.path().strip_prefix(directory).unwrap_or(entry.path());
        let made = below.starts_with("build")
            || below.starts_with("node_modules")
            || below.starts_with("tests");
        if entry.file_type().is_file() && !made {
            files.push(entry.into_path());
        }
    }
    for file in files {
        let bytes = fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
        hash.update(file.as_os_str().as_encoded_bytes());
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(&bytes);
    }
    hash.update(include_str!("build/steps.rs"));
    for (name, value) in flags() {
        hash.update(name);
        hash.update(value);
    }
    for tool in [&tools.wasm_bindgen, &tools.node_modules] {
        hash.update(tool.as_os_str().as_encoded_bytes());
    }
    match &tools.rust {
        WasmRust::OnPath => {
            hash.update(
                crate::process::output("rustc", &["--version", "--verbose"]).unwrap_or_default(),
            );
        }
        WasmRust::Assembled(sysroot) => hash.update(sysroot.as_os_str().as_encoded_bytes()),
    }
    Ok(hex::encode(hash.finalize()))
}
