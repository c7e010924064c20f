//! Rust's standard library for WebAssembly: rustup's where rustup can download, else Debian's source
//! compiled by Debian's Rust into a sysroot of our own. Nothing is written into `/usr/lib/rustlib`, and
//! rustup's default toolchain stays what it is.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Workshop, debian};
use crate::pins::{DEBIAN_RUST, WASM_TARGET};
use crate::process::{find_program, output};
use crate::tools;

/// `rustc` of the assembled sysroot: Debian's, looking for its libraries in ours.
const WRAPPER: &str = "#!/bin/sh\nexec /usr/bin/rustc --sysroot \"$(dirname \"$(dirname \"$(readlink -f \"$0\")\")\")\" \"$@\"\n";

/// Gets a standard library for WebAssembly, the ordinary way first.
pub(super) fn install(workshop: &Workshop) -> Result<()> {
    if find_program("rustup").is_some() {
        let mut add = Command::new("rustup");
        add.args(["target", "add", WASM_TARGET])
            .current_dir("/")
            .env_remove("RUSTUP_TOOLCHAIN");
        if workshop.run(add).is_ok() && tools::find_wasm_rust(&workshop.cache).is_some() {
            return Ok(());
        }
        eprintln!(
            "setup: rustup cannot download it here, building it from Debian's source instead"
        );
    }
    let source = Path::new("/usr/lib/rustlib/src/rust/library/Cargo.lock");
    if !source.exists()
        || !Path::new("/usr/bin/rustc").exists()
        || !Path::new("/usr/bin/cargo").exists()
    {
        debian::install(workshop, DEBIAN_RUST)?;
    }
    if tools::find_wasm_rust(&workshop.cache).is_some() {
        return Ok(());
    }
    let Some(sysroot) = tools::sysroot_directory(&workshop.cache) else {
        bail!("`/usr/bin/rustc` does not run")
    };
    // Looked for before the minutes of compiling, not after.
    if linker().is_none() {
        debian::install(workshop, &["lld"])?;
    }
    let libraries = build_std(workshop)?;
    workshop.install_into(&sysroot, |directory| assemble(directory, &libraries))?;
    fs::remove_dir_all(build_directory(workshop)).ok();
    Ok(())
}

fn build_directory(workshop: &Workshop) -> PathBuf {
    workshop.cache.join("compile/std-for-wasm")
}

/// Compiles the standard library and returns the directory that its `.rlib` files are in.
fn build_std(workshop: &Workshop) -> Result<PathBuf> {
    let project = build_directory(workshop);
    fs::create_dir_all(project.join("src"))?;
    fs::write(
        project.join("Cargo.toml"),
        "[package]\nname = \"std-for-wasm\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n",
    )?;
    fs::write(project.join("src/lib.rs"), "#![no_std]\n")?;
    let mut build = Command::new("/usr/bin/cargo");
    build
        .args([
            "build",
            "--release",
            "-Zbuild-std=std,panic_abort",
            "--target",
            WASM_TARGET,
        ])
        .current_dir(&project)
        // The standard library is compiled with unstable features, by the very compiler it belongs to.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("RUSTC", "/usr/bin/rustc")
        .env("CARGO_TARGET_DIR", project.join("target"));
    for left in [
        "CARGO",
        "RUSTUP_TOOLCHAIN",
        "RUSTFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "RUSTC_WRAPPER",
    ] {
        build.env_remove(left);
    }
    workshop.run(build)?;
    Ok(project
        .join("target")
        .join(WASM_TARGET)
        .join("release/deps"))
}

/// Lays out a sysroot: our libraries for WebAssembly, Debian's own for the host, and a linker.
fn assemble(sysroot: &Path, libraries: &Path) -> Result<()> {
    let Some(version) = output("/usr/bin/rustc", &["--version", "--verbose"]) else {
        bail!("`/usr/bin/rustc` does not run")
    };
    let Some(host) = version.lines().find_map(|line| line.strip_prefix("host: ")) else {
        bail!("`/usr/bin/rustc` does not name its host")
    };
    let wasm = sysroot.join("lib/rustlib").join(WASM_TARGET).join("lib");
    fs::create_dir_all(&wasm)?;
    for entry in
        fs::read_dir(libraries).with_context(|| format!("cannot read `{}`", libraries.display()))?
    {
        let entry = entry?;
        let name = entry.file_name();
        let text = name.to_string_lossy();
        if text.ends_with(".rlib") && !text.starts_with("libstd_for_wasm-") {
            fs::copy(entry.path(), wasm.join(&name))
                .with_context(|| format!("cannot copy `{text}`"))?;
        }
    }
    let native = sysroot.join("lib/rustlib").join(host);
    fs::create_dir_all(native.join("bin"))?;
    symlink(
        Path::new("/usr/lib/rustlib").join(host).join("lib"),
        native.join("lib"),
    )?;
    let linker = linker()
        .context("there is no linker for WebAssembly: neither `rust-lld` of rustup nor `lld`")?;
    symlink(linker, native.join("bin/rust-lld"))?;

    let bin = sysroot.join("bin");
    fs::create_dir_all(&bin)?;
    symlink("/usr/bin/cargo", bin.join("cargo"))?;
    let rustc = bin.join("rustc");
    fs::write(&rustc, WRAPPER)?;
    fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// The linker of rustup's toolchain, else LLVM's.
fn linker() -> Option<PathBuf> {
    let ours = || {
        let sysroot = output("rustc", &["--print", "sysroot"])?;
        let host = output("rustc", &["--print", "host-tuple"])?;
        let linker = Path::new(&sysroot)
            .join("lib/rustlib")
            .join(host)
            .join("bin/rust-lld");
        linker.exists().then_some(linker)
    };
    ours().or_else(|| find_program("lld"))
}
