//! How `medialift sync` takes more files, and larger ones.
//!
//! More files: the same small files, 1,000 to 1,000,000 of them, all to be sent, then nothing to do.
//! Larger files: [`large`].

mod large;

pub(super) use large::check_disk;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::report::{Plot, Report, Target};
use super::rounds;
use crate::scale::{ScaleOptions, count, make_tree, remove_tree, sync_command};
use crate::usage::{Meter, Usage};
use testkit::process::{ScratchDirectory, scratch_directory};
use testkit::stack::{Bodies, Origin, OriginOptions, Profile};

/// The trees, by their number of files.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// How often each tree is looked at again at most, in turn with the others, and how long that may take.
const ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_secs(70);

/// Uploads at once. Left to itself, a longer run finds time to try more of them at once, which takes
/// memory of its own: here the number of files is to be all that differs.
const AT_ONCE: &str = "32";

const FIRST: &str = "all to send";
const AGAIN: &str = "nothing to do";
const WITHOUT_JOURNAL: &str = "nothing to do, no journal";

/// The runs over one tree, in this order.
const RUNS: [&str; 3] = [FIRST, AGAIN, WITHOUT_JOURNAL];

const PER_FILE: &str = "time a file, µs";
const PEAK: &str = "peak, MiB";
const OURS: &str = "medialift";

/// Measures.
pub(super) fn measure() -> Result<Report> {
    let mut report = Report {
        notes: vec![format!(
            "More files: as many as the line says, of some 30 bytes each, a thousand to a directory, are \
             sent once to a server of their own on loopback, {AT_ONCE} at once: left to itself, a longer run \
             finds time to try more at once, which takes memory of its own (the part `sync` shows how \
             much). Then the same command again, with the journal and without one, when every file is read \
             and compared, in rounds, all trees in turn. Time is that of the whole command divided by \
             the number of files; a plain `find` with a look at each file's size takes up to a fifth longer \
             for each of a million files than for each of 100,000."
        )],
        ..Report::default()
    };
    let mut stands = Vec::new();
    for files in SIZES {
        let stand = Stand::make(files)?;
        // What was just made is still being written.
        rustix::fs::sync();
        stand.run(&mut report, FIRST, "state")?;
        stands.push(stand);
    }
    for round in rounds(2, ROUNDS, BUDGET) {
        for stand in &stands {
            stand.run(&mut report, AGAIN, "state")?;
            stand.run(&mut report, WITHOUT_JOURNAL, &format!("state-{round}"))?;
        }
    }
    for stand in stands {
        remove_tree(&stand.tree)?;
    }
    flatness(&mut report);
    plots(&mut report);
    large::measure(&mut report)?;
    Ok(report)
}

/// A tree and the server it is sent to.
struct Stand {
    files: u64,
    tree: PathBuf,
    origin: Origin,
    meter: Meter,
    scratch: ScratchDirectory,
}

impl Stand {
    fn make(files: u64) -> Result<Self> {
        let scratch = scratch_directory("bench-growth")?;
        let tree = scratch.path().join("system");
        let origin = Origin::start(OriginOptions {
            profile: Profile::Release,
            bodies: Bodies::Discarded,
            ..OriginOptions::default()
        })?;
        let missing = files;
        make_tree(&tree, &origin, ScaleOptions { files, missing })?;
        Ok(Self {
            files,
            tree,
            origin,
            meter: Meter::new(&scratch)?,
            scratch,
        })
    }

    /// One run, its journal in the directory `state`, and a look whether it did what it should.
    fn run(&self, report: &mut Report, what: &str, state: &str) -> Result<()> {
        let files = self.files;
        let state = self.scratch.path().join(state);
        let (usage, uploaded, unchanged) = sync(
            &self.meter,
            &self.origin,
            &self.tree,
            &state,
            &["--concurrency", AT_ONCE],
        )?;
        let sent = if what == FIRST { files } else { 0 };
        ensure!(
            (uploaded, unchanged) == (sent, files - sent),
            "`medialift sync` of {files} files, {what}: {uploaded} sent, {unchanged} unchanged"
        );
        let held = self.origin.totals("media")?.objects;
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
        Ok(())
    }
}

fn case(files: u64, what: &str) -> String {
    format!("{files} files, {what}")
}

/// A run with `more` arguments, and how many files it sent and left alone.
fn sync(
    meter: &Meter,
    origin: &Origin,
    tree: &Path,
    state: &Path,
    more: &[&str],
) -> Result<(Usage, u64, u64)> {
    let mut command = sync_command(Profile::Release, origin, tree, state)?;
    command.args(more);
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
fn flatness(report: &mut Report) {
    let [.., tenth, most] = SIZES;
    for what in RUNS {
        for (quantity, name) in [(PER_FILE, "time a file"), (PEAK, "peak memory")] {
            let ratio = report.median(&case(most, what), OURS, quantity)
                / report.median(&case(tenth, what), OURS, quantity);
            report.targets.push(Target::at_most(
                format!("{what}: {name}, {most} files ÷ {tenth} files"),
                ratio,
                1.25,
            ));
        }
        let peak = report.median(&case(most, what), OURS, PEAK);
        report.targets.push(Target::at_most(
            format!("{most} files, {what}: peak memory, MiB"),
            peak,
            32.0,
        ));
    }
}

fn plots(report: &mut Report) {
    for (quantity, name, title) in [
        (PER_FILE, "growth-time", "Time a file over files"),
        (PEAK, "growth-memory", "Peak memory over files"),
    ] {
        let line = |what: &str| {
            let point = |files| {
                let value = report.median(&case(files, what), OURS, quantity);
                (files as f64, value)
            };
            (what.to_owned(), SIZES.map(point).to_vec())
        };
        let lines = RUNS.map(line).to_vec();
        report.plots.push(Plot {
            name: name.to_owned(),
            title: title.to_owned(),
            x: "files".to_owned(),
            y: quantity.to_owned(),
            lines,
        });
    }
}
