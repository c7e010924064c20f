//! `medialift sync` beside other people's clients: the same tree, the same server, in turn.
//!
//! Every run has a server of its own with an empty bucket, which digests what it is sent and throws
//! it away, so that no disk is measured. After every run the bucket is compared with the tree.

mod tree;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use self::tree::Tree;
use super::Effort;
use super::report::{Report, Target, figure};
use crate::peers::{Contender, OURS, Way, contenders};
use crate::usage::{Meter, cpu_of};
use testkit::process::scratch_directory;
use testkit::stack::{Bodies, Origin, OriginOptions, Profile, Totals};

/// Files of the tree, and of the smaller one for clients that are slow.
const FILES: u64 = 10_000;
const FEW: u64 = 1_000;

/// Rounds, and how long all may take.
const ROUNDS: (usize, usize) = (3, 5);
const BUDGET: Duration = Duration::from_secs(270);

/// Added to every request, milliseconds.
const LATENCY: u64 = 30;

const WALL: &str = "wall, s";
const CPU: &str = "CPU, s";
const PEAK: &str = "peak, MiB";
const REQUESTS: &str = "requests";
const SERVER: &str = "server's CPU, s";

/// An upload of a tree, and perhaps a run that finds nothing to do afterwards.
struct Case<'a> {
    name: String,
    again: Option<String>,
    tree: &'a Tree,
    latency_ms: u64,
    /// Whether slow clients take part.
    is_small: bool,
}

impl<'a> Case<'a> {
    fn new(tree: &'a Tree, latency_ms: u64, is_small: bool) -> Self {
        let files = figure(tree.files as f64);
        Self {
            name: format!("{files} files, {latency_ms} ms"),
            again: (latency_ms == 0).then(|| format!("nothing to do, {files} files, 0 ms")),
            tree,
            latency_ms,
            is_small,
        }
    }
}

/// Measures all contenders.
pub(super) fn measure(effort: Effort) -> Result<Report> {
    let mut contenders = contenders()?;
    let scratch = scratch_directory("bench-sync")?;
    let meter = Meter::new(&scratch)?;
    let whole = tree::make(scratch.path().join("whole"), effort.amount(FILES))?;
    let few = tree::make(scratch.path().join("few"), effort.amount(FEW))?;
    // What was just made is still being written.
    rustix::fs::sync();
    let cases = [
        Case::new(&whole, 0, false),
        Case::new(&whole, LATENCY, false),
        Case::new(&few, 0, true),
    ];
    let mut report = Report {
        notes: described(&whole),
        ..Report::default()
    };
    for round in effort.rounds(ROUNDS.0, ROUNDS.1, BUDGET) {
        eprintln!("bench: sync: round {round}");
        for case in &cases {
            for contender in &contenders {
                if case.is_small || !contender.is_slow {
                    contend(contender, case, &meter, &mut report)?;
                }
            }
        }
        contenders.rotate_left(1);
    }
    set_targets(&mut report, &cases);
    Ok(report)
}

/// One contender's turn: an upload to an empty bucket, then a run that finds nothing to do.
fn contend(
    contender: &Contender,
    case: &Case<'_>,
    meter: &Meter,
    report: &mut Report,
) -> Result<()> {
    let home = scratch_directory("bench-client")?;
    let origin = Origin::start(OriginOptions {
        profile: Profile::Release,
        bodies: Bodies::Discarded,
        latency_ms: case.latency_ms,
        tls: true,
        ..OriginOptions::default()
    })?;
    let first = match case.latency_ms {
        0 => &contender.first,
        _ => &contender.far,
    };
    run(
        first,
        &case.name,
        case.tree,
        &origin,
        home.path(),
        meter,
        report,
    )?;
    match &case.again {
        Some(name) => run(
            &contender.again,
            name,
            case.tree,
            &origin,
            home.path(),
            meter,
            report,
        ),
        None => Ok(()),
    }
}

/// Runs a client and checks that the bucket has the tree.
fn run(
    way: &Way,
    case: &str,
    tree: &Tree,
    origin: &Origin,
    home: &Path,
    meter: &Meter,
    report: &mut Report,
) -> Result<()> {
    let command = way.command(origin, &tree.path, home)?;
    origin.reset_requests()?;
    let before = cpu_of(origin.id())?;
    let (usage, _) = meter.run(&format!("`{}`", way.who), &command)?;
    let server_cpu = cpu_of(origin.id())? - before;
    let requests = origin.requests()?.total;
    check_bucket(origin, tree).with_context(|| format!("{} did not do its work", way.who))?;
    eprintln!(
        "bench: sync: {case}: {}: {usage}, {requests} requests",
        way.who
    );
    for (quantity, value) in [
        (WALL, usage.wall),
        (CPU, usage.cpu),
        (PEAK, usage.peak_mib()),
        (REQUESTS, requests as f64),
        (SERVER, server_cpu),
    ] {
        report.add(case, &way.who, quantity, value);
    }
    Ok(())
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

fn described(tree: &Tree) -> Vec<String> {
    vec![
        format!(
            "{} The tree is uploaded over TLS to a server on loopback: `b2-origin` (the crate `s3s`), compiled \
             with optimisation, which checks every signature, digests every body and throws it away. Each run \
             has a server of its own with an empty bucket; afterwards the number of objects, their bytes and {} \
             ETags are compared with the tree. \"Nothing to do\" is the same command once more, or its user's \
             way to look for changes. The server's own CPU during each run stands beside: it shares the machine \
             with the client. CPU is counted in hundredths of a second: what is less shows as 0.",
            tree.described,
            tree.samples.len()
        ),
        format!(
            "With {LATENCY} ms, every request waits that long at the server. `medialift` runs with its default \
             settings and compares by MD5 through its journal; the others compare sizes, with the flags \
             that the lines name, which their documentation gives for speed. A client that would take minutes takes part \
             in the case of {} files alone. `b2 sync` takes no part: it speaks Backblaze's native API only, \
             which this server does not.",
            figure(FEW as f64)
        ),
    ]
}

/// The ratios against the best client in each quantity.
fn set_targets(report: &mut Report, [near, far, _]: &[Case<'_>; 3]) {
    let (near_name, far_name) = (&*near.name, &*far.name);
    let again = near.again.as_deref().unwrap_or_default();
    for (case, quantity, bound) in [
        (near_name, WALL, 0.6),
        (near_name, CPU, 0.6),
        (far_name, WALL, 0.65),
        (again, WALL, 0.4),
    ] {
        let (peer, best) = best_peer(report, case, quantity);
        let ratio = report.median(case, OURS, quantity) / best;
        let name = format!("{case}: {quantity}: medialift ÷ best peer ({peer})");
        report.targets.push(Target::at_most(name, ratio, bound));
    }
    for case in [near_name, far_name, again] {
        let peak = report.median(case, OURS, PEAK);
        let name = format!("{case}: peak memory of medialift, MiB");
        report.targets.push(Target::at_most(name, peak, 48.0));
    }
    let files = near.tree.files as f64;
    for (name, value) in [
        (
            format!("{near_name}: requests of medialift beyond one a file"),
            report.median(near_name, OURS, REQUESTS) - files,
        ),
        (
            format!("{again}: requests of medialift per 1,000 objects"),
            report.median(again, OURS, REQUESTS) / (files / 1000.0),
        ),
    ] {
        report.targets.push(Target::at_most(name, value, 1.0));
    }
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
