//! `medialift sync` beside other people's clients: the same tree, the same server, in turn.
//!
//! Every run has a server of its own with an empty bucket, which digests what it is sent and throws
//! it away, so that no disk is measured. After every run the bucket is compared with the tree.

mod peers;
mod tree;

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::peers::{Contender, Share, Way, contenders};
use self::tree::Tree;
use super::report::{Report, Target};
use super::rounds;
use crate::usage::{Meter, Usage, cpu_of};
use testkit::process::{ScratchDirectory, scratch_directory};
use testkit::setup::debian_program;
use testkit::stack::{Bodies, Origin, OriginOptions, Profile, Totals};

/// Files of the tree.
const FILES: u64 = 20_000;

/// Rounds at most of those who are measured in every one, and how long all may take.
const ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_secs(300);

/// Added to every request, milliseconds.
const LATENCY: u64 = 30;

const FIRST: &str = "20,000 files, 0 ms";
const FAR: &str = "20,000 files, 30 ms";
const AGAIN: &str = "nothing to do, 0 ms";
const OURS: &str = "medialift";

const WALL: &str = "wall, s";
const CPU: &str = "CPU, s";
const PEAK: &str = "peak, MiB";
const REQUESTS: &str = "requests";
const SERVER: &str = "server's CPU, s";

/// Both trees, and where the clients live.
struct Bench {
    whole: Tree,
    tenth: Tree,
    meter: Meter,
    _scratch: ScratchDirectory,
    report: Report,
}

/// Measures all contenders.
pub(super) fn measure() -> Result<Report> {
    // Where it cannot be had it takes no part, which the notes say.
    let debian_rclone = debian_program("rclone")
        .inspect_err(|error| eprintln!("bench: sync: without Debian's rclone: {error:#}"))
        .ok();
    let (contenders, notes) = contenders(debian_rclone.as_deref())?;
    let scratch = scratch_directory("bench-sync")?;
    let whole = tree::make(scratch.path().join("whole"), FILES)?;
    let tenth = tree::make(scratch.path().join("tenth"), FILES / 10)?;
    let mut bench = Bench {
        meter: Meter::new(&scratch)?,
        report: Report::default(),
        whole,
        tenth,
        _scratch: scratch,
    };
    bench.report.notes = described(&bench.whole, notes);
    for round in rounds(2, ROUNDS, BUDGET) {
        for latency in [0, LATENCY] {
            for contender in &contenders {
                bench.contend(contender, latency, round)?;
            }
        }
    }
    set_targets(&mut bench.report);
    Ok(bench.report)
}

impl Bench {
    /// One contender's turn: an upload to an empty bucket, then, without latency, runs that find
    /// nothing to do.
    fn contend(&mut self, contender: &Contender, latency: u64, round: usize) -> Result<()> {
        let share = if latency == 0 {
            contender.share
        } else {
            contender.share_with_latency
        };
        let (factor, label) = match share {
            Share::No => return Ok(()),
            Share::Tenth if round > 1 => return Ok(()),
            Share::EveryRound => (1.0, ""),
            Share::Tenth => (10.0, " (a tenth, times ten)"),
        };
        let home = scratch_directory("bench-client")?;
        let origin = Origin::start(OriginOptions {
            profile: Profile::Release,
            bodies: Bodies::Discarded,
            latency_ms: latency,
            ..OriginOptions::default()
        })?;
        let case = if latency == 0 { FIRST } else { FAR };
        let mut runs = vec![(case, &contender.first)];
        if latency == 0 {
            runs.extend(contender.again.iter().map(|way| (AGAIN, way)));
        }
        for (case, way) in runs {
            let run = self.run(way, &origin, share, &home)?;
            let who = format!("{}{label}", way.who);
            eprintln!(
                "bench: sync: round {round}: {case}: {who}: {:.2} s, CPU {:.2} s, {} KiB, {} requests, server's CPU {:.2} s",
                run.usage.wall, run.usage.cpu, run.usage.peak_kib, run.requests, run.server_cpu
            );
            for (quantity, value) in [
                (WALL, run.usage.wall * factor),
                (CPU, run.usage.cpu * factor),
                (PEAK, run.usage.peak_kib as f64 / 1024.0),
                (REQUESTS, run.requests as f64 * factor),
                (SERVER, run.server_cpu * factor),
            ] {
                self.report.add(case, &who, quantity, value);
            }
        }
        Ok(())
    }

    /// Runs a client and looks whether the bucket now holds the tree.
    fn run(
        &self,
        way: &Way,
        origin: &Origin,
        share: Share,
        home: &ScratchDirectory,
    ) -> Result<Run> {
        let tree = if share == Share::Tenth {
            &self.tenth
        } else {
            &self.whole
        };
        let command = way.command(origin, &tree.path, home.path())?;
        origin.reset_requests()?;
        let before = cpu_of(origin.id())?;
        let (usage, _) = self.meter.run(&format!("`{}`", way.who), &command)?;
        let server_cpu = cpu_of(origin.id())? - before;
        let requests = origin.requests()?;
        check_bucket(origin, tree).with_context(|| format!("{} did not do its work", way.who))?;
        Ok(Run {
            usage,
            requests: requests.total,
            server_cpu,
        })
    }
}

/// What one run took of both sides.
struct Run {
    usage: Usage,
    requests: u64,
    server_cpu: f64,
}

/// Every file is there, with its size, and some with the right digest.
fn check_bucket(origin: &Origin, tree: &Tree) -> Result<()> {
    let there = origin.totals("media")?;
    let should = Totals {
        objects: tree.files,
        bytes: tree.bytes,
    };
    ensure!(
        there == should,
        "the bucket holds {there:?}, the tree {should:?}"
    );
    for (path, digest) in &tree.samples {
        let etag = origin.etag("media", path)?;
        ensure!(
            etag == *digest,
            "`{path}` has the ETag `{etag}`, its file the MD5 `{digest}`"
        );
    }
    Ok(())
}

fn described(tree: &Tree, more: Vec<String>) -> Vec<String> {
    let mut notes = vec![
        format!(
            "{} files of 10 to 100 KB, {:.2} GB in all, laid out as Mastodon lays them out, are uploaded \
             to a server on loopback: `b2-origin` (the crate `s3s`), compiled with optimisation, which \
             checks every signature, digests every body and throws it away. Each run has a server of its \
             own with an empty bucket; afterwards the number of objects, their bytes and {} ETags are \
             compared with the tree. \"Nothing to do\" is the same command once more, or its user's way \
             to look for changes. The server's own CPU during each run stands beside: it shares the \
             machine with the client.",
            tree.files,
            tree.bytes as f64 / 1e9,
            tree.samples.len()
        ),
        format!(
            "With {LATENCY} ms, every request waits that long at the server. Where a line says so, the \
             client was measured on a tenth of the tree and in the first round alone, its times and \
             requests multiplied by ten, its memory as it was, and was not asked to find nothing to do: the \
             bench is to end within half an hour. `medialift` compares by MD5 through its journal, rclone \
             and s5cmd compare sizes. How many are under way at once is each client's own choice but where \
             the line names it; rclone, which has four by itself, is given s5cmd's 256 where requests wait."
        ),
        "s5cmd and aws sign each body by its SHA-256 over plain HTTP; medialift and rclone send it \
         unsigned and with its MD5, which the server compares."
            .to_owned(),
    ];
    notes.extend(more);
    notes
}

/// The ratios against whoever is best in each quantity.
fn set_targets(report: &mut Report) {
    let bounds = [
        (FIRST, WALL, 0.6),
        (FIRST, CPU, 0.6),
        (FAR, WALL, 0.65),
        (AGAIN, WALL, 0.4),
    ];
    for (case, quantity, bound) in bounds {
        let (peer, best) = best_peer(report, case, quantity);
        let ratio = report.median(case, OURS, quantity) / best;
        let name = format!("{case}: {quantity}: medialift ÷ best peer ({peer})");
        report.targets.push(Target::at_most(name, ratio, bound));
    }
    for case in [FIRST, FAR, AGAIN] {
        let peak = report.median(case, OURS, PEAK);
        let name = format!("{case}: peak memory of medialift, MiB");
        report.targets.push(Target::at_most(name, peak, 48.0));
    }
    let files = FILES as f64;
    let first = report.median(FIRST, OURS, REQUESTS) - files;
    let again = report.median(AGAIN, OURS, REQUESTS) / (files / 1000.0);
    report.targets.extend([
        Target::at_most(
            format!("{FIRST}: requests of medialift beyond one a file"),
            first,
            1.0,
        ),
        Target::at_most(
            format!("{AGAIN}: requests of medialift per 1,000 objects"),
            again,
            1.0,
        ),
    ]);
}

/// The peer with the least of a quantity.
fn best_peer(report: &Report, case: &str, quantity: &str) -> (String, f64) {
    report
        .series
        .iter()
        .filter(|series| series.case == case && series.quantity == quantity && series.who != OURS)
        .map(|series| (series.who.clone(), series.median()))
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((String::new(), f64::NAN))
}
