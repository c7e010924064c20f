//! A whole run: pairs are decided upon in key order, and uploads run side by side.

mod results;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::delete::ToDelete;
use super::journal_rules::{JournalRules, RunCoverage};
use super::options::SyncOptions;
use super::ownership::CONFIRM_OWNER_EVERY;
use super::summary::Summary;
use crate::decide::Decision;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::journal::{Journal, Writer};
use crate::pairs::Pairs;
use crate::progress::Progress;
use crate::s3::{Client, S3Error};
use crate::ui::Ui;
use crate::upload::concurrency::{Concurrency, Window};
use crate::upload::{Job, UploadOptions, UploadOutcome, Uploader, upload_one};

/// How often the number of uploads at once is adapted.
const ADAPT_EVERY: Duration = Duration::from_millis(250);

/// After Ctrl-C, uploads may take this long to end.
const GRACE: Duration = Duration::from_secs(10);

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    /// What was done.
    pub summary: Summary,
    /// Why the run stopped before its end.
    pub stopped: Option<Error>,
}

/// Runs until all is done, something ends it, or the user interrupts it.
///
/// # Errors
/// Where the directory or the list of files cannot be used.
pub async fn run(
    client: Client,
    journal: Journal,
    options: SyncOptions,
    ui: Ui,
    interrupt: Interrupt,
) -> Result<Finished> {
    let rules = JournalRules::new(options.ownership.owner.clone(), journal.is_complete());
    if rules.is_incomplete_during_run() {
        journal.mark_incomplete()?;
    }
    let mut pairs = Pairs::begin(&client, journal.cursor(), &options.join)?;
    client.traffic().requests.set_rate(options.max_rate);
    client.traffic().bytes.set_rate(options.bandwidth);
    let mut run = Run::new(&client, &journal, &options, rules, ui, interrupt);
    let worked = run.work(&mut pairs).await;
    run.let_uploads_end().await;
    let mut stopped = run.stopped.take().or(worked.err());
    run.summary.excluded = pairs.excluded();
    if stopped.is_none() && !run.summary.interrupted {
        check_not_empty(&pairs, &options)?;
        let confirm_owner = async || options.ownership.confirm(&options.ownership_check).await;
        let deleted = run.to_delete.delete(
            &client,
            &pairs,
            &mut run.summary,
            &run.interrupt,
            confirm_owner,
        );
        stopped = deleted.await.err();
    }
    let journal_complete = run.is_journal_complete(stopped.is_none());
    // The thread of `pairs` reads the journal, which `close` closes.
    drop(pairs);
    let mut summary = run.close(journal_complete);
    summary.stopped = stopped.as_ref().map(ToString::to_string);
    Ok(Finished { summary, stopped })
}

/// An empty directory is a wrong path, or a disk that is not mounted.
fn check_not_empty(pairs: &Pairs, options: &SyncOptions) -> Result<()> {
    if pairs.entries() > 0 {
        return Ok(());
    }
    let root = options.join.walk.root.display();
    Err(Error::usage(format!("upload the media directory `{root}`"))
        .cause("it is empty")
        .hint("check the path, and that its disk is mounted"))
}

/// The state of a run.
struct Run {
    client: Client,
    options: SyncOptions,
    uploader: Arc<Uploader>,
    uploads: JoinSet<(Job, UploadOutcome)>,
    /// Uploads were aborted whose outcome is not known.
    uploads_aborted: bool,
    writer: Writer,
    journal_rules: JournalRules,
    concurrency: Concurrency,
    window: Window,
    window_begin: Instant,
    /// Responses of the service that had asked to slow down when the window began.
    slow_downs_before: u64,
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
        options: &SyncOptions,
        journal_rules: JournalRules,
        ui: Ui,
        interrupt: Interrupt,
    ) -> Self {
        let count = options.join.files_from.is_none();
        let count = count.then(|| (options.join.walk.clone(), options.join.filter.clone()));
        let ownership = &options.ownership;
        Run {
            client: client.clone(),
            uploader: Arc::new(Uploader::new(
                client.clone(),
                journal.clone(),
                UploadOptions {
                    multipart: options.multipart,
                    dry_run: options.dry_run,
                    owner: ownership.owner.clone(),
                    no_mastodon: ownership.no_mastodon,
                    decision: options.decision,
                },
            )),
            uploads: JoinSet::new(),
            uploads_aborted: false,
            writer: journal.writer(),
            journal_rules,
            concurrency: Concurrency::new(options.concurrency),
            window: Window::default(),
            window_begin: Instant::now(),
            slow_downs_before: client.traffic().slow_downs(),
            refused_in_a_row: 0,
            to_delete: ToDelete::new(
                options.join.walk.root.clone(),
                options.max_deletions,
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

    /// Decides upon each pair and starts uploads, until all is done or something ends the run.
    async fn work(&mut self, pairs: &mut Pairs) -> Result<()> {
        let mut adapt = tokio::time::interval(ADAPT_EVERY);
        adapt.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let first = Instant::now() + CONFIRM_OWNER_EVERY;
        let mut confirm_owner = tokio::time::interval_at(first.into(), CONFIRM_OWNER_EVERY);
        let mut interrupt = self.interrupt.clone();
        let mut next: Option<Job> = None;
        let mut more = true;
        loop {
            if self.stopped.is_some() || interrupt.is_set() {
                return Ok(());
            }
            let full = self.uploads.len() >= self.concurrency.limit();
            self.window.saturated |= full;
            if !full && let Some(job) = next.take() {
                self.start_upload(job);
                continue;
            }
            if !more && next.is_none() && self.uploads.is_empty() {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = interrupt.requested() => {}
                Some(ended) = self.uploads.join_next(), if !self.uploads.is_empty() => {
                    self.finish_upload(ended);
                }
                _ = adapt.tick() => self.adapt_concurrency(),
                _ = confirm_owner.tick() => {
                    let check = &self.options.ownership_check;
                    self.options.ownership.confirm_by_settings(check).await?;
                }
                pair = pairs.next(), if more && next.is_none() => match pair? {
                    Some(pair) => next = self.apply_decision(pair),
                    None => more = false,
                },
            }
        }
    }

    /// Starts an upload; where Mastodon may own the bucket, once its key is recorded.
    fn start_upload(&mut self, job: Job) {
        let uploader = self.uploader.clone();
        let sends_new = matches!(job.decision, Decision::Send(_));
        let records_first = self.journal_rules.records_before_sending() && !self.options.dry_run;
        if !records_first || !sends_new {
            self.uploads.spawn(upload_one(uploader, job));
            return;
        }
        let written = self.writer.sending(job.pair.path.clone());
        self.uploads.spawn(async move {
            match written.await {
                Ok(()) => upload_one(uploader, job).await,
                Err(_) => {
                    let cause = std::io::Error::other("the journal cannot be written");
                    let error = S3Error::local(&job.pair.path, cause);
                    (job, UploadOutcome::Failed(Box::new(error)))
                }
            }
        });
    }

    fn adapt_concurrency(&mut self) {
        let slow_downs = self.client.traffic().slow_downs();
        self.window.seconds = self.window_begin.elapsed().as_secs_f64();
        self.window.slow_downs = slow_downs - self.slow_downs_before;
        self.concurrency.observe(std::mem::take(&mut self.window));
        self.window_begin = Instant::now();
        self.slow_downs_before = slow_downs;
        self.progress.message(self.summary.so_far());
    }

    /// Waits for the uploads that have begun; aborts those that do not end in time.
    async fn let_uploads_end(&mut self) {
        self.summary.interrupted = self.interrupt.is_set();
        let deadline = tokio::time::Instant::now() + GRACE;
        while !self.uploads.is_empty() {
            match tokio::time::timeout_at(deadline, self.uploads.join_next()).await {
                Ok(Some(ended)) => self.finish_upload(ended),
                Ok(None) => break,
                Err(_) => {
                    self.uploads_aborted = true;
                    self.uploads.shutdown().await;
                }
            }
        }
    }

    fn is_journal_complete(&self, ended: bool) -> bool {
        self.journal_rules.is_complete_after(RunCoverage {
            all_paths: ended
                && !self.summary.interrupted
                && self.options.join.files_from.is_none()
                && self.options.join.filter.takes_all(),
            uploads_aborted: self.uploads_aborted,
            sent_unrecorded: self.options.decision.send_unrecorded,
        })
    }

    /// Closes the journal and completes the summary.
    fn close(self, journal_complete: bool) -> Summary {
        drop(self.progress);
        // The thread that reads and every upload have ended, so this is the last to write.
        if let Err(e) = self.writer.finish(journal_complete) {
            self.ui.say(format!(
                "note: the journal was not written ({e}); the next run reads more files, and uploads none twice"
            ));
        }
        let traffic = self.client.traffic();
        Summary {
            requests: traffic.requests_sent(),
            retries: traffic.retries(),
            seconds: self.begin.elapsed().as_secs_f64(),
            ..self.summary
        }
    }
}
