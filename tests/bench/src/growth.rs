//! How `medialift sync` takes more files, and larger ones.
//!
//! More files: the same small files, up to a million of them, all to be sent, then nothing to do.
//! Larger files: [`large`].

mod large;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::report::{Report, Target, figure};
use crate::peers::{OURS, sync_command};
use crate::usage::Meter;
use testkit::process::{ScratchDirectory, scratch_directory};
use testkit::stack::{Bodies, Origin, OriginOptions, Profile};

/// The trees, by their number of files.
const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];

/// How often each tree is sent, in turn with the others, and how long that may take; then how often it is
/// looked at again.
const SENDING: (usize, usize) = (2, 3);
const BUDGET_SENDING: Duration = Duration::from_secs(150);
const LOOKING: (usize, usize) = (3, 5);
const BUDGET_LOOKING: Duration = Duration::from_secs(60);

/// Uploads at once. Left to itself, a longer run finds time to try more of them at once, which takes
/// memory of its own: here the number of files is to be all that differs.
const AT_ONCE: &str = "32";

const FIRST: &str = "all to send";
const AGAIN: &str = "nothing to do";
const WITHOUT_JOURNAL: &str = "nothing to do, no journal";

/// The runs over one tree.
const RUNS: [&str; 3] = [FIRST, AGAIN, WITHOUT_JOURNAL];

const PER_FILE: &str = "time a file, µs";
const PEAK: &str = "peak, MiB";

/// Bytes of the disk that a small file takes.
const BLOCK: u64 = 4096;

/// Sees, before anything is measured, that the trees find room.
pub(super) fn check_disk(effort: Effort) -> Result<()> {
    let files: u64 = SIZES.iter().map(|files| effort.amount(*files)).sum();
    large::check_disk(files * BLOCK)
}

/// Measures.
pub(super) fn measure(effort: Effort) -> Result<Report> {
    let mut report = Report {
        notes: vec![format!(
            "More files: as many as the line says, of one short line each, {} to a directory, are sent to a \
             server of their own on loopback, {AT_ONCE} at once: left to itself, a longer run finds time to \
             try more at once, which takes memory of its own (the part `sync` shows how much). Then the same \
             command again, with the journal and without one, when every file is read and compared. Time is \
             that of the whole command divided by the number of files.",
            figure(tree::FILES_A_DIRECTORY as f64)
        )],
        ..Report::default()
    };
    let sizes = SIZES.map(|files| effort.amount(files));
    let mut stands = Vec::new();
    for files in sizes {
        eprintln!("bench: growth: writing {files} files");
        stands.push(Stand::make(files)?);
    }
    // What was just made is still being written.
    rustix::fs::sync();
    for round in effort.rounds(SENDING.0, SENDING.1, BUDGET_SENDING) {
        for stand in &mut stands {
            stand.send(round, &mut report)?;
        }
    }
    for round in effort.rounds(LOOKING.0, LOOKING.1, BUDGET_LOOKING) {
        for stand in &stands {
            stand.run(AGAIN, &mut report)?;
            stand.run_with(WITHOUT_JOURNAL, &format!("no-journal-{round}"), &mut report)?;
        }
    }
    for stand in stands {
        tree::remove(&stand.tree)?;
    }
    flatness(sizes, &mut report);
    large::measure(effort, &mut report)?;
    Ok(report)
}

/// A tree, the server it is sent to, and the journal of that.
struct Stand {
    files: u64,
    tree: PathBuf,
    origin: Origin,
    state: String,
    meter: Meter,
    scratch: ScratchDirectory,
}

impl Stand {
    fn make(files: u64) -> Result<Self> {
        let scratch = scratch_directory("bench-growth")?;
        let tree = scratch.path().join("system");
        tree::make(&tree, files)?;
        Ok(Self {
            files,
            tree,
            origin: empty_origin()?,
            state: String::new(),
            meter: Meter::new(&scratch)?,
            scratch,
        })
    }

    /// Sends the tree to an empty bucket.
    fn send(&mut self, round: usize, report: &mut Report) -> Result<()> {
        self.state = format!("state-{round}");
        self.origin = empty_origin()?;
        self.run(FIRST, report)
    }

    fn run(&self, what: &str, report: &mut Report) -> Result<()> {
        self.run_with(what, &self.state, report)
    }

    /// One run, its journal in the directory `state`, and a check of what it did.
    fn run_with(&self, what: &str, state: &str, report: &mut Report) -> Result<()> {
        let files = self.files;
        let state = self.scratch.path().join(state);
        let mut command = sync_command(&self.origin, &self.tree, &state)?;
        command.args(["--concurrency", AT_ONCE]);
        let (usage, summary) = self.meter.run("`medialift sync`", &command)?;
        let summary: serde_json::Value =
            serde_json::from_str(&summary).context("`medialift sync --json` printed no JSON")?;
        let count = |what: &str| summary[what].as_u64().or(summary[what]["files"].as_u64());
        let sent = if what == FIRST { files } else { 0 };
        ensure!(
            (count("uploaded"), count("unchanged")) == (Some(sent), Some(files - sent)),
            "`medialift sync` of {files} files, {what}: {summary}"
        );
        let held = self.origin.totals("media")?.objects;
        ensure!(held == files, "the bucket holds {held} of {files} objects");
        eprintln!("bench: growth: {files} files, {what}: {usage}");
        let case = case(files, what);
        report.add(&case, OURS, PER_FILE, usage.wall / files as f64 * 1e6);
        report.add(&case, OURS, PEAK, usage.peak_mib());
        Ok(())
    }
}

fn empty_origin() -> Result<Origin> {
    Origin::start(OriginOptions {
        profile: Profile::Release,
        bodies: Bodies::Discarded,
        ..OriginOptions::default()
    })
}

fn case(files: u64, what: &str) -> String {
    format!("{} files, {what}", figure(files as f64))
}

/// Flat: the largest tree takes no more, for each file and in all, than one a tenth as large.
fn flatness([.., tenth, most]: [u64; 4], report: &mut Report) {
    for what in RUNS {
        let (of_most, of_tenth) = (case(most, what), case(tenth, what));
        for (quantity, name) in [(PER_FILE, "time a file"), (PEAK, "peak memory")] {
            let ratio =
                report.median(&of_most, OURS, quantity) / report.median(&of_tenth, OURS, quantity);
            let [most, tenth] = [most, tenth].map(|files| figure(files as f64));
            report.targets.push(Target::at_most(
                format!("{what}: {name}, {most} files ÷ {tenth} files"),
                ratio,
                1.25,
            ));
        }
        let peak = report.median(&of_most, OURS, PEAK);
        let name = format!("{of_most}: peak memory, MiB");
        report.targets.push(Target::at_most(name, peak, 32.0));
    }
}
