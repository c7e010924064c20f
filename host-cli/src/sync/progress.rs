//! How far a run is: a bar on a terminal, a plain line now and then elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::filter::Filter;
use super::summary::{Summary, bytes, count, grouped};
use super::walk::{Entry, walk};
use crate::report::Ui;

/// Between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows how far a run is.
#[derive(Debug)]
pub(super) struct Progress {
    ui: Ui,
    bar: Option<ProgressBar>,
    begin: Instant,
    next_line: Instant,
    totals: Arc<Totals>,
}

/// What a walk ahead of the uploads has counted; a true time left needs it to be complete.
#[derive(Debug, Default)]
pub(super) struct Totals {
    files: AtomicU64,
    bytes: AtomicU64,
    complete: AtomicBool,
    abandoned: AtomicBool,
}

impl Totals {
    /// Counts what a run will look at, on a thread of its own.
    pub(super) fn count(self: &Arc<Self>, root: &Path, prefix_length: usize, filter: &Filter) {
        let (totals, filter) = (self.clone(), filter.clone());
        // A directory that cannot be read is told by the run itself.
        let Ok(walk) = walk(root, prefix_length) else {
            return;
        };
        std::thread::spawn(move || {
            for entry in walk {
                if totals.abandoned.load(Relaxed) {
                    return;
                }
                if let Entry::File(file) = entry
                    && filter.takes(&file.path)
                {
                    totals.files.fetch_add(1, Relaxed);
                    totals.bytes.fetch_add(file.stamp.size, Relaxed);
                }
            }
            totals.complete.store(true, Relaxed);
        });
    }

    /// Ends the counting.
    pub(super) fn abandon(&self) {
        self.abandoned.store(true, Relaxed);
    }
}

impl Progress {
    pub(super) fn new(ui: Ui, totals: Arc<Totals>) -> Self {
        let bar = (ui.interactive && !ui.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(style(false));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        let begin = Instant::now();
        Progress {
            ui,
            bar,
            begin,
            next_line: begin + LINE_INTERVAL,
            totals,
        }
    }

    /// A line that stays, above the bar where there is one.
    pub(super) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.ui.say(line),
        }
    }

    /// With `--verbose`, a line for each file that was sent.
    pub(super) fn detail(&self, path: &str) {
        if self.ui.verbose {
            self.say(&format!("uploaded: `{}`", path.escape_debug()));
        }
    }

    /// Shows where the run is.
    pub(super) fn update(&mut self, summary: &Summary) {
        let done = summary.done();
        if let Some(bar) = &self.bar {
            if self.totals.complete.load(Relaxed) && bar.length().is_none() {
                bar.set_length(self.totals.bytes.load(Relaxed));
                bar.set_style(style(true));
            }
            bar.set_position(done.bytes);
            let trouble = match summary.failed + summary.skipped_total() {
                0 => String::new(),
                number => format!(", {} with problems", grouped(number)),
            };
            bar.set_message(format!(
                "{} files: {} uploaded, {} unchanged{trouble}",
                grouped(done.files),
                grouped(summary.uploaded.files),
                grouped(summary.unchanged.files),
            ));
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            self.ui.say(self.line(summary));
        }
    }

    fn line(&self, summary: &Summary) -> String {
        let seconds = self.begin.elapsed().as_secs_f64();
        let rate = bytes((summary.uploaded.bytes as f64 / seconds.max(0.001)) as u64);
        let mut line = format!(
            "{:.0} s: uploaded {} at {rate}/s, {} unchanged, {} failed, {} skipped",
            seconds,
            count(summary.uploaded),
            grouped(summary.unchanged.files),
            grouped(summary.failed),
            grouped(summary.skipped_total()),
        );
        let done = summary.done().bytes;
        let total = self.totals.bytes.load(Relaxed);
        if self.totals.complete.load(Relaxed) && total > done && done > 0 {
            let left = seconds * (total - done) as f64 / done as f64;
            let left = Duration::from_secs_f64(left.min(1e9));
            line.push_str(&format!(
                ", {} of {} files left, about {}",
                grouped(
                    self.totals
                        .files
                        .load(Relaxed)
                        .saturating_sub(summary.done().files)
                ),
                grouped(self.totals.files.load(Relaxed)),
                indicatif::HumanDuration(left),
            ));
        }
        line
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(total_known: bool) -> ProgressStyle {
    let template = if total_known {
        "{bar:24} {percent:>3}% {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left; {wide_msg}"
    } else {
        "{spinner} {binary_bytes}, {binary_bytes_per_sec}, counting; {wide_msg}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
