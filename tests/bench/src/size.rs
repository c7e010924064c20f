//! How big the worker is, and what the compiler's choice of optimisation is worth. Whose code it is, `twiggy`
//! tells.

use anyhow::Result;

use super::report::{Report, Target};
use testkit::build::{self, Size};
use testkit::tools::Tools;

const PLAIN: &str = "kB";
const GZIPPED: &str = "kB gzipped";

/// What the worker is to weigh at most. [`build::BUDGET`], which `cargo xtask ci` holds, is wider.
const BOUND: Size = Size {
    plain: 400_000,
    gzipped: 170_000,
};

/// `opt-level` of the profile `worker` in `Cargo.toml`; the first is what is shipped.
const OPT_LEVELS: [&str; 3] = ["z", "s", "3"];

/// Builds the variants and weighs them.
///
/// # Errors
/// Fails when one does not build.
pub(super) fn measure() -> Result<Report> {
    let tools = Tools::load()?;
    let mut report = Report::default();
    let shipped = build::worker(&tools)?;
    add(&mut report, "the worker", "as it is shipped", shipped);
    for level in OPT_LEVELS {
        let size = if level == OPT_LEVELS[0] {
            shipped
        } else {
            eprintln!("bench: size: opt-level {level}");
            let output = testkit::target_directory().join(format!("size/{level}"));
            let environment = [("CARGO_PROFILE_WORKER_OPT_LEVEL", level)];
            build::build_worker(&tools, &output, &[], &environment)?;
            build::weigh(&output.join("index_bg.wasm"))?
        };
        add(&mut report, "opt-level", level, size);
    }
    for (what, size, bound) in [
        ("index_bg.wasm, kB", shipped.plain, BOUND.plain),
        ("index_bg.wasm, kB gzipped", shipped.gzipped, BOUND.gzipped),
    ] {
        report
            .targets
            .push(Target::at_most(what, kilobytes(size), kilobytes(bound)));
    }
    report.notes = vec![
        "The worker is shipped as `worker/build.sh` makes it: the profile `worker` of `Cargo.toml`, `wasm-opt -Oz`, and no names of functions.".to_owned(),
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
