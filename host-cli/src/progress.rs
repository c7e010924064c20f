//! Progress of commands that run long: a bar on a terminal, a line every ten seconds elsewhere.
//!
//! A task of its own prints it, so that it continues during an outage of the network and reports it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::filter::Filter;
use crate::format::{binary_bytes, counted, grouped};
use crate::s3::Client;
use crate::tree::{self, TreeEntry, walk};
use crate::ui::Ui;

/// Interval of updates.
const TICK: Duration = Duration::from_millis(250);

/// Interval of plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How long a run takes before its files are counted, with a bar and without: the remaining time needs
/// the total, and counting walks the directory a second time.
const COUNT_AFTER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));

/// How long an outage lasts before it is reported.
const OUTAGE_AFTER: Duration = Duration::from_secs(5);

/// Shows progress until it is dropped.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<ProgressState>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct ProgressState {
    ui: Ui,
    bar: Option<ProgressBar>,
    begin: Instant,
    files: AtomicU64,
    bytes: AtomicU64,
    /// More about the files that are done: `12 uploaded, 3 unchanged`.
    message: Mutex<String>,
    totals: Totals,
}

/// What the count has found so far; the remaining time is shown once it is complete.
#[derive(Debug, Default)]
struct Totals {
    files: AtomicU64,
    bytes: AtomicU64,
    complete: AtomicBool,
    abandoned: AtomicBool,
}

impl Progress {
    /// Begins. `count` is the tree whose files are counted for the remaining time; outages are those of
    /// `client`.
    pub fn begin(ui: Ui, count: Option<(tree::WalkOptions, Filter)>, client: Client) -> Self {
        let bar = (ui.interactive && !ui.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(style(false));
            bar
        });
        let shared = Arc::new(ProgressState {
            ui,
            bar,
            begin: Instant::now(),
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            message: Mutex::new(String::new()),
            totals: Totals::default(),
        });
        let task = tokio::spawn(show(shared.clone(), count.filter(|_| !ui.quiet), client));
        Progress { shared, task }
    }

    /// Counts one file as done.
    pub fn done(&self, bytes: u64) {
        self.shared.files.fetch_add(1, Relaxed);
        self.shared.bytes.fetch_add(bytes, Relaxed);
    }

    /// Sets the text beside the number of files: `12 uploaded, 3 unchanged`.
    pub fn message(&self, message: String) {
        *self.shared.lock_message() = message;
    }

    /// Prints a line that stays, above the bar if there is one.
    pub fn say(&self, line: &str) {
        self.shared.say(line);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.task.abort();
        self.shared.totals.abandoned.store(true, Relaxed);
        if let Some(bar) = &self.shared.bar {
            bar.finish_and_clear();
        }
    }
}

impl ProgressState {
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.ui.say(line),
        }
    }

    fn lock_message(&self) -> std::sync::MutexGuard<'_, String> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `: 12 uploaded, 3 unchanged`; empty without a message.
    fn message_after_colon(&self) -> String {
        match self.lock_message().as_str() {
            "" => String::new(),
            message => format!(": {message}"),
        }
    }

    /// Counts the files of the tree on a thread of its own.
    fn count(self: &Arc<Self>, tree: tree::WalkOptions, filter: Filter) {
        let shared = self.clone();
        std::thread::spawn(move || {
            let totals = &shared.totals;
            // The command itself reports a directory that cannot be read.
            let Ok(walk) = walk(&tree) else { return };
            for entry in walk {
                if totals.abandoned.load(Relaxed) {
                    return;
                }
                if let TreeEntry::File(file) = entry
                    && filter.takes(&file.path)
                {
                    totals.files.fetch_add(1, Relaxed);
                    totals.bytes.fetch_add(file.stamp.size, Relaxed);
                }
            }
            totals.complete.store(true, Relaxed);
        });
    }

    fn update(&self, bar: &ProgressBar) {
        if self.totals.complete.load(Relaxed) && bar.length().is_none() {
            bar.set_length(self.totals.bytes.load(Relaxed));
            bar.set_style(style(true));
        }
        bar.set_position(self.bytes.load(Relaxed));
        let files = counted(self.files.load(Relaxed), "file", "files");
        bar.set_message(format!("{files}{}", self.message_after_colon()));
        bar.tick();
    }

    fn line(&self) -> String {
        let seconds = self.begin.elapsed().as_secs_f64();
        let (files, done) = (self.files.load(Relaxed), self.bytes.load(Relaxed));
        let mut line = format!(
            "{seconds:.0} s: {} ({}){}",
            counted(files, "file", "files"),
            binary_bytes(done),
            self.message_after_colon()
        );
        let total = self.totals.bytes.load(Relaxed);
        if self.totals.complete.load(Relaxed) && total > done && done > 0 {
            let left = seconds * (total - done) as f64 / done as f64;
            let left = Duration::from_secs_f64(left.min(1e9));
            let all = self.totals.files.load(Relaxed);
            line.push_str(&format!(
                ", {} of {} files left, about {}",
                grouped(all.saturating_sub(files)),
                grouped(all),
                indicatif::HumanDuration(left),
            ));
        }
        line
    }
}

async fn show(
    shared: Arc<ProgressState>,
    mut count: Option<(tree::WalkOptions, Filter)>,
    client: Client,
) {
    let count_after = match shared.bar {
        Some(_) => COUNT_AFTER.0,
        None => COUNT_AFTER.1,
    };
    let mut next_line = shared.begin + LINE_INTERVAL;
    let mut in_outage = false;
    loop {
        tokio::time::sleep(TICK).await;
        if shared.begin.elapsed() >= count_after
            && let Some((tree, filter)) = count.take()
        {
            shared.count(tree, filter);
        }
        match client.traffic().outage() {
            Some(outage) if !in_outage && outage.since.elapsed() >= OUTAGE_AFTER => {
                in_outage = true;
                shared.say(&format!(
                    "the network is unreachable ({}): waiting for it, nothing is lost",
                    outage.cause
                ));
            }
            None if in_outage => {
                in_outage = false;
                shared.say("the network is reachable again: continuing");
            }
            _ => {}
        }
        if let Some(bar) = &shared.bar {
            shared.update(bar);
        } else if Instant::now() >= next_line {
            next_line = Instant::now() + LINE_INTERVAL;
            shared.ui.say(shared.line());
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
