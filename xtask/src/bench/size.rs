//! How big the worker is, what each choice of its build is worth, and which crates its code is from.
//!
//! The worker as it is shipped is what `cargo xtask build` makes. The other figures are of the same
//! three steps (cargo, `wasm-bindgen`, `wasm-opt`) with one choice made otherwise; what comes of each
//! has a directory of its own and is kept until the worker's sources change.

mod crates;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::report::{Report, Target};
use crate::build::{self, Size};
use crate::pins::WASM_TARGET;
use crate::process::run_logged;
use crate::tools::Tools;

const PLAIN: &str = "kB";
const GZIPPED: &str = "kB gzipped";

/// How the worker is compiled; see `PROFILE` in `build.rs`.
#[derive(Clone, Copy)]
struct Profile {
    opt_level: &'static str,
    lto: &'static str,
}

/// As it is shipped.
const SHIPPED: Profile = Profile {
    opt_level: build::OPT_LEVEL,
    lto: "fat",
};

/// What `worker/Cargo.toml` has `worker-build` do.
const SHIPPED_OPTIMISER: &str = "-Oz --converge";

/// One choice made otherwise than in what is shipped.
struct Variant {
    /// Which choice, and what it is here.
    choice: &'static str,
    value: &'static str,
    profile: Profile,
    /// Arguments of `wasm-opt`; empty: it is left out.
    optimiser: &'static str,
    /// Whether names of functions are kept.
    names: bool,
}

const fn variant(choice: &'static str, value: &'static str) -> Variant {
    Variant {
        choice,
        value,
        profile: SHIPPED,
        optimiser: SHIPPED_OPTIMISER,
        names: false,
    }
}

const fn profile(opt_level: &'static str, lto: &'static str) -> Profile {
    Profile { opt_level, lto }
}

/// The first of each choice is what is shipped.
const VARIANTS: [Variant; 9] = [
    variant("opt-level", SHIPPED.opt_level),
    Variant {
        profile: profile("z", "fat"),
        ..variant("opt-level", "z")
    },
    Variant {
        profile: profile("3", "fat"),
        ..variant("opt-level", "3")
    },
    variant("lto", "fat"),
    Variant {
        profile: profile(SHIPPED.opt_level, "thin"),
        ..variant("lto", "thin")
    },
    variant("wasm-opt", SHIPPED_OPTIMISER),
    Variant {
        optimiser: "-O3",
        ..variant("wasm-opt", "-O3")
    },
    Variant {
        optimiser: "",
        ..variant("wasm-opt", "none")
    },
    Variant {
        names: true,
        ..variant("names of functions", "kept")
    },
];

/// What was measured of a variant before.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// What it was made from.
    inputs: String,
    plain: u64,
    gzipped: u64,
}

/// Builds the variants and weighs them.
///
/// # Errors
/// Fails when one does not build.
pub(super) fn measure() -> Result<Report> {
    let tools = Tools::load()?;
    let mut report = Report::default();
    let shipped = build::worker(&tools)?;
    add(&mut report, "the worker", "as it is shipped", shipped);
    for (number, variant) in VARIANTS.iter().enumerate() {
        eprintln!(
            "bench: size: {} of {}: {} {}",
            number + 1,
            VARIANTS.len(),
            variant.choice,
            variant.value
        );
        let size = weigh(&tools, variant)?;
        add(&mut report, variant.choice, variant.value, size);
    }
    eprintln!("bench: size: whose code it is");
    let named = compiled(&tools, SHIPPED)?.with_extension("named.wasm");
    for (name, bytes) in crates::of(&tools, &named)? {
        report.add("code of a crate", &name, PLAIN, kilobytes(bytes));
    }
    for (what, size, bound) in [
        ("index_bg.wasm, kB", shipped.plain, build::BUDGET.plain),
        (
            "index_bg.wasm, kB gzipped",
            shipped.gzipped,
            build::BUDGET.gzipped,
        ),
    ] {
        report
            .targets
            .push(Target::at_most(what, kilobytes(size), kilobytes(bound)));
    }
    report.notes = vec![
        format!(
            "The worker is shipped with `opt-level = \"{}\"`, fat LTO, without names of functions, and after `wasm-opt {SHIPPED_OPTIMISER}`. In each line below one of these choices is made otherwise. Those lines are made with the same tools but without the wrapping that `worker-build` adds, so the shipped choice differs a little from the shipped file.",
            SHIPPED.opt_level
        ),
        "The allocator is `rlsf`. With the one of the standard library (`dlmalloc`) the worker had 310 kB, 138 kB gzipped, when that was tried; and its `malloc` is called before the first request and takes 0.1 ms to compile, a fiftieth of an isolate's start.".to_owned(),
        "Code of a crate: bytes of the functions whose names begin with the crate's, after `wasm-opt`. Code that is inlined counts for whom it is inlined into, and data (strings, tables) is not counted.".to_owned(),
    ];
    Ok(report)
}

fn add(report: &mut Report, choice: &str, value: &str, size: Size) {
    report.add(choice, value, PLAIN, kilobytes(size.plain));
    report.add(choice, value, GZIPPED, kilobytes(size.gzipped));
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}

/// A variant's size, from the last time if nothing has changed since.
fn weigh(tools: &Tools, variant: &Variant) -> Result<Size> {
    let inputs = build::fingerprint(tools, &crate::root().join("worker"))?;
    let kept = directory(variant.profile).join(format!(
        "{}{}.json",
        variant.optimiser.replace([' ', '-'], ""),
        if variant.names { "-named" } else { "" }
    ));
    let before = fs::read_to_string(&kept)
        .ok()
        .and_then(|text| serde_json::from_str::<Kept>(&text).ok())
        .filter(|before| before.inputs == inputs);
    if let Some(Kept { plain, gzipped, .. }) = before {
        return Ok(Size { plain, gzipped });
    }
    let bound = compiled(tools, variant.profile)?;
    let size = optimised(tools, &bound, variant)?;
    let text = serde_json::to_string(&Kept {
        inputs,
        plain: size.plain,
        gzipped: size.gzipped,
    })?;
    fs::write(&kept, text).with_context(|| format!("cannot write `{}`", kept.display()))?;
    Ok(size)
}

/// Where what comes of a profile is kept.
fn directory(profile: Profile) -> PathBuf {
    crate::target_directory().join(format!("size/{}-{}", profile.opt_level, profile.lto))
}

/// Where all profiles are compiled: what runs while compiling is the same for each.
fn workshop() -> PathBuf {
    crate::target_directory().join("size/cargo")
}

/// Compiles and binds the worker, with names: the WebAssembly as `wasm-opt` gets it.
fn compiled(tools: &Tools, profile: Profile) -> Result<PathBuf> {
    let target = directory(profile);
    fs::create_dir_all(&target).with_context(|| format!("cannot create `{}`", target.display()))?;
    let log = target.join("build.log");
    fs::remove_file(&log).ok();
    let mut command = Command::new(tools.wasm_cargo());
    command
        .args(["build", "--release", "--lib", "--package", "edge-worker"])
        .args(["--target", WASM_TARGET])
        .current_dir(crate::root());
    tools.apply_wasm_environment(&mut command);
    command
        .envs(build::PROFILE)
        .envs(build::flags())
        .env("CARGO_TARGET_DIR", workshop())
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", profile.opt_level)
        .env("CARGO_PROFILE_RELEASE_LTO", profile.lto)
        .env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    run_logged("`cargo build`", command, &log)?;
    let mut command = Command::new(&tools.wasm_bindgen);
    command
        .args(["--target", "web", "--no-typescript", "--out-dir"])
        .arg(target.join("bound"))
        .arg(
            workshop()
                .join(WASM_TARGET)
                .join("release/edge_worker.wasm"),
        );
    run_logged("`wasm-bindgen`", command, &log)?;
    Ok(target.join("bound/edge_worker_bg.wasm"))
}

/// Runs `wasm-opt` as the variant wants it; with names, the result stays beside the input.
fn optimised(tools: &Tools, bound: &Path, variant: &Variant) -> Result<Size> {
    let output = bound.with_extension(if variant.names {
        "named.wasm"
    } else {
        "optimised.wasm"
    });
    let log = bound.with_extension("log");
    let mut command = Command::new(&tools.wasm_opt);
    command.arg(bound).arg("-o").arg(&output);
    command.args(variant.optimiser.split_whitespace());
    command.args(crates::FEATURES);
    if variant.names {
        command.arg("--debuginfo");
    } else {
        command.arg("--strip-debug");
    }
    command.env("PATH", tools.path());
    run_logged("`wasm-opt`", command, &log)?;
    build::weigh(&output)
}
