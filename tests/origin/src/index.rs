//! A bucket's journal replayed: what is there now.
//!
//! Leaves to others: locks and files ([`super::store`]).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::records::{Attributes, JournalLine, ObjectRecord, Piece, Upload, UploadedPart};

/// What the journal says, replayed.
#[derive(Default)]
pub(super) struct Index {
    /// Objects by key.
    pub(super) objects: BTreeMap<Arc<str>, ObjectRecord>,
    /// Uploads under way, by id.
    pub(super) uploads: BTreeMap<String, Upload>,
    /// The attributes that objects share.
    pub(super) attributes: HashSet<Arc<Attributes>>,
}

impl Index {
    /// Applies one line and returns the files that nothing names any more.
    pub(super) fn apply(&mut self, line: JournalLine) -> Vec<Piece> {
        match line {
            JournalLine::Put {
                key,
                upload,
                mut object,
            } => {
                object.attributes = self.share(object.attributes);
                let mut dropped = Vec::new();
                if let Some(upload) = upload.and_then(|upload| self.uploads.remove(&upload)) {
                    dropped.extend(upload.parts.values().map(|part| part.piece));
                }
                let kept = object.pieces.clone();
                if let Some(old) = self.objects.insert(key, object) {
                    dropped.extend(old.pieces.iter());
                }
                dropped.retain(|piece| !kept.contains(piece));
                dropped
            }
            JournalLine::Delete { key } => self
                .objects
                .remove(&key)
                .map(|old| old.pieces.into_vec())
                .unwrap_or_default(),
            JournalLine::Begin {
                upload,
                key,
                started,
                attributes,
            } => {
                let attributes = self.share(attributes);
                self.uploads.insert(
                    upload,
                    Upload {
                        key,
                        started,
                        attributes,
                        parts: BTreeMap::new(),
                    },
                );
                Vec::new()
            }
            JournalLine::Part {
                upload,
                number,
                part,
            } => match self.uploads.get_mut(&upload) {
                // Completed or given up while this part was still on its way.
                None => vec![part.piece],
                Some(upload) => upload
                    .parts
                    .insert(number, part)
                    .map(|old| vec![old.piece])
                    .unwrap_or_default(),
            },
            JournalLine::Abort { upload } => self
                .uploads
                .remove(&upload)
                .map(|upload| upload.parts.values().map(|part| part.piece).collect())
                .unwrap_or_default(),
        }
    }

    fn share(&mut self, attributes: Arc<Attributes>) -> Arc<Attributes> {
        match self.attributes.get(&attributes) {
            Some(shared) => shared.clone(),
            None => {
                self.attributes.insert(attributes.clone());
                attributes
            }
        }
    }

    /// The lines that rebuild this index.
    pub(super) fn lines(&self) -> impl Iterator<Item = JournalLine> {
        let objects = self.objects.iter().map(|(key, object)| JournalLine::Put {
            key: key.clone(),
            upload: None,
            object: object.clone(),
        });
        let uploads = self.uploads.iter().flat_map(|(id, upload)| {
            let begin = JournalLine::Begin {
                upload: id.clone(),
                key: upload.key.clone(),
                started: upload.started,
                attributes: upload.attributes.clone(),
            };
            let part = |(number, part): (&u32, &UploadedPart)| JournalLine::Part {
                upload: id.clone(),
                number: *number,
                part: *part,
            };
            std::iter::once(begin)
                .chain(upload.parts.iter().map(part))
                .collect::<Vec<_>>()
        });
        objects.chain(uploads)
    }
}

/// The highest number of a file in the line, 0 for none.
pub(super) fn highest_piece(line: &JournalLine) -> u64 {
    match line {
        JournalLine::Put { object, .. } => object
            .pieces
            .iter()
            .map(|piece| piece.id)
            .max()
            .unwrap_or(0),
        JournalLine::Part { part, .. } => part.piece.id,
        JournalLine::Delete { .. } | JournalLine::Begin { .. } | JournalLine::Abort { .. } => 0,
    }
}

/// The least string after all that begin with `prefix`; none if there is no such string.
pub(super) fn after_prefix(prefix: &str) -> Option<String> {
    let mut start = prefix.to_owned();
    while let Some(last) = start.pop() {
        let next = (last as u32 + 1..=char::MAX as u32).find_map(char::from_u32);
        if let Some(next) = next {
            start.push(next);
            return Some(start);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_after_prefix(prefix: &str, expected: Option<&str>) {
        assert_eq!(after_prefix(prefix).as_deref(), expected);
    }

    #[test]
    fn the_end_of_a_prefix_is_the_next_character_at_its_end() {
        check_after_prefix("a/", Some("a0"));
        check_after_prefix("", None);
        check_after_prefix("a\u{10ffff}", Some("b"));
        check_after_prefix("\u{d7ff}", Some("\u{e000}"));
    }
}
