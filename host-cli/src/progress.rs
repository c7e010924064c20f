//! How far a command is: a bar on a terminal, a plain line now and then elsewhere. The same for all
//! commands that run long.
//!
//! A task of its own shows it, so that it goes on while the network is away, and says so.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::filter::Filter;
use crate::report::Ui;
use crate::s3::Client;
use crate::tree::{self, Entry, walk};
use crate::words::{binary_bytes, grouped};

/// Between two looks.
const TICK: Duration = Duration::from_millis(250);

/// Between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// A run this long gets its files counted, so that it can tell the time left: counting walks the
/// directory once more, so it begins when the bar, or else the first line, wants it.
const COUNT_AFTER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));

/// The network is away for so long before that is said.
const AWAY_AFTER: Duration = Duration::from_secs(5);

/// Shows how far a command is, until it is dropped.
#[derive(Debug)]
pub struct Progress {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    ui: Ui,
    bar: Option<ProgressBar>,
    begin: Instant,
    files: AtomicU64,
    bytes: AtomicU64,
    /// More about the files that are done.
    message: Mutex<String>,
    totals: Totals,
}

/// What a walk ahead has counted; a true time left needs it to be complete.
#[derive(Debug, Default)]
struct Totals {
    files: AtomicU64,
    bytes: AtomicU64,
    complete: AtomicBool,
    abandoned: AtomicBool,
}

impl Progress {
    /// Begins. `count`: the tree whose files are to be counted, so that the time left can be told.
    /// `client`: whose network is watched.
    pub fn begin(ui: Ui, count: Option<(tree::Options, Filter)>, client: Client) -> Self {
        let bar = (ui.interactive && !ui.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(style(false));
            bar
        });
        let shared = Arc::new(Shared {
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

    /// One more file is done.
    pub fn done(&self, bytes: u64) {
        self.shared.files.fetch_add(1, Relaxed);
        self.shared.bytes.fetch_add(bytes, Relaxed);
    }

    /// What is said beside the number of files: `12 uploaded, 3 unchanged`.
    pub fn message(&self, message: String) {
        *self.shared.lock_message() = message;
    }

    /// A line that stays, above the bar where there is one.
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

impl Shared {
    fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => self.ui.say(line),
        }
    }

    fn lock_message(&self) -> std::sync::MutexGuard<'_, String> {
        self.message.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what is to be done, on a thread of its own.
    fn count(self: &Arc<Self>, tree: tree::Options, filter: Filter) {
        let shared = self.clone();
        std::thread::spawn(move || {
            let totals = &shared.totals;
            // A directory that cannot be read is told by the command itself.
            let Ok(walk) = walk(&tree) else { return };
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

    fn update(&self, bar: &ProgressBar) {
        if self.totals.complete.load(Relaxed) && bar.length().is_none() {
            bar.set_length(self.totals.bytes.load(Relaxed));
            bar.set_style(style(true));
        }
        bar.set_position(self.bytes.load(Relaxed));
        let files = grouped(self.files.load(Relaxed));
        bar.set_message(format!("{files} files: {}", self.lock_message()));
        bar.tick();
    }

    fn line(&self) -> String {
        let seconds = self.begin.elapsed().as_secs_f64();
        let (files, done) = (self.files.load(Relaxed), self.bytes.load(Relaxed));
        let mut line = format!(
            "{seconds:.0} s: {} files ({}): {}",
            grouped(files),
            binary_bytes(done),
            self.lock_message()
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

async fn show(shared: Arc<Shared>, mut count: Option<(tree::Options, Filter)>, client: Client) {
    let count_after = match shared.bar {
        Some(_) => COUNT_AFTER.0,
        None => COUNT_AFTER.1,
    };
    let mut next_line = shared.begin + LINE_INTERVAL;
    let mut away = false;
    loop {
        tokio::time::sleep(TICK).await;
        if shared.begin.elapsed() >= count_after
            && let Some((tree, filter)) = count.take()
        {
            shared.count(tree, filter);
        }
        match client.traffic().outage() {
            Some(outage) if !away && outage.since.elapsed() >= AWAY_AFTER => {
                away = true;
                shared.say(&format!(
                    "the network is away ({}): waiting for it, nothing is lost",
                    outage.cause
                ));
            }
            None if away => {
                away = false;
                shared.say("the network is back: going on");
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
