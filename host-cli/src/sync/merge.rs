//! Both streams side by side: each key once, in order, with what is to be done about it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tokio::sync::watch;

use super::apply::Job;
use super::list::Listing;
use super::plan::{Action, Local, Remote, decide};
use super::run::Options;
use super::scan::{Found, Scanned};
use super::summary::Summary;
use super::walk::{SkipReason, Skipped};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::report::Ui;
use crate::s3::{Client, Listed, S3Error};

/// What is to be done about one key.
#[derive(Debug)]
pub(super) enum Step {
    /// Read it, or send it.
    Job(Job),
    /// The same on both sides; so many bytes.
    Unchanged(u64),
    /// An object without a local file, left alone.
    OnlyThere,
    /// An object without a local file, deleted at the end.
    ToBeDeleted,
    /// Something to report.
    Skipped(Skipped),
}

/// Most deletions of one run, where nobody has said how many: the least of both.
const MOST_DELETIONS: u64 = 1000;
/// One in so many of the objects that are there.
const SHARE_OF_DELETIONS: u64 = 10;

/// The media directory's device and inode: another one is mounted over it, or it no longer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root(Option<(u64, u64)>);

impl Root {
    /// Of the directory as it is now.
    pub(super) fn of(directory: &Path) -> Root {
        let metadata = std::fs::metadata(directory).ok();
        Root(metadata.map(|metadata| (metadata.dev(), metadata.ino())))
    }
}

/// What deleting needs beside what is to be deleted.
#[derive(Debug)]
pub(super) struct Deletion<'a> {
    pub(super) client: &'a Client,
    /// The media directory as it was at the beginning.
    pub(super) root: Root,
    /// Turns true when the run is to end.
    pub(super) interrupted: watch::Receiver<bool>,
    pub(super) ui: Ui,
}

/// The two streams.
#[derive(Debug)]
pub(super) struct Merge {
    local: Scanned,
    listing: Listing,
    bucket: String,
    prefix: String,
    options: Options,
    /// The local entry whose turn has not come.
    ahead_here: Option<Found>,
    /// The object whose turn has not come.
    ahead_there: Option<Listed>,
    here_ended: bool,
    there_ended: bool,
    last_there: String,
    seen_here: u64,
    seen_there: u64,
    /// Keys to delete, as many as may be deleted and one more.
    doomed: Vec<String>,
    doomed_total: u64,
    /// A directory could not be listed, so that what is missing may be there all the same.
    blind: bool,
}

impl Merge {
    pub(super) fn new(local: Scanned, client: &Client, options: &Options) -> Self {
        Merge {
            local,
            listing: if options.sort_listing {
                Listing::begin_sorted(client)
            } else {
                Listing::begin(client, None)
            },
            bucket: client.target().bucket.clone(),
            prefix: client.target().key_prefix.clone(),
            options: options.clone(),
            ahead_here: None,
            ahead_there: None,
            here_ended: false,
            there_ended: false,
            last_there: String::new(),
            seen_here: 0,
            seen_there: 0,
            doomed: Vec::new(),
            doomed_total: 0,
            blind: false,
        }
    }

    /// The next key's step, or `None` after the last. Safe to cancel: what was taken from a
    /// stream is kept in `self` before anything is awaited again.
    pub(super) async fn next(&mut self) -> Result<Option<Step>> {
        loop {
            if self.ahead_here.is_none() && !self.here_ended {
                match self.local.next().await {
                    Some(found) => self.ahead_here = Some(found),
                    None => self.here_ended = true,
                }
            }
            if self.here_ended && self.ahead_here.is_none() && !self.wants_the_rest() {
                return Ok(None);
            }
            if let Some(Found::Skipped(skipped)) = &self.ahead_here
                && skipped.reason == SkipReason::NotUtf8
            {
                // Its name as shown is not its place in the order, and no object has it.
                let skipped = skipped.clone();
                self.ahead_here = None;
                self.seen_here += 1;
                return Ok(Some(Step::Skipped(skipped)));
            }
            if self.ahead_there.is_none() && !self.there_ended {
                self.pull_there().await?;
                continue;
            }
            return Ok(self.step());
        }
    }

    /// After the last path of a list, the rest of the bucket tells nothing.
    fn wants_the_rest(&self) -> bool {
        !self.there_ended && self.options.files_from.is_none() || self.ahead_there.is_some()
    }

    async fn pull_there(&mut self) -> Result<()> {
        let listed = self.listing.next().await.map_err(|e| self.list_error(e))?;
        let Some(listed) = listed else {
            self.there_ended = true;
            return Ok(());
        };
        if listed.key <= self.last_there && !self.last_there.is_empty() {
            return Err(Error::new(format!("list the bucket `{}`", self.bucket))
                .cause(format!(
                    "the key `{}` came after `{}`, which is not the order that S3 promises",
                    listed.key, self.last_there
                ))
                .hint(
                    "add `--sort-listing`, which holds the listing in memory and sorts it there",
                ));
        }
        self.seen_there += 1;
        self.last_there.clone_from(&listed.key);
        self.ahead_there = Some(listed);
        Ok(())
    }

    fn list_error(&self, error: S3Error) -> Error {
        error.into_error(format!("list the bucket `{}`", self.bucket))
    }

    /// Decides about the lesser of the two keys ahead; both streams are filled or at their end.
    fn step(&mut self) -> Option<Step> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (&self.ahead_here, &self.ahead_there) {
            (None, None) => return None,
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (Some(here), Some(there)) => {
                let path = match here {
                    Found::File(file, _) => &file.path,
                    Found::Skipped(skipped) => &skipped.path,
                };
                path.as_str()
                    .cmp(there.key.get(self.prefix.len()..).unwrap_or_default())
            }
        };
        match order {
            Less => self.ahead_here.take().map(|here| self.decide(here, None)),
            Equal => {
                let there = self.ahead_there.take();
                self.ahead_here.take().map(|here| self.decide(here, there))
            }
            Greater => self.ahead_there.take().map(|there| self.only_there(there)),
        }
    }

    fn decide(&mut self, here: Found, there: Option<Listed>) -> Step {
        self.seen_here += 1;
        let (file, known) = match here {
            Found::File(file, known) => (file, known),
            Found::Skipped(skipped) => {
                self.blind |= skipped.reason == SkipReason::UnreadableDirectory;
                return Step::Skipped(skipped);
            }
        };
        let etag = known.map(|record| record.etag());
        let local = Local {
            size: file.stamp.size,
            etag: etag.as_deref(),
        };
        let remote = there.as_ref().map(|listed| Remote {
            size: listed.size,
            etag: &listed.etag,
        });
        match decide(Some(local), remote, self.options.rules) {
            Action::Upload(why) => Step::Job(Job {
                file,
                remote: there,
                why: Some(why),
            }),
            Action::Compare => Step::Job(Job {
                file,
                remote: there,
                why: None,
            }),
            _ => Step::Unchanged(file.stamp.size),
        }
    }

    fn only_there(&mut self, there: Listed) -> Step {
        let path = there.key.get(self.prefix.len()..).unwrap_or_default();
        let remote = Remote {
            size: there.size,
            etag: &there.etag,
        };
        match decide(None, Some(remote), self.options.rules) {
            // What the filter leaves out is nobody's business here.
            Action::Delete if self.options.filter.takes(path) => {
                self.doomed_total += 1;
                if self.doomed_total <= self.options.most_deletions.unwrap_or(MOST_DELETIONS) {
                    self.doomed.push(there.key);
                }
                Step::ToBeDeleted
            }
            _ => Step::OnlyThere,
        }
    }

    /// An empty directory is a wrong path, or a disk that is not mounted.
    pub(super) fn check_not_empty(
        &self,
        options: &Options,
        summary: &Summary,
        excluded: u64,
    ) -> Result<()> {
        if self.seen_here > 0 || excluded > 0 || summary.done().files > 0 {
            return Ok(());
        }
        Err(Error::usage(format!(
            "upload the media directory `{}`",
            options.directory.display()
        ))
        .cause("it is empty")
        .hint("check the path, and that its disk is mounted"))
    }

    /// Deletes what is only in the bucket, where every guard allows it, until interrupted.
    pub(super) async fn delete(
        &mut self,
        deletion: Deletion<'_>,
        options: &Options,
        summary: &mut Summary,
    ) -> Result<()> {
        for key in &self.doomed {
            let key = key.escape_debug();
            deletion.ui.detail(format!("to be deleted: `{key}`"));
        }
        if self.doomed_total == 0 {
            return Ok(());
        }
        self.may_delete(&deletion, options)?;
        for key in &self.doomed {
            if *deletion.interrupted.borrow() {
                summary.interrupted = true;
                return Ok(());
            }
            if !options.dry_run {
                deletion.client.delete_object(key).await.map_err(|e| {
                    e.into_error(format!("delete `{key}` of the bucket `{}`", self.bucket))
                })?;
            }
            summary.deleted += 1;
        }
        Ok(())
    }

    /// Every reason to delete nothing of what seems to be gone.
    fn may_delete(&self, deletion: &Deletion<'_>, options: &Options) -> Result<()> {
        const LOOK: &str = "look at them with `--delete --dry-run --verbose`; if they are to go, allow as many with `--max-delete`";
        let refused = |cause: String, hint: &str| {
            Err(Error::new(format!(
                "delete {} objects of the bucket `{}`",
                self.doomed_total, self.bucket
            ))
            .cause(format!("{cause}; nothing was deleted"))
            .hint(hint)
            .exit(Exit::Failed))
        };
        if Root::of(&options.directory) != deletion.root {
            return refused(
                format!(
                    "`{}` is not the directory it was when this run began",
                    options.directory.display()
                ),
                "check that its disk is mounted, then run the command again",
            );
        }
        let most = options.most_deletions.unwrap_or(MOST_DELETIONS);
        if self.doomed_total > most {
            return refused(format!("that is more than the {most} allowed"), LOOK);
        }
        let share = self.seen_there / SHARE_OF_DELETIONS;
        if options.most_deletions.is_none() && self.doomed_total > share {
            return refused(
                format!(
                    "that is more than a tenth of the {} that are there",
                    self.seen_there
                ),
                LOOK,
            );
        }
        if self.blind {
            return refused(
                "a directory could not be listed, and what seems missing may be in it".to_owned(),
                "make every directory readable, then run the command again",
            );
        }
        Ok(())
    }
}
