//! How big the worker is, what each choice of its build is worth, and which crates its code is from.
//!
//! The worker as it is shipped is what `cargo xtask build` makes. The other figures are of the same
//! steps with one choice made otherwise; what comes of each is kept until the worker's sources change.

mod crates;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::report::{Report, Target};
use crate::build::steps::{self, OPTIMISER, Profile, SHIPPED};
use crate::build::{self, Size};
use crate::tools::Tools;

const PLAIN: &str = "kB";
const GZIPPED: &str = "kB gzipped";

/// One choice made otherwise than in what is shipped.
struct Variant {
    /// Which choice, and what it is here.
    choice: &'static str,
    value: &'static str,
    profile: Profile,
    /// Arguments of `wasm-opt`; with none it only strips.
    optimiser: &'static str,
    /// Whether names of functions are kept.
    names: bool,
}

const fn variant(choice: &'static str, value: &'static str) -> Variant {
    Variant {
        choice,
        value,
        profile: SHIPPED,
        optimiser: OPTIMISER,
        names: false,
    }
}

const fn opt_level(opt_level: &'static str) -> Variant {
    Variant {
        profile: Profile {
            opt_level,
            ..SHIPPED
        },
        ..variant("opt-level", opt_level)
    }
}

/// The first of each choice is what is shipped.
const VARIANTS: [Variant; 7] = [
    opt_level(SHIPPED.opt_level),
    opt_level("z"),
    opt_level("3"),
    variant("wasm-opt", OPTIMISER),
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
        let size = weigh(&tools, variant, shipped)?;
        add(&mut report, variant.choice, variant.value, size);
    }
    eprintln!("bench: size: whose code it is");
    let named = directory(SHIPPED).join("named.wasm");
    let code = crates::of(&tools, &named)?;
    for (name, bytes) in code.crates {
        report.add("code of a crate", &name, PLAIN, kilobytes(bytes));
    }
    for (purpose, bytes) in code.purposes {
        report.add("code for a purpose", purpose, PLAIN, kilobytes(bytes));
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
            "The worker is shipped with `opt-level = \"{}\"`, fat LTO (thin came to the same size when that was tried), without names of functions, and after `wasm-opt {OPTIMISER}`. In each line below one of these choices is made otherwise.",
            SHIPPED.opt_level
        ),
        "The allocator is `rlsf`. With the one of the standard library (`dlmalloc`) the worker had 310 kB, 138 kB gzipped, when that was tried; and its `malloc` is called before the first request and takes 0.1 ms to compile, a fiftieth of an isolate's start.".to_owned(),
        "Code of a crate: bytes of the functions whose names begin with the crate's, after `wasm-opt`. Code that is inlined counts for whom it is inlined into, and data (strings, tables) is not counted. Code for a purpose is told by words in the names of functions, in whatever crate: what is not linked has none.".to_owned(),
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
fn weigh(tools: &Tools, variant: &Variant, shipped: Size) -> Result<Size> {
    if variant.profile == SHIPPED && variant.optimiser == OPTIMISER && !variant.names {
        return Ok(shipped);
    }
    let inputs = build::fingerprint(tools, &crate::root().join("worker"))?;
    let directory = directory(variant.profile);
    let stem = directory.join(match (variant.names, variant.optimiser) {
        (true, _) => "named".to_owned(),
        (false, "") => "stripped".to_owned(),
        (false, arguments) => arguments.replace([' ', '-'], ""),
    });
    let kept = stem.with_extension("json");
    let before = fs::read_to_string(&kept)
        .ok()
        .and_then(|text| serde_json::from_str::<Kept>(&text).ok())
        .filter(|before| before.inputs == inputs);
    if let Some(Kept { plain, gzipped, .. }) = before {
        return Ok(Size { plain, gzipped });
    }
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create `{}`", directory.display()))?;
    let bound = if variant.profile == SHIPPED {
        build::bound()
    } else {
        // One place for all: what runs while compiling is the same for each.
        let workshop = crate::target_directory().join("size/cargo");
        let (bound, log) = (directory.join("bound"), directory.join("build.log"));
        steps::bind(tools, variant.profile, &workshop, &bound, &log)?;
        bound
    };
    let output = stem.with_extension("wasm");
    steps::optimise(
        tools,
        &bound.join("index_bg.wasm"),
        variant.optimiser,
        variant.names,
        &output,
    )?;
    let size = build::weigh(&output)?;
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
