//! How far a comparison or a deletion is: a bar on a terminal, a plain line now and then elsewhere.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tree::{Kind, walk};
use crate::report::Ui;
use crate::words::{counted, human_bytes};

/// Between two plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows how many files are done, of how many once a walk ahead has counted them.
#[derive(Debug)]
pub struct Progress {
    ui: Ui,
    verb: &'static str,
    bar: Option<ProgressBar>,
    next_line: Instant,
    files: u64,
    bytes: u64,
    totals: Arc<Totals>,
}

#[derive(Debug, Default)]
struct Totals {
    files: AtomicU64,
    bytes: AtomicU64,
    complete: AtomicBool,
    abandoned: AtomicBool,
}

impl Progress {
    /// Begins to count the files below `root` on a thread of its own. `verb` is what has been done
    /// to those that are done: `compared`.
    pub fn begin(ui: Ui, root: &Path, verb: &'static str) -> Self {
        let totals = Arc::new(Totals::default());
        let (counting, root) = (totals.clone(), root.to_owned());
        std::thread::spawn(move || {
            let whole = walk(&root, &mut |entry| {
                if entry.kind == Kind::File {
                    counting.files.fetch_add(1, Relaxed);
                    counting.bytes.fetch_add(entry.stamp.size, Relaxed);
                }
                !counting.abandoned.load(Relaxed)
            });
            counting.complete.store(whole.is_ok(), Relaxed);
        });
        let bar = (ui.interactive && !ui.quiet).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            bar.set_style(style("{spinner} {msg}"));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Progress {
            ui,
            verb,
            bar,
            next_line: Instant::now() + LINE_INTERVAL,
            files: 0,
            bytes: 0,
            totals,
        }
    }

    /// One more file is done.
    pub fn done(&mut self, size: u64) {
        self.files += 1;
        self.bytes += size;
        if let Some(bar) = &self.bar {
            if bar.length().is_none() && self.totals.complete.load(Relaxed) {
                bar.set_length(self.totals.bytes.load(Relaxed));
                bar.set_style(style("{bar:24} {percent:>3} % {msg}, {eta} left"));
            }
            bar.set_position(self.bytes);
            bar.set_message(self.words());
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + LINE_INTERVAL;
            self.ui.say(self.words());
        }
    }

    fn words(&self) -> String {
        let total = if self.totals.complete.load(Relaxed) {
            let files = counted(self.totals.files.load(Relaxed), "file", "files");
            format!(
                " of {files} ({})",
                human_bytes(self.totals.bytes.load(Relaxed))
            )
        } else {
            String::new()
        };
        format!(
            "{} {} ({}){total}",
            counted(self.files, "file", "files"),
            self.verb,
            human_bytes(self.bytes)
        )
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.totals.abandoned.store(true, Relaxed);
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
