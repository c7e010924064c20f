//! A whole run, from the first look at the directory to the report.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::apply::{Job, Outcome, Workshop, bring};
use super::filter::Filter;
use super::journal::{Journal, Writer};
use super::merge::{Deletion, Merge, Root, Step};
use super::plan::Rules;
use super::progress::{Progress, Totals};
use super::scan::Scan;
use super::summary::{Summary, fail_line, skip_line};
use super::tune::{Tuner, Window};
use crate::error::{Error, Result};
use crate::report::Ui;
use crate::s3::{Client, S3Error};

/// How often the pace is reconsidered and the progress shown.
const TICK: Duration = Duration::from_millis(250);

/// A run this long gets its files counted, so that it can tell the time left: counting walks the
/// directory once more, so it begins when the bar, or else the first line, wants it.
const COUNT_AFTER: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(8));

/// After Ctrl-C, what is under way may take this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// So many files in a row that the service refused for reasons of its own end a run: each of them
/// was tried many times.
const HOPELESS_AFTER: u32 = 16;

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The media directory.
    pub directory: PathBuf,
    /// Paths to look at instead of all of it.
    pub files_from: Option<Vec<OsString>>,
    /// Which paths take part.
    pub filter: Filter,
    /// Equal size is enough; delete what is only in the bucket.
    pub rules: Rules,
    /// Read every file, whatever the journal says.
    pub checksum: bool,
    /// Change nothing.
    pub dry_run: bool,
    /// Delete nothing where more than this many objects would go; where nobody said how many, a
    /// thousand, and a tenth of those that are there.
    pub most_deletions: Option<u64>,
    /// Uploads at once, at most.
    pub concurrency: usize,
    /// Requests a second, at most.
    pub highest_rate: Option<f64>,
    /// Bytes a second, at most.
    pub bandwidth: Option<f64>,
    /// Bytes of one part of a multipart upload.
    pub part_size: u64,
    /// Files of so many bytes are sent in parts.
    pub multipart_from: u64,
    /// Sort the listing in memory: the service does not list in key order.
    pub sort_listing: bool,
    /// Where the journal is.
    pub state_dir: PathBuf,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub summary: Summary,
    /// Why the run stopped before its end.
    pub stopped: Option<Error>,
}

/// Runs. `interrupted` turns true when the run is to end.
pub async fn run(
    client: Client,
    options: Options,
    ui: Ui,
    interrupted: watch::Receiver<bool>,
) -> Result<Finished> {
    let begin = Instant::now();
    let prefix_length = client.target().key_prefix.len();
    let directory = options.directory.clone();
    let canonical = directory
        .canonicalize()
        .unwrap_or_else(|_| directory.clone());
    let excluded = Arc::new(AtomicU64::new(0));
    // Looked at before the journal, so that a wrong path leaves nothing behind.
    super::walk::walk(&directory, prefix_length)?;
    let root = Root::of(&directory);
    let (journal, said) = Journal::open(&options.state_dir, client.target(), &canonical)?;
    if let Some(said) = said {
        ui.say(format!("note: {said}"));
    }
    let writer = Arc::new(journal.writer());
    let local = Scan {
        root: directory.clone(),
        prefix_length,
        listed: options.files_from.is_some(),
        files_from: options.files_from.clone(),
        filter: options.filter.clone(),
        excluded: excluded.clone(),
        journal: (!options.checksum && !options.rules.size_only)
            .then(|| (journal.cursor(), writer.clone())),
    }
    .begin()?;

    let traffic = client.traffic();
    traffic.requests.set_rate(options.highest_rate);
    traffic.bytes.set_rate(options.bandwidth);
    let totals = Arc::new(Totals::default());
    let mut crew = Crew {
        workshop: Arc::new(Workshop::new(
            client.clone(),
            directory.clone(),
            options.part_size,
            options.multipart_from,
            options.dry_run,
        )),
        tasks: JoinSet::new(),
        tuner: Tuner::new(options.concurrency, options.highest_rate),
        window: Instant::now(),
        completed: 0,
        saturated: false,
        slow_downs: traffic.slow_downs(),
        progress: Progress::new(ui, totals.clone()),
        summary: Summary {
            dry_run: options.dry_run,
            ..Summary::default()
        },
        writer: writer.clone(),
        refused_in_a_row: 0,
        stopped: None,
        interrupted: interrupted.clone(),
        count_after: if ui.interactive {
            COUNT_AFTER.0
        } else {
            COUNT_AFTER.1
        },
        counting: (options.files_from.is_none() && !ui.quiet).then(|| {
            let (totals, filter) = (totals.clone(), options.filter.clone());
            let start: Box<dyn Fn() + Send> =
                Box::new(move || totals.count(&directory, prefix_length, &filter));
            start
        }),
        begin,
    };
    let mut merge = Merge::new(local, &client, &options);
    let walked = crew.work(&mut merge).await;
    let (mut summary, mut stopped) = crew.finish(walked).await;
    totals.abandon();

    if stopped.is_none() && !summary.interrupted {
        merge.check_not_empty(&options, &summary, excluded.load(Relaxed))?;
        let deletion = Deletion {
            client: &client,
            root,
            interrupted,
            ui,
        };
        if let Err(error) = merge.delete(deletion, &options, &mut summary).await {
            stopped = Some(error);
        }
    }
    drop(merge);
    finish_journal(writer, ui);
    summary.excluded = excluded.load(Relaxed);
    summary.requests = traffic.sent_requests();
    summary.retries = traffic.retries();
    summary.seconds = begin.elapsed().as_secs_f64();
    summary.stopped = stopped.as_ref().map(ToString::to_string);
    Ok(Finished { summary, stopped })
}

fn finish_journal(writer: Arc<Writer>, ui: Ui) {
    // The scanning thread has ended and every upload too, so this is the last one.
    if let Some(writer) = Arc::into_inner(writer)
        && let Err(e) = writer.finish()
    {
        ui.say(format!(
            "note: the journal was not written ({e}); the next run reads more files and sends nothing twice"
        ));
    }
}

/// Uploads under way, and what is learnt from those that end.
struct Crew {
    workshop: Arc<Workshop>,
    tasks: JoinSet<(String, Outcome)>,
    tuner: Tuner,
    window: Instant,
    completed: u64,
    saturated: bool,
    slow_downs: u64,
    progress: Progress,
    summary: Summary,
    writer: Arc<Writer>,
    refused_in_a_row: u32,
    stopped: Option<Error>,
    interrupted: watch::Receiver<bool>,
    count_after: Duration,
    /// Starts the counting of files once the run has lasted a while.
    counting: Option<Box<dyn Fn() + Send>>,
    begin: Instant,
}

impl Crew {
    /// Hands out work until there is none, or until something ends the run.
    async fn work(&mut self, merge: &mut Merge) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut next: Option<Job> = None;
        let mut more = true;
        loop {
            if self.stopped.is_some() || *self.interrupted.borrow() {
                return Ok(());
            }
            let full = self.tasks.len() >= self.tuner.setting().limit;
            self.saturated |= full;
            if !full && let Some(job) = next.take() {
                let workshop = self.workshop.clone();
                self.tasks.spawn(bring(workshop, job));
                continue;
            }
            if !more && next.is_none() && self.tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                Ok(()) = self.interrupted.changed() => {}
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    self.note(ended);
                }
                _ = tick.tick() => self.tick(),
                step = merge.next(), if more && next.is_none() => match step {
                    Ok(Some(step)) => next = self.take(step),
                    Ok(None) => more = false,
                    Err(e) => return Err(e),
                },
            }
        }
    }

    /// Counts what needs no work; the rest is a job.
    fn take(&mut self, step: Step) -> Option<Job> {
        match step {
            Step::Job(job) => return Some(job),
            Step::Unchanged(bytes) => self.summary.unchanged.add(bytes),
            Step::OnlyThere => self.summary.only_in_bucket += 1,
            Step::Skipped(skipped) => {
                self.progress.say(&skip_line(&skipped));
                self.summary.skip(skipped);
            }
            Step::ToBeDeleted => {}
        }
        None
    }

    /// Learns from an upload that ended.
    fn note(&mut self, ended: Result<(String, Outcome), tokio::task::JoinError>) {
        let (path, outcome) = match ended {
            Ok(ended) => ended,
            Err(e) if e.is_cancelled() => return,
            Err(e) => {
                self.stopped = Some(Error::new("go on with the uploads").cause(e));
                return;
            }
        };
        match outcome {
            Outcome::Uploaded { bytes, record } => {
                self.completed += 1;
                self.refused_in_a_row = 0;
                self.progress.detail(&path);
                self.summary.uploaded.add(bytes);
                if let Some(record) = record {
                    self.writer.record(path, record);
                }
            }
            Outcome::Unchanged { bytes, record } => {
                self.completed += 1;
                self.summary.unchanged.add(bytes);
                if let Some(record) = record {
                    self.writer.record(path, record);
                }
            }
            Outcome::Skipped(skipped) => {
                self.progress.say(&skip_line(&skipped));
                self.summary.skip(skipped);
            }
            Outcome::Failed(error) => self.failed(path, *error),
        }
    }

    /// One file that failed is told and passed over; a cause that all files share ends the run.
    fn failed(&mut self, path: String, error: S3Error) {
        if error.kind.may_be_retried() {
            self.refused_in_a_row += 1;
        }
        let hopeless = self.refused_in_a_row >= HOPELESS_AFTER;
        if error.is_fatal() || hopeless {
            if self.stopped.is_none() {
                let bucket = &self.workshop.client.target().bucket;
                let operation =
                    format!("upload `{}` to the bucket `{bucket}`", path.escape_debug());
                self.stopped = Some(error.into_error(operation));
            }
            return;
        }
        let line = error.to_string();
        self.progress.say(&fail_line(&path, &line));
        self.summary.fail(path, line);
    }

    fn tick(&mut self) {
        if self.begin.elapsed() >= self.count_after
            && let Some(count) = self.counting.take()
        {
            count();
        }
        let traffic = self.workshop.client.traffic();
        let slow_downs = traffic.slow_downs();
        let setting = self.tuner.observe(Window {
            seconds: self.window.elapsed().as_secs_f64(),
            completed: self.completed,
            slow_downs: slow_downs - self.slow_downs,
            saturated: self.saturated,
        });
        traffic.requests.set_rate(setting.rate);
        self.window = Instant::now();
        self.completed = 0;
        self.saturated = false;
        self.slow_downs = slow_downs;
        self.progress.update(&self.summary);
    }

    /// Lets what is under way end, within bounds, and closes the account.
    async fn finish(mut self, walked: Result<()>) -> (Summary, Option<Error>) {
        if let Err(e) = walked {
            self.stopped.get_or_insert(e);
        }
        self.summary.interrupted = *self.interrupted.borrow();
        let deadline = tokio::time::Instant::now() + GRACE;
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(ended)) => self.note(ended),
                Ok(None) => break,
                Err(_) => self.tasks.abort_all(),
            }
            if self.tasks.is_empty() {
                break;
            }
        }
        self.progress.finish();
        (self.summary, self.stopped)
    }
}
