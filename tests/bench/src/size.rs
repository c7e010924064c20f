//! How big the worker is. `twiggy` shows which code that is.

use anyhow::Result;

use super::report::{Report, Target};
use testkit::build::{self, Size};
use testkit::tools::Tools;

/// What the worker is to weigh at most. [`build::BUDGET`], which `cargo xtask ci` holds, is wider.
const BOUND: Size = Size {
    plain: 400_000,
    gzipped: 170_000,
};

/// Builds the worker as it is shipped and weighs it.
///
/// # Errors
/// Fails when it does not build.
pub(super) fn measure() -> Result<Report> {
    let shipped = build::worker(&Tools::load()?)?;
    let mut report = Report::default();
    for (unit, size, bound) in [
        ("kB", shipped.plain, BOUND.plain),
        ("kB gzipped", shipped.gzipped, BOUND.gzipped),
    ] {
        report.add("the worker", "as it is shipped", unit, kilobytes(size));
        report.targets.push(Target::at_most(
            format!("index_bg.wasm, {unit}"),
            kilobytes(size),
            kilobytes(bound),
        ));
    }
    report.notes = vec![
        "The worker is shipped as `worker/build.sh` makes it: the profile `worker` of `Cargo.toml`, `wasm-opt -Oz`, and no names of functions.".to_owned(),
    ];
    Ok(report)
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn kilobytes(bytes: u64) -> f64 {
    bytes as f64 / 1000.0
}
