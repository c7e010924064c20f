//! The buckets: an index in memory in key order, the journal that rebuilds it, the files of bytes.
//!
//! Leaves to others: S3's own rules ([`super::service`]), pages of listings ([`super::listing`]).

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::content::{Bodies, ContentFiles};
use super::index::{Index, after_prefix, highest_piece};
use super::journal::Journal;
use super::records::{
    Attributes, EntityTag, JournalLine, ObjectRecord, Upload, UploadedPart, b2_file_id, now_millis,
};

/// Who may read a bucket's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visibility {
    /// Anybody may read an object whose name they know.
    Public,
    /// Only signed requests.
    Private,
}

/// All buckets of the origin.
pub struct Store {
    buckets: BTreeMap<String, Bucket>,
}

/// One bucket.
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// Who may read its objects.
    pub visibility: Visibility,
    /// The bytes of its objects.
    pub content: ContentFiles,
    index: RwLock<Index>,
    journal: Mutex<Journal>,
    next_upload: AtomicU64,
}

impl Store {
    /// Opens the buckets under `dir`, making those that are not there yet. `bodies` says
    /// what becomes of the bytes that come from now on.
    ///
    /// # Errors
    /// When a directory or a journal cannot be read or written.
    pub fn open(dir: &Path, buckets: &[(String, Visibility)], bodies: Bodies) -> io::Result<Self> {
        let open = |(name, visibility): &(String, Visibility)| {
            let bucket = Bucket::open(dir, name.clone(), *visibility, bodies)?;
            Ok((name.clone(), bucket))
        };
        Ok(Self {
            buckets: buckets.iter().map(open).collect::<io::Result<_>>()?,
        })
    }

    /// The bucket of that name.
    pub fn bucket(&self, name: &str) -> Option<&Bucket> {
        self.buckets.get(name)
    }

    /// All buckets, by name.
    pub fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.values()
    }
}

impl Bucket {
    fn open(dir: &Path, name: String, visibility: Visibility, bodies: Bodies) -> io::Result<Self> {
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        let path = dir.join("journal.jsonl");
        let mut index = Index::default();
        let (mut highest, mut lines) = (0, 0);
        let mut journal = Journal::replay(&path, |line| {
            highest = highest.max(highest_piece(&line));
            lines += 1;
            drop(index.apply(line));
        })?;
        if lines > 1000 + 2 * index.objects.len() {
            // Most of it is about what was overwritten, deleted or given up: keep what is left.
            journal = Journal::rewrite(&path, index.lines())?;
        }
        let content = ContentFiles::open(&dir.join("bytes"), highest + 1, bodies)?;
        Ok(Self {
            name,
            visibility,
            content,
            index: RwLock::new(index),
            journal: Mutex::new(journal),
            next_upload: AtomicU64::new(now_millis()),
        })
    }

    /// The object at `key`.
    pub fn object(&self, key: &str) -> Option<ObjectRecord> {
        self.read().objects.get(key).cloned()
    }

    /// Calls `visit` for each object from `from` on, in the order of the keys' bytes, until it says
    /// where to go on from (a key that is skipped to) or to stop.
    pub fn scan(&self, from: Bound<&str>, mut visit: impl FnMut(&Arc<str>, &ObjectRecord) -> Scan) {
        let index = self.read();
        let mut range = index.objects.range::<str, _>((from, Bound::Unbounded));
        while let Some((key, object)) = range.next() {
            match visit(key, object) {
                Scan::Next => {}
                Scan::Stop => return,
                Scan::SkipPrefix(prefix) => match after_prefix(&prefix) {
                    None => return,
                    Some(start) => {
                        range = index
                            .objects
                            .range::<str, _>((Bound::Included(&*start), Bound::Unbounded))
                    }
                },
            }
        }
    }

    /// Commits an object whose bytes are already written, in place of what was there.
    ///
    /// # Errors
    /// When the journal cannot be written: then the object is not there and its bytes are dropped.
    pub fn put(&self, key: &str, object: ObjectRecord) -> io::Result<()> {
        let pieces = object.pieces.clone();
        let committed = self.commit(JournalLine::Put {
            key: key.into(),
            upload: None,
            object,
        });
        if committed.is_err() {
            pieces
                .iter()
                .for_each(|piece| self.content.remove(piece.id));
        }
        committed
    }

    /// Registers objects without bytes: they are listed, with this size and tag, and cannot be read.
    /// An object that is there already keeps its bytes and shows this size and tag from now on.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn register(
        &self,
        objects: impl IntoIterator<Item = (Arc<str>, u64, EntityTag)>,
    ) -> io::Result<usize> {
        let modified = now_millis();
        let lines: Vec<_> = objects
            .into_iter()
            .map(|(key, size, tag)| {
                let (pieces, attributes) = self
                    .object(&key)
                    .map(|there| (there.pieces, there.attributes))
                    .unwrap_or_default();
                let object = ObjectRecord {
                    size,
                    tag,
                    modified,
                    pieces,
                    attributes,
                };
                JournalLine::Put {
                    key,
                    upload: None,
                    object,
                }
            })
            .collect();
        let mut journal = self.lock_journal();
        journal.append(&lines)?;
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let count = lines.len();
        lines.into_iter().for_each(|line| drop(index.apply(line)));
        Ok(count)
    }

    /// Deletes an object. That there is none is no fault.
    ///
    /// # Errors
    /// When the journal cannot be written: the object is then still there.
    pub fn delete(&self, key: &str) -> io::Result<()> {
        if self.object(key).is_none() {
            return Ok(());
        }
        self.commit(JournalLine::Delete { key: key.into() })
    }

    /// Begins a multipart upload and returns its id.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn begin_upload(&self, key: &str, attributes: Arc<Attributes>) -> io::Result<String> {
        let started = now_millis();
        let upload = b2_file_id(self.next_upload.fetch_add(1, Ordering::Relaxed), started);
        self.commit(JournalLine::Begin {
            upload: upload.clone(),
            key: key.into(),
            started,
            attributes,
        })?;
        Ok(upload)
    }

    /// The upload of that id and key.
    pub fn upload(&self, upload: &str, key: &str) -> Option<Upload> {
        self.read()
            .uploads
            .get(upload)
            .filter(|found| &*found.key == key)
            .cloned()
    }

    /// All uploads under way, by key and then by id.
    pub fn uploads(&self) -> Vec<(String, Upload)> {
        let mut all: Vec<_> = self
            .read()
            .uploads
            .iter()
            .map(|(id, upload)| (id.clone(), upload.clone()))
            .collect();
        all.sort_by(|(left_id, left), (right_id, right)| {
            (&left.key, left_id).cmp(&(&right.key, right_id))
        });
        all
    }

    /// Commits a part whose bytes are already written.
    ///
    /// # Errors
    /// When the journal cannot be written: the part's bytes are then dropped.
    pub fn put_part(&self, upload: &str, number: u32, part: UploadedPart) -> io::Result<()> {
        let committed = self.commit(JournalLine::Part {
            upload: upload.to_owned(),
            number,
            part,
        });
        if committed.is_err() {
            self.content.remove(part.piece.id);
        }
        committed
    }

    /// Turns an upload into the object `object`.
    ///
    /// # Errors
    /// When the journal cannot be written: the upload then stays as it was.
    pub fn complete_upload(&self, upload: &str, key: &str, object: ObjectRecord) -> io::Result<()> {
        self.commit(JournalLine::Put {
            key: key.into(),
            upload: Some(upload.to_owned()),
            object,
        })
    }

    /// Gives an upload up and drops its parts.
    ///
    /// # Errors
    /// When the journal cannot be written.
    pub fn abort_upload(&self, upload: &str) -> io::Result<()> {
        self.commit(JournalLine::Abort {
            upload: upload.to_owned(),
        })
    }

    /// The shared copy of these attributes.
    pub fn shared(&self, attributes: Attributes) -> Arc<Attributes> {
        self.read()
            .attributes
            .get(&attributes)
            .cloned()
            .unwrap_or_else(|| Arc::new(attributes))
    }

    /// The journal's line comes first: what it does not hold was never answered.
    fn commit(&self, line: JournalLine) -> io::Result<()> {
        let mut journal = self.lock_journal();
        journal.append([&line])?;
        let dropped = self
            .index
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(line);
        drop(journal);
        dropped
            .iter()
            .for_each(|piece| self.content.remove(piece.id));
        Ok(())
    }

    fn lock_journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Index> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a visitor of [`Bucket::scan`] wants next.
pub enum Scan {
    /// The next object.
    Next,
    /// No more.
    Stop,
    /// The first object that does not begin with this.
    SkipPrefix(String),
}

/// Counts of what is in each bucket, for the control endpoint.
pub fn totals(store: &Store) -> HashMap<String, (usize, u64)> {
    let total = |bucket: &Bucket| {
        let index = bucket.read();
        (
            bucket.name.clone(),
            (
                index.objects.len(),
                index.objects.values().map(|object| object.size).sum(),
            ),
        )
    };
    store.buckets().map(total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Piece;

    fn record(id: u64, size: u64) -> ObjectRecord {
        ObjectRecord {
            size,
            tag: EntityTag::of_md5([7; 16]),
            modified: 5,
            pieces: Box::new([Piece { id, size }]),
            attributes: Arc::default(),
        }
    }

    #[test]
    fn a_reopened_store_holds_what_was_committed_and_never_reuses_its_files() {
        let dir = tempfile::tempdir().expect("temporary directory");
        let buckets = [("media".to_owned(), Visibility::Public)];
        {
            let store = Store::open(dir.path(), &buckets, Bodies::Kept).expect("open");
            let bucket = store.bucket("media").expect("bucket");
            bucket
                .put("a", record(bucket.content.next_id(), 1))
                .expect("put");
            bucket
                .put("b", record(bucket.content.next_id(), 2))
                .expect("put");
            bucket
                .put("b", record(bucket.content.next_id(), 3))
                .expect("put");
            bucket.delete("a").expect("delete");
            let upload = bucket.begin_upload("c", Arc::default()).expect("begin");
            let piece = Piece {
                id: bucket.content.next_id(),
                size: 9,
            };
            let part = UploadedPart {
                piece,
                tag: EntityTag::of_md5([1; 16]),
                modified: 6,
            };
            bucket.put_part(&upload, 4, part).expect("part");
        }
        // A line that was cut off by a crash.
        let journal = dir.path().join("media/journal.jsonl");
        let mut text = std::fs::read(&journal).expect("journal");
        text.extend_from_slice(b"{\"op\":\"delete\",\"key\":\"b\"");
        std::fs::write(&journal, text).expect("journal");

        let store = Store::open(dir.path(), &buckets, Bodies::Kept).expect("reopen");
        let bucket = store.bucket("media").expect("bucket");
        assert!(bucket.object("a").is_none());
        assert_eq!(bucket.object("b").map(|object| object.size), Some(3));
        let uploads = bucket.uploads();
        assert_eq!(uploads.len(), 1);
        assert_eq!(uploads[0].1.parts[&4].piece.size, 9);
        assert_eq!(bucket.content.next_id(), 5);
    }
}
