//! What `cargo xtask bench` runs: measures this project beside its peers, in one run on one machine.
//!
//! An absolute time says nothing on a shared machine, so every target is a ratio: of medians of rounds
//! that were measured in turn, or the median of the rounds' ratios. Each part leaves its raw rounds in
//! `docs/performance/`, and `docs/performance.md` is made from those files alone. Nothing here is a
//! test: only `--check` looks at the targets.

mod crowd;
mod edge;
mod growth;
mod page;
mod peers;
mod report;
mod size;
mod sync;
mod usage;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::{Parser, Subcommand};

use crate::usage::require_linux;
use report::{Run, Target};
use testkit::build;
use testkit::pins;
use testkit::progress::duration;
use testkit::setup::{self, Need, debian_program, setup};
use testkit::tools::Tools;

/// Measure the worker and the command beside their peers, and write `docs/performance.md`
#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    chore: Option<Chore>,
    #[command(flatten)]
    options: BenchOptions,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Write the page again from the rounds that were kept
    Page {
        /// Only say whether it is up to date
        #[arg(long)]
        check: bool,
    },
}

/// What to measure, and whether a missed target is a failure.
#[derive(Clone, Debug, clap::Args)]
struct BenchOptions {
    /// The parts to measure; all without a name
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Exit with 1 where a target is missed
    #[arg(long)]
    check: bool,
    /// Try everything: one round on small trees, shown and not kept
    #[arg(long, conflicts_with = "check")]
    quick: bool,
}

/// How much to measure.
#[derive(Clone, Copy, Debug)]
struct Effort {
    quick: bool,
}

impl Effort {
    /// Files or bytes.
    const fn amount(self, whole: u64) -> u64 {
        if self.quick { whole / 20 } else { whole }
    }

    /// The numbers of a part's rounds, from 1: `least` of them in any case, and up to `most` while another
    /// that takes as long as the last ends within `budget` from now. On a slow day the bench has fewer
    /// rounds, not more time.
    fn rounds(self, least: usize, most: usize, budget: Duration) -> impl Iterator<Item = usize> {
        let start = Instant::now();
        let mut last = start;
        let most = if self.quick { 1 } else { most };
        (1..=most).take_while(move |&round| {
            let lasted = last.elapsed();
            last = Instant::now();
            round <= least || start.elapsed() + lasted <= budget
        })
    }
}

/// A part of the bench, in the order in which they run, but for `size`: see [`prepare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The worker's handler in `workerd bench`, beside plain JavaScript
    Edge,
    /// The worker's size as it is shipped
    Size,
    /// `medialift sync` beside other people's clients
    Sync,
    /// How `medialift sync` takes more files and larger ones
    Growth,
    /// The worker and nginx under load
    Crowd,
}

impl Part {
    const ALL: [Self; 5] = [
        Self::Edge,
        Self::Size,
        Self::Sync,
        Self::Growth,
        Self::Crowd,
    ];

    /// Its name, in files and on the command line.
    const fn name(self) -> &'static str {
        match self {
            Self::Edge => "edge",
            Self::Size => "size",
            Self::Sync => "sync",
            Self::Growth => "growth",
            Self::Crowd => "crowd",
        }
    }

    /// The heading of its chapter.
    const fn title(self) -> &'static str {
        match self {
            Self::Edge => "A request at the edge",
            Self::Size => "The worker's size",
            Self::Sync => "`medialift sync` beside other clients",
            Self::Growth => "More files, larger files",
            Self::Crowd => "Under load, beside nginx",
        }
    }

    /// Measures it, once [`prepare`] has been at work, and keeps what came of it.
    fn measure(self, effort: Effort, run: &Run) -> Result<Measured> {
        eprintln!("bench: {}", self.name());
        let start = Instant::now();
        let mut report = match self {
            Self::Edge => edge::measure(effort),
            Self::Size => size::measure(),
            Self::Sync => sync::measure(effort),
            Self::Growth => growth::measure(effort),
            Self::Crowd => crowd::measure(effort),
        }?;
        report.processors = thread::available_parallelism()?.get();
        let mut run = run.clone();
        if matches!(self, Self::Edge | Self::Crowd) {
            run.add_version("workerd", &Tools::load()?.workerd, "--version");
        }
        if self == Self::Crowd {
            run.add_version("nginx", &setup::place(Need::Nginx)?, "-v");
            run.add_version("wrk", &debian_program(pins::DEBIAN_WRK)?, "-v");
        }
        report.run = run;
        if effort.quick {
            let mut chapter = String::new();
            page::chapter(&mut chapter, self, &report)?;
            eprintln!("{chapter}");
        } else {
            report.save(self.name())?;
        }
        let took = start.elapsed();
        eprintln!("bench: {}: {}", self.name(), duration(took));
        for target in &report.targets {
            eprintln!("  {target}");
        }
        Ok(Measured {
            part: self,
            took,
            reached: report.targets.iter().all(Target::is_reached),
        })
    }
}

/// What became of a part.
struct Measured {
    part: Part,
    took: Duration,
    reached: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = testkit::process::end_children_on_interrupt().and_then(|()| match arguments.chore {
        None => run(&arguments.options),
        Some(Chore::Page { check }) => page::write(check).map(|()| true),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures what `options` names, writes the page, and says which targets were reached; false where
/// one was missed and `--check` was given.
///
/// # Errors
/// Fails when a peer cannot be had, or one of the contenders does not do what it is timed for.
fn run(options: &BenchOptions) -> Result<bool> {
    require_linux()?;
    let parts = if options.parts.is_empty() {
        Part::ALL.to_vec()
    } else {
        options.parts.clone()
    };
    let effort = Effort {
        quick: options.quick,
    };
    let start = Instant::now();
    let run = Run::now()?;
    let mut measured = prepare(&parts, effort, &run)?;
    let prepared = start.elapsed();
    for part in parts.into_iter().filter(|part| *part != Part::Size) {
        measured.push(part.measure(effort, &run)?);
    }
    if !effort.quick {
        page::write(false)?;
    }
    eprintln!("bench: prepared in {}", duration(prepared));
    for Measured { part, took, .. } in &measured {
        eprintln!("bench: {}: {}", part.name(), duration(*took));
    }
    eprintln!("bench: all in {}", duration(start.elapsed()));
    Ok(measured.iter().all(|part| part.reached) || !options.check)
}

/// Installs and compiles what `parts` measure, so that no compiler runs while something is timed.
///
/// The part `size` takes no times and keeps one processor busy: if it is wanted, it is measured meanwhile.
fn prepare(parts: &[Part], effort: Effort, run: &Run) -> Result<Vec<Measured>> {
    let any = |of: &[Part]| of.iter().any(|part| parts.contains(part));
    if any(&[Part::Growth]) {
        growth::check_disk(effort)?;
    }
    if any(&[Part::Sync, Part::Growth, Part::Crowd]) {
        setup(&[Need::Npm, Need::Python, Need::Nginx])?;
    }
    if any(&[Part::Edge, Part::Size, Part::Crowd]) {
        build::worker(&setup(Need::WORKER)?)?;
    }
    if any(&[Part::Sync, Part::Growth]) {
        debian_program("time").context("cannot measure without `time`")?;
    }
    if any(&[Part::Crowd]) {
        debian_program(pins::DEBIAN_WRK)?;
    }
    thread::scope(|scope| {
        let size = any(&[Part::Size]).then(|| scope.spawn(|| Part::Size.measure(effort, run)));
        if any(&[Part::Sync, Part::Growth, Part::Crowd]) {
            build::optimised()?;
        }
        let size = size.map(|size| {
            size.join()
                .map_err(|_| anyhow!("the part `size` panicked"))?
        });
        size.into_iter().collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_rounds_as_fit_and_never_too_few() {
        let whole = Effort { quick: false };
        let short = whole.rounds(2, 4, Duration::ZERO);
        let slow = short.inspect(|_| thread::sleep(Duration::from_millis(1)));
        assert_eq!(slow.collect::<Vec<_>>(), [1, 2]);
        assert_eq!(whole.rounds(2, 4, Duration::MAX).count(), 4);
    }
}
