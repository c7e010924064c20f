//! What a decision and the outcome of an upload leave behind: in the summary, in the journal and on the
//! terminal.

use tokio::task::JoinError;

use super::Run;
use crate::decide::{Decision, decide};
use crate::error::Error;
use crate::pairs::Pair;
use crate::s3::{ErrorKind, MAX_REFUSALS_IN_A_ROW, S3Error};
use crate::sync::journal_rules::JournalChange;
use crate::sync::summary::fail_line;
use crate::tree::TreeEntry;
use crate::upload::{Job, UploadOutcome};

impl Run {
    /// Decides upon a pair. A file that is to be read or sent is returned as a job; all else is done here.
    pub(super) fn apply_decision(&mut self, pair: Pair) -> Option<Job> {
        let decision = decide(&pair, &self.options.ownership.owner, self.options.decision);
        match (decision, &pair.local) {
            (Decision::Send(_) | Decision::Compare, Some(TreeEntry::File(file))) => {
                let file = file.clone();
                return Some(Job {
                    file,
                    pair,
                    decision,
                    sent_etag: None,
                    stored_record: None,
                });
            }
            (Decision::Same, Some(TreeEntry::File(file))) => {
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
            (_, Some(TreeEntry::Skipped(skipped))) => {
                let line = self.summary.skip(skipped.clone());
                self.progress.say(&line);
            }
            (Decision::DeletedInBucket, _) => self.summary.deleted_in_bucket += 1,
            (Decision::Delete, _) => {
                if self.ui.verbose {
                    let path = pair.path.escape_debug();
                    self.progress.say(&format!("to delete: `{path}`"));
                }
                self.to_delete.add(&pair);
            }
            (Decision::Gone, _) => {}
            // `OnlyInBucket`: every other decision was matched above, with the local entry that it is about.
            _ => {
                self.summary.only_in_bucket += 1;
                if self.options.decision.delete {
                    let line = self.summary.leave_not_recorded(pair.path.clone());
                    self.progress.say(&line);
                }
            }
        }
        let change = self.journal_rules.after_decision(&pair, decision);
        self.change_journal(pair.path, change);
        None
    }

    /// Takes over the outcome of an upload.
    pub(super) fn finish_upload(&mut self, ended: Result<(Job, UploadOutcome), JoinError>) {
        let (job, outcome) = match ended {
            Ok(ended) => ended,
            Err(e) if e.is_cancelled() => return,
            Err(e) => {
                self.stopped = Some(Error::new("continue the uploads").cause(e));
                return;
            }
        };
        let path = job.pair.path.clone();
        let change = self
            .journal_rules
            .after_upload(&job.pair, job.stored_record, &outcome);
        self.change_journal(path.clone(), change);
        match outcome {
            UploadOutcome::Uploaded { bytes, .. } => {
                self.refused_in_a_row = 0;
                self.summary.uploaded.add(bytes);
                if self.ui.verbose {
                    let line = format!("uploaded: `{}`", path.escape_debug());
                    self.progress.say(&line);
                }
                self.count_done(bytes);
            }
            UploadOutcome::Same { bytes, .. } => {
                self.summary.unchanged.add(bytes);
                self.count_done(bytes);
            }
            UploadOutcome::Conflict(conflict) => {
                let line = self.summary.conflict(path, conflict);
                self.progress.say(&line);
            }
            UploadOutcome::Hidden { maybe_sent } => {
                let in_bucket = job.pair.object.is_some() || maybe_sent;
                let line = self.summary.hide(path, in_bucket);
                self.progress.say(&line);
            }
            UploadOutcome::Skipped(skipped) => {
                let line = self.summary.skip(skipped);
                self.progress.say(&line);
            }
            UploadOutcome::Failed(error) => self.report_failure(path, *error),
        }
    }

    fn count_done(&mut self, bytes: u64) {
        self.window.completed += 1;
        self.progress.done(bytes);
    }

    /// Reports a file that failed; a cause that all files share ends the run.
    fn report_failure(&mut self, path: String, error: S3Error) {
        if !matches!(*error.kind, ErrorKind::Local(_)) {
            self.refused_in_a_row += 1;
        }
        let all_refused = self.refused_in_a_row >= MAX_REFUSALS_IN_A_ROW;
        if error.ends_the_run() || all_refused {
            let bucket = &self.client.target().bucket;
            let mut operation =
                format!("upload `{}` to the bucket `{bucket}`", path.escape_debug());
            if all_refused {
                operation.push_str(&format!(
                    ", the {MAX_REFUSALS_IN_A_ROW}th file in a row that is refused"
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

    fn change_journal(&self, path: String, change: Option<JournalChange>) {
        match change {
            Some(JournalChange::Record(record)) => self.writer.record(path, record),
            Some(JournalChange::Remove) => self.writer.remove(path),
            None => {}
        }
    }
}
