//! The one join: the walk, the bucket's listing and the journal, merged in key order. Each path comes
//! once, with what each side knows of it; memory does not grow with the number of files.
//!
//! Leaves to others: what is to be done ([`crate::decide`]).

mod local;
mod pair;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::local::{Local, LocalStream};
pub use self::pair::{Options, Pair};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::journal::Cursor;
use crate::s3::{Client, Listed, Listing};
use crate::tree::Entry;

/// The join under way.
#[derive(Debug)]
pub struct Pairs {
    local: LocalStream,
    listing: Listing,
    bucket: String,
    prefix_length: usize,
    filter: Filter,
    /// Only what is in a list of files counts.
    listed_only: bool,
    /// What was taken from a stream and whose turn has not come.
    ahead_here: Option<Local>,
    ahead_there: Option<Listed>,
    here_ended: bool,
    there_ended: bool,
    last_there: String,
    /// The last directory whose entries were not seen, ending in `/`.
    unseen: Option<String>,
    saw_everything: bool,
    objects: u64,
    entries: u64,
    excluded: Arc<AtomicU64>,
}

impl Pairs {
    /// Begins; `journal` is read beside the walk.
    ///
    /// # Errors
    /// Fails at once where the directory or the list cannot be used.
    pub fn begin(client: &Client, journal: Cursor, options: &Options) -> Result<Pairs> {
        let excluded = Arc::new(AtomicU64::new(0));
        Ok(Pairs {
            local: LocalStream::begin(options, journal, excluded.clone())?,
            listing: if options.sort_listing {
                Listing::begin_sorted(client)
            } else {
                Listing::begin(client, None)
            },
            bucket: client.target().bucket.clone(),
            prefix_length: client.target().key_prefix.len(),
            filter: options.filter.clone(),
            listed_only: options.files_from.is_some(),
            ahead_here: None,
            ahead_there: None,
            here_ended: false,
            there_ended: false,
            last_there: String::new(),
            unseen: None,
            saw_everything: true,
            objects: 0,
            entries: 0,
            excluded,
        })
    }

    /// The next pair, or `None` after the last. Safe to cancel: what was taken from a stream is kept
    /// in `self` before anything is awaited again.
    ///
    /// # Errors
    /// Where the bucket cannot be listed, or lists out of order, or the journal cannot be read.
    pub async fn next(&mut self) -> Result<Option<Pair>> {
        loop {
            if self.ahead_here.is_none() && !self.here_ended {
                self.ahead_here = self.local.next().await?;
                self.here_ended = self.ahead_here.is_none();
                self.note();
            }
            if self.here_ended && self.ahead_here.is_none() && self.listed_only {
                // After the last path of a list, the rest of the bucket tells nothing.
                return Ok(None);
            }
            if self.ahead_here.as_ref().is_some_and(Local::has_no_key) {
                return Ok(self.ahead_here.take().map(|local| local.paired(None)));
            }
            if self.ahead_there.is_none() && !self.there_ended {
                self.read_listing().await?;
                continue;
            }
            match self.join() {
                Some(pair) if self.concerns(&pair) => return Ok(Some(pair)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Whether every directory was listed, so far: else what seems missing may be there all the same.
    pub fn saw_everything(&self) -> bool {
        self.saw_everything
    }

    /// Objects of the bucket that came so far.
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// Entries of the directory that came so far, those left out by the filter included.
    pub fn entries(&self) -> u64 {
        self.entries + self.excluded()
    }

    /// Entries left out by the filter so far.
    pub fn excluded(&self) -> u64 {
        self.excluded.load(Relaxed)
    }

    /// Device and inode of the directory that is walked; none for a list of files.
    pub fn root_id(&self) -> Option<(u64, u64)> {
        self.local.root_id()
    }

    /// Counts the local entry that has just come.
    fn note(&mut self) {
        let entry = self
            .ahead_here
            .as_ref()
            .and_then(|local| local.entry.as_ref());
        self.entries += u64::from(entry.is_some());
        if let Some(Entry::Skipped(skipped)) = entry
            && skipped.hides_entries()
        {
            self.saw_everything = false;
            self.unseen = Some(skipped.path.clone());
        }
    }

    async fn read_listing(&mut self) -> Result<()> {
        let operation = || format!("list the bucket `{}`", self.bucket);
        let listed = self.listing.next().await;
        let Some(listed) = listed.map_err(|e| e.into_error(operation()))? else {
            self.there_ended = true;
            return Ok(());
        };
        if listed.key <= self.last_there && !self.last_there.is_empty() {
            return Err(Error::new(operation())
                .cause(format!(
                    "the key `{}` came after `{}`, which is not the order that S3 promises",
                    listed.key, self.last_there
                ))
                .hint(
                    "add `--sort-listing`, which holds the listing in memory and sorts it there",
                ));
        }
        self.objects += 1;
        self.last_there.clone_from(&listed.key);
        self.ahead_there = Some(listed);
        Ok(())
    }

    /// Takes the lesser of the two paths ahead; both streams are filled or at their end.
    fn join(&mut self) -> Option<Pair> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (&self.ahead_here, &self.ahead_there) {
            (None, None) => return None,
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (Some(here), Some(there)) => here.path().cmp(self.path_of(there)),
        };
        match order {
            Less => self.ahead_here.take().map(|here| here.paired(None)),
            Equal => {
                let there = self.ahead_there.take();
                self.ahead_here.take().map(|here| here.paired(there))
            }
            Greater => self.ahead_there.take().map(|there| Pair {
                path: self.path_of(&there).to_owned(),
                local: None,
                object: Some(there),
                known: None,
            }),
        }
    }

    fn path_of<'a>(&self, listed: &'a Listed) -> &'a str {
        listed.key.get(self.prefix_length..).unwrap_or_default()
    }

    /// Whether anybody asks for a pair. What has no local entry comes only where it surely has none.
    fn concerns(&self, pair: &Pair) -> bool {
        pair.local.is_some()
            || !self.listed_only
                && self.filter.takes(&pair.path)
                && (pair.object.is_some() || !self.is_unseen(&pair.path))
    }

    fn is_unseen(&self, path: &str) -> bool {
        (self.unseen.as_ref()).is_some_and(|unseen| path.starts_with(unseen))
    }
}
