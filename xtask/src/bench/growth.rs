//! How `medialift sync` takes more files, and larger ones.
//!
//! More files: the same small files, 1,000 to 100,000 of them (a million with `BENCH_MILLION=1`), all
//! to be sent, then nothing to do. Larger files: [`large`].

mod large;

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::report::{Plot, Report, Target};
use crate::build;
use crate::process::scratch_directory;
use crate::scale::{ScaleOptions, count, make_tree, sync_command};
use crate::setup::debian_program;
use crate::stack::{Bodies, Origin, OriginOptions, Profile};
use crate::usage::{Meter, Usage};

/// The trees, by their number of files.
const SIZES: [u64; 3] = [1_000, 10_000, 100_000];

/// With this in the environment a million files are measured too, which takes minutes.
const MILLION: &str = "BENCH_MILLION";

/// The runs over one tree, in this order.
const RUNS: [&str; 3] = ["all to send", "nothing to do", "nothing to do, no journal"];

const PER_FILE: &str = "time a file, µs";
const PEAK: &str = "peak, MiB";
const OURS: &str = "medialift";

/// Measures.
pub(super) fn measure() -> Result<Report> {
    debian_program("time").context("cannot measure without `time`")?;
    build::programs_of(Profile::Release)?;
    let mut sizes = SIZES.to_vec();
    if std::env::var_os(MILLION).is_some() {
        sizes.push(1_000_000);
    }
    let mut report = Report {
        notes: vec![
            "More files: as many as the line says, of some 30 bytes each, a thousand to a directory, are \
             sent to a server of their own on loopback; then the same command twice more, with the \
             journal and without one, when every file is read and compared. Time is that of the whole \
             command divided by the number of files."
                .to_owned(),
        ],
        ..Report::default()
    };
    for files in &sizes {
        more_files(&mut report, *files)?;
    }
    flatness(&mut report, &sizes);
    plots(&mut report, &sizes);
    large::measure(&mut report)?;
    Ok(report)
}

/// Three runs over a tree of `files` files.
fn more_files(report: &mut Report, files: u64) -> Result<()> {
    let scratch = scratch_directory("bench-growth")?;
    let meter = Meter::new(&scratch)?;
    let tree = scratch.path().join("system");
    let origin = Origin::start(OriginOptions {
        profile: Profile::Release,
        bodies: Bodies::Discarded,
        ..OriginOptions::default()
    })?;
    let missing = files;
    make_tree(&tree, &origin, ScaleOptions { files, missing })?;
    for (what, state) in RUNS.into_iter().zip(["state", "state", "other-state"]) {
        let state = scratch.path().join(state);
        let (usage, uploaded, unchanged) = sync(&meter, &origin, &tree, &state)?;
        let sent = if what == RUNS[0] { files } else { 0 };
        ensure!(
            (uploaded, unchanged) == (sent, files - sent),
            "`medialift sync` of {files} files, {what}: {uploaded} sent, {unchanged} unchanged"
        );
        let held = origin.totals("media")?.objects;
        ensure!(held == files, "the bucket holds {held} of {files} objects");
        let per_file = usage.wall / files as f64 * 1e6;
        let peak = usage.peak_kib as f64 / 1024.0;
        eprintln!(
            "bench: growth: {files} files, {what}: {:.2} s, {per_file:.1} µs a file, {peak:.1} MiB",
            usage.wall
        );
        let case = case(files, what);
        report.add(&case, OURS, PER_FILE, per_file);
        report.add(&case, OURS, PEAK, peak);
    }
    Ok(())
}

fn case(files: u64, what: &str) -> String {
    format!("{files} files, {what}")
}

/// A run, and how many files it sent and left alone.
fn sync(meter: &Meter, origin: &Origin, tree: &Path, state: &Path) -> Result<(Usage, u64, u64)> {
    let command = sync_command(Profile::Release, origin, tree, state)?;
    let (usage, summary) = meter.run("`medialift sync`", &command)?;
    let summary: serde_json::Value =
        serde_json::from_str(&summary).context("`medialift sync --json` printed no JSON")?;
    Ok((
        usage,
        count(&summary, "uploaded")?,
        count(&summary, "unchanged")?,
    ))
}

/// Flat: the largest tree takes no more, for each file and in all, than one a tenth as large.
fn flatness(report: &mut Report, sizes: &[u64]) {
    let [.., tenth, most] = sizes else { return };
    for what in RUNS {
        for (quantity, name) in [(PER_FILE, "time a file"), (PEAK, "peak memory")] {
            let ratio = report.median(&case(*most, what), OURS, quantity)
                / report.median(&case(*tenth, what), OURS, quantity);
            report.targets.push(Target::at_most(
                format!("{what}: {name}, {most} files ÷ {tenth} files"),
                ratio,
                1.25,
            ));
        }
        let peak = report.median(&case(*most, what), OURS, PEAK);
        report.targets.push(Target::at_most(
            format!("{most} files, {what}: peak memory, MiB"),
            peak,
            32.0,
        ));
    }
}

fn plots(report: &mut Report, sizes: &[u64]) {
    for (quantity, name, title) in [
        (PER_FILE, "growth-time", "Time a file over files"),
        (PEAK, "growth-memory", "Peak memory over files"),
    ] {
        let line = |what: &&str| {
            let point = |files: &u64| {
                let value = report.median(&case(*files, what), OURS, quantity);
                (*files as f64, value)
            };
            ((*what).to_owned(), sizes.iter().map(point).collect())
        };
        let lines = RUNS.iter().map(line).collect();
        report.plots.push(Plot {
            name: name.to_owned(),
            title: title.to_owned(),
            x: "files".to_owned(),
            y: quantity.to_owned(),
            lines,
        });
    }
}
