//! A whole run: pairs come in key order, each is decided upon, and what is to be sent is sent side by
//! side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinSet};

use super::delete::ToDelete;
use super::owner::{Answer, Question};
use super::remember::{Note, Reach, Remember};
use super::summary::{Summary, fail_line};
use crate::decide::{Decision, Flags, decide};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::journal::{Journal, Writer};
use crate::pairs::{self, Pair, Pairs};
use crate::progress::Progress;
use crate::s3::{Client, ErrorKind, S3Error};
use crate::tree::Entry;
use crate::ui::Ui;
use crate::upload::pace::{Pace, Window};
use crate::upload::{Job, Limits, Outcome, Uploader, upload_one};

/// How often the number of uploads at once is reconsidered.
const TICK: Duration = Duration::from_millis(250);

/// How often it is looked whether the owner of the media still is the same.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// After Ctrl-C, what is under way may take this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// So many files in a row that the service refused end a run: one key may be refused for reasons of
/// its own, sixteen are not.
const HOPELESS_AFTER: u32 = 16;

/// What to do, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which paths, and how they are walked.
    pub pairs: pairs::Options,
    /// Who owns the media.
    pub answer: Answer,
    /// How to ask for the owner again.
    pub question: Question,
    /// What else decides.
    pub flags: Flags,
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
    /// Bounds of one upload.
    pub limits: Limits,
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub summary: Summary,
    /// Why the run stopped before its end.
    pub stopped: Option<Error>,
}

/// Runs until all is done, something ends it, or `interrupt` asks for the end.
///
/// # Errors
/// Where the directory or the list of files cannot be used.
pub async fn run(
    client: Client,
    journal: Journal,
    options: Options,
    ui: Ui,
    interrupt: Interrupt,
) -> Result<Finished> {
    let remember = Remember::new(options.answer.owner.clone(), journal.is_settled());
    if remember.unsettles() {
        journal.unsettle()?;
    }
    let mut pairs = Pairs::begin(&client, journal.cursor(), &options.pairs)?;
    client.traffic().requests.set_rate(options.highest_rate);
    client.traffic().bytes.set_rate(options.bandwidth);
    let mut run = Run::new(&client, &journal, &options, remember, ui, interrupt);
    let worked = run.work(&mut pairs).await;
    run.let_uploads_end().await;
    let mut stopped = run.stopped.take().or(worked.err());
    run.summary.excluded = pairs.excluded();
    if stopped.is_none() && !run.summary.interrupted {
        check_not_empty(&pairs, &options)?;
        let again = async || options.question.ask_again(&options.answer).await;
        let deleted =
            run.to_delete
                .delete(&client, &pairs, &mut run.summary, &run.interrupt, again);
        stopped = deleted.await.err();
    }
    let settled = run.is_settled(stopped.is_none());
    // It reads the journal that the writer closes.
    drop(pairs);
    let mut summary = run.close(settled);
    summary.stopped = stopped.as_ref().map(ToString::to_string);
    Ok(Finished { summary, stopped })
}

/// An empty directory is a wrong path, or a disk that is not mounted.
fn check_not_empty(pairs: &Pairs, options: &Options) -> Result<()> {
    if pairs.entries() > 0 {
        return Ok(());
    }
    let root = options.pairs.tree.root.display();
    Err(Error::usage(format!("upload the media directory `{root}`"))
        .cause("it is empty")
        .hint("check the path, and that its disk is mounted"))
}

/// A run under way: uploads, and what is learnt from those that end.
struct Run {
    client: Client,
    options: Options,
    uploader: Arc<Uploader>,
    tasks: JoinSet<(Job, Outcome)>,
    /// Uploads that were cut off, whose outcome nobody knows.
    cut_off: bool,
    writer: Writer,
    remember: Remember,
    pace: Pace,
    window: Window,
    window_begin: Instant,
    slow_downs: u64,
    refused_in_a_row: u32,
    to_delete: ToDelete,
    summary: Summary,
    progress: Progress,
    ui: Ui,
    stopped: Option<Error>,
    interrupt: Interrupt,
    begin: Instant,
}

impl Run {
    fn new(
        client: &Client,
        journal: &Journal,
        options: &Options,
        remember: Remember,
        ui: Ui,
        interrupt: Interrupt,
    ) -> Self {
        let count = options.pairs.files_from.is_none();
        let count = count.then(|| (options.pairs.tree.clone(), options.pairs.filter.clone()));
        let Answer { owner, alone, .. } = options.answer.clone();
        Run {
            client: client.clone(),
            uploader: Arc::new(Uploader::new(
                client.clone(),
                journal.clone(),
                options.limits,
                (owner, alone, options.flags),
                options.dry_run,
            )),
            tasks: JoinSet::new(),
            cut_off: false,
            writer: journal.writer(),
            remember,
            pace: Pace::new(options.concurrency),
            window: Window::default(),
            window_begin: Instant::now(),
            slow_downs: client.traffic().slow_downs(),
            refused_in_a_row: 0,
            to_delete: ToDelete::new(
                options.pairs.tree.root.clone(),
                options.most_deletions,
                options.dry_run,
            ),
            summary: Summary {
                dry_run: options.dry_run,
                ..Summary::default()
            },
            progress: Progress::begin(ui, count, client.clone()),
            ui,
            stopped: None,
            interrupt,
            begin: Instant::now(),
            options: options.clone(),
        }
    }

    /// Hands out work until there is none, or until something ends the run.
    async fn work(&mut self, pairs: &mut Pairs) -> Result<()> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut look = tokio::time::interval_at((Instant::now() + LOOK_AGAIN).into(), LOOK_AGAIN);
        let mut interrupt = self.interrupt.clone();
        let mut next: Option<Job> = None;
        let mut more = true;
        loop {
            if self.stopped.is_some() || interrupt.is_set() {
                return Ok(());
            }
            let full = self.tasks.len() >= self.pace.limit();
            self.window.saturated |= full;
            if !full && let Some(job) = next.take() {
                self.spawn(job);
                continue;
            }
            if !more && next.is_none() && self.tasks.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = interrupt.requested() => {}
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.note(ended),
                _ = tick.tick() => self.tick(),
                _ = look.tick() => self.options.question.look_again(&self.options.answer).await?,
                pair = pairs.next(), if more && next.is_none() => match pair? {
                    Some(pair) => next = self.take(pair),
                    None => more = false,
                },
            }
        }
    }

    /// Sends a file; where Mastodon may own the bucket, once that is written down.
    fn spawn(&mut self, job: Job) {
        let uploader = self.uploader.clone();
        let sends_new = matches!(job.decision, Decision::Send(_));
        if !self.remember.announces() || self.options.dry_run || !sends_new {
            self.tasks.spawn(upload_one(uploader, job));
            return;
        }
        let written = self.writer.sending(job.pair.path.clone());
        self.tasks.spawn(async move {
            match written.await {
                Ok(()) => upload_one(uploader, job).await,
                Err(_) => {
                    let cause = std::io::Error::other("the journal cannot be written");
                    let error = S3Error::local(&job.pair.path, cause);
                    (job, Outcome::Failed(Box::new(error)))
                }
            }
        });
    }

    /// Counts what needs no work; the rest is a job.
    fn take(&mut self, pair: Pair) -> Option<Job> {
        let decision = decide(&pair, &self.options.answer.owner, self.options.flags);
        match (decision, &pair.local) {
            (Decision::Send(_) | Decision::Compare, Some(Entry::File(file))) => {
                let file = file.clone();
                return Some(Job {
                    file,
                    pair,
                    decision,
                    sent: None,
                    stored: None,
                });
            }
            (Decision::Same, Some(Entry::File(file))) => {
                self.summary.unchanged.add(file.stamp.size);
                self.progress.done(file.stamp.size);
            }
            (Decision::Conflict(conflict), _) => {
                let line = self.summary.conflict(pair.path.clone(), conflict);
                self.progress.say(&line);
            }
            (Decision::Hidden, _) => {
                let line = self.summary.hide(pair.path.clone(), pair.object.is_some());
                self.progress.say(&line);
            }
            (_, Some(Entry::Skipped(skipped))) => {
                let line = self.summary.skip(skipped.clone());
                self.progress.say(&line);
            }
            (Decision::DeletedThere, _) => self.summary.deleted_there += 1,
            (Decision::Delete, _) => {
                if self.ui.verbose {
                    let path = pair.path.escape_debug();
                    self.progress.say(&format!("to delete: `{path}`"));
                }
                self.to_delete.add(&pair);
            }
            (Decision::Gone, _) => {}
            _ => {
                self.summary.only_in_bucket += 1;
                if self.options.flags.delete {
                    let line = self.summary.leave_not_recorded(pair.path.clone());
                    self.progress.say(&line);
                }
            }
        }
        self.write(pair.path.clone(), self.remember.left(&pair, decision));
        None
    }

    fn write(&self, path: String, note: Option<Note>) {
        match note {
            Some(Note::Record(record)) => self.writer.record(path, record),
            Some(Note::Forget) => self.writer.forget(path),
            None => {}
        }
    }

    /// Learns from an upload that ended.
    fn note(&mut self, ended: Result<(Job, Outcome), JoinError>) {
        let (job, outcome) = match ended {
            Ok(ended) => ended,
            Err(e) if e.is_cancelled() => return,
            Err(e) => {
                self.stopped = Some(Error::new("go on with the uploads").cause(e));
                return;
            }
        };
        let path = job.pair.path.clone();
        self.write(
            path.clone(),
            self.remember.after(&job.pair, job.stored, &outcome),
        );
        match outcome {
            Outcome::Uploaded { bytes, .. } => {
                self.refused_in_a_row = 0;
                self.summary.uploaded.add(bytes);
                if self.ui.verbose {
                    let line = format!("uploaded: `{}`", path.escape_debug());
                    self.progress.say(&line);
                }
                self.done(bytes);
            }
            Outcome::Same { bytes, .. } => {
                self.summary.unchanged.add(bytes);
                self.done(bytes);
            }
            Outcome::Conflict(conflict) => {
                let line = self.summary.conflict(path, conflict);
                self.progress.say(&line);
            }
            Outcome::Hidden { maybe_sent } => {
                let is_there = job.pair.object.is_some() || maybe_sent;
                let line = self.summary.hide(path, is_there);
                self.progress.say(&line);
            }
            Outcome::Skipped(skipped) => {
                let line = self.summary.skip(skipped);
                self.progress.say(&line);
            }
            Outcome::Failed(error) => self.failed(path, *error),
        }
    }

    fn done(&mut self, bytes: u64) {
        self.window.completed += 1;
        self.progress.done(bytes);
    }

    /// One file that failed is told and passed over; a cause that all files share ends the run.
    fn failed(&mut self, path: String, error: S3Error) {
        if !matches!(*error.kind, ErrorKind::Local(_)) {
            self.refused_in_a_row += 1;
        }
        let hopeless = self.refused_in_a_row >= HOPELESS_AFTER;
        if error.ends_the_run() || hopeless {
            let bucket = &self.client.target().bucket;
            let mut operation =
                format!("upload `{}` to the bucket `{bucket}`", path.escape_debug());
            if hopeless {
                operation.push_str(&format!(
                    ", the {HOPELESS_AFTER}th in a row that is refused"
                ));
            }
            self.stopped
                .get_or_insert_with(|| error.into_error(operation));
            return;
        }
        let error = error.to_string();
        self.progress.say(&fail_line(&path, &error));
        self.summary.fail(path, error);
    }

    fn tick(&mut self) {
        let slow_downs = self.client.traffic().slow_downs();
        self.window.seconds = self.window_begin.elapsed().as_secs_f64();
        self.window.slow_downs = slow_downs - self.slow_downs;
        self.pace.observe(std::mem::take(&mut self.window));
        self.window_begin = Instant::now();
        self.slow_downs = slow_downs;
        self.progress.message(self.summary.so_far());
    }

    /// Lets what is under way end, within bounds.
    async fn let_uploads_end(&mut self) {
        self.summary.interrupted = self.interrupt.is_set();
        let deadline = tokio::time::Instant::now() + GRACE;
        while !self.tasks.is_empty() {
            match tokio::time::timeout_at(deadline, self.tasks.join_next()).await {
                Ok(Some(ended)) => self.note(ended),
                Ok(None) => break,
                Err(_) => {
                    self.cut_off = true;
                    self.tasks.shutdown().await;
                }
            }
        }
    }

    fn is_settled(&self, ended: bool) -> bool {
        self.remember.settles(Reach {
            whole: ended
                && !self.summary.interrupted
                && self.options.pairs.files_from.is_none()
                && self.options.pairs.filter.takes_all(),
            cut_off: self.cut_off,
            sent_unclear: self.options.flags.send_unclear,
        })
    }

    /// Closes the journal and the account.
    fn close(self, settled: bool) -> Summary {
        drop(self.progress);
        // The thread that reads and every upload have ended, so this is the last to write.
        if let Err(e) = self.writer.finish(settled) {
            self.ui.say(format!(
                "note: the journal was not written ({e}); the next run reads more files and sends nothing twice"
            ));
        }
        let traffic = self.client.traffic();
        Summary {
            requests: traffic.sent_requests(),
            retries: traffic.retries(),
            seconds: self.begin.elapsed().as_secs_f64(),
            ..self.summary
        }
    }
}
