//! The walk, the bucket's listing and the journal, joined in key order: one [`Pair`] for each path.
//! Memory does not grow with the number of files.
//!
//! Leaves to others: what is to be done ([`crate::decide`]).

mod local;
mod pair;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use self::local::{Local, LocalStream};
pub use self::pair::{JoinOptions, Pair};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::journal::Cursor;
use crate::s3::{Client, ListedObject, Listing};
use crate::tree::TreeEntry;

/// The stream of pairs.
#[derive(Debug)]
pub struct Pairs {
    local: LocalStream,
    listing: Listing,
    bucket: String,
    prefix_length: usize,
    filter: Filter,
    /// `--files-from`: objects without an entry in the list do not take part.
    only_listed_files: bool,
    /// Taken from its stream and not yet part of a pair.
    next_local: Option<Local>,
    next_object: Option<ListedObject>,
    local_ended: bool,
    listing_ended: bool,
    last_key: String,
    /// The last directory that could not be listed, ending in `/`.
    unlisted: Option<String>,
    saw_all_directories: bool,
    objects: u64,
    entries: u64,
    excluded: Arc<AtomicU64>,
}

impl Pairs {
    /// Starts the join.
    ///
    /// # Errors
    /// Where the directory or the list of files cannot be used.
    pub fn begin(client: &Client, journal: Cursor, options: &JoinOptions) -> Result<Pairs> {
        let excluded = Arc::new(AtomicU64::new(0));
        Ok(Pairs {
            local: LocalStream::begin(options, journal, excluded.clone())?,
            listing: if options.sort_listing {
                Listing::begin_sorted(client)
            } else {
                Listing::begin(client)
            },
            bucket: client.target().bucket.clone(),
            prefix_length: client.target().key_prefix.len(),
            filter: options.filter.clone(),
            only_listed_files: options.files_from.is_some(),
            next_local: None,
            next_object: None,
            local_ended: false,
            listing_ended: false,
            last_key: String::new(),
            unlisted: None,
            saw_all_directories: true,
            objects: 0,
            entries: 0,
            excluded,
        })
    }

    /// The next pair, or `None` after the last. Cancel safe: what is taken from a stream is kept in
    /// `self` before anything is awaited again.
    ///
    /// # Errors
    /// Where the bucket cannot be listed, or lists out of order, or the journal cannot be read.
    pub async fn next(&mut self) -> Result<Option<Pair>> {
        loop {
            if self.next_local.is_none() && !self.local_ended {
                self.next_local = self.local.next().await?;
                self.local_ended = self.next_local.is_none();
                self.count_entry();
            }
            if self.local_ended && self.next_local.is_none() && self.only_listed_files {
                // The rest of the bucket is not in the list.
                return Ok(None);
            }
            if self.next_local.as_ref().is_some_and(Local::has_no_key) {
                return Ok(self.next_local.take().map(|local| local.with_object(None)));
            }
            if self.next_object.is_none() && !self.listing_ended {
                self.read_listing().await?;
                continue;
            }
            match self.join() {
                Some(pair) if self.takes_part(&pair) => return Ok(Some(pair)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// Whether every directory so far could be listed: else a file without an entry may exist.
    pub fn saw_all_directories(&self) -> bool {
        self.saw_all_directories
    }

    /// Objects of the bucket so far.
    pub fn objects(&self) -> u64 {
        self.objects
    }

    /// Entries of the directory so far, those excluded by the filter too.
    pub fn entries(&self) -> u64 {
        self.entries + self.excluded()
    }

    /// Entries excluded by the filter so far.
    pub fn excluded(&self) -> u64 {
        self.excluded.load(Relaxed)
    }

    /// Device and inode of the directory that is walked; none for a list of files.
    pub fn root_id(&self) -> Option<(u64, u64)> {
        self.local.root_id()
    }

    /// Counts the local entry that was just taken.
    fn count_entry(&mut self) {
        let entry = self
            .next_local
            .as_ref()
            .and_then(|local| local.entry.as_ref());
        self.entries += u64::from(entry.is_some());
        if let Some(TreeEntry::Skipped(skipped)) = entry
            && skipped.is_directory()
        {
            self.saw_all_directories = false;
            self.unlisted = Some(skipped.path.clone());
        }
    }

    async fn read_listing(&mut self) -> Result<()> {
        let operation = || format!("list the bucket `{}`", self.bucket);
        let listed = self.listing.next().await;
        let Some(listed) = listed.map_err(|e| e.into_error(operation()))? else {
            self.listing_ended = true;
            return Ok(());
        };
        if listed.key <= self.last_key && !self.last_key.is_empty() {
            return Err(Error::new(operation())
                .cause(format!(
                    "the key `{}` was listed after `{}`: the service does not list in key order",
                    listed.key, self.last_key
                ))
                .hint(
                    "add `--sort-listing`, which reads the whole listing into memory and sorts it",
                ));
        }
        self.objects += 1;
        self.last_key.clone_from(&listed.key);
        self.next_object = Some(listed);
        Ok(())
    }

    /// Pairs the lesser of the two next paths. Each stream has its next item or has ended.
    fn join(&mut self) -> Option<Pair> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (&self.next_local, &self.next_object) {
            (None, None) => return None,
            (Some(_), None) => Less,
            (None, Some(_)) => Greater,
            (Some(local), Some(object)) => local.path().cmp(self.path_of(object)),
        };
        match order {
            Less => self.next_local.take().map(|local| local.with_object(None)),
            Equal => {
                let object = self.next_object.take();
                self.next_local
                    .take()
                    .map(|local| local.with_object(object))
            }
            Greater => self.next_object.take().map(|object| Pair {
                path: self.path_of(&object).to_owned(),
                local: None,
                object: Some(object),
                recorded: None,
            }),
        }
    }

    fn path_of<'a>(&self, listed: &'a ListedObject) -> &'a str {
        listed.key.get(self.prefix_length..).unwrap_or_default()
    }

    /// Whether a pair is given out. One without a local entry is, only where the entry certainly does
    /// not exist.
    fn takes_part(&self, pair: &Pair) -> bool {
        pair.local.is_some()
            || !self.only_listed_files
                && self.filter.takes(&pair.path)
                && (pair.object.is_some() || !self.is_unlisted(&pair.path))
    }

    fn is_unlisted(&self, path: &str) -> bool {
        let unlisted = self.unlisted.as_ref();
        unlisted.is_some_and(|directory| path.starts_with(directory))
    }
}
