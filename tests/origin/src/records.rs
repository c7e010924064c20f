//! What the origin knows of an object, an upload and a bucket, and the lines of the journal that keep it.
//!
//! Leaves to others: the bytes ([`super::content`]), the maps that hold these values ([`super::store`]).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// An S3 entity tag: an MD5, and for a multipart object the number of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct EntityTag {
    /// MD5 of the bytes, or of the concatenated MD5s of the parts.
    pub md5: [u8; 16],
    /// `0` for an object that was put in one piece.
    pub parts: u32,
}

impl EntityTag {
    /// The tag of an object put in one piece.
    pub fn of_md5(md5: [u8; 16]) -> Self {
        Self { md5, parts: 0 }
    }

    /// The text between the quotes of an `ETag` header.
    pub fn text(&self) -> String {
        match self.parts {
            0 => hex::encode(self.md5),
            parts => format!("{}-{parts}", hex::encode(self.md5)),
        }
    }
}

impl From<EntityTag> for String {
    fn from(tag: EntityTag) -> Self {
        tag.text()
    }
}

impl TryFrom<String> for EntityTag {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (digest, parts) = match text.split_once('-') {
            None => (text.as_str(), 0),
            Some((digest, parts)) => match parts.parse() {
                Ok(parts) => (digest, parts),
                Err(_) => return Err(format!("`{text}` is not an entity tag")),
            },
        };
        let mut md5 = [0; 16];
        match hex::decode_to_slice(digest, &mut md5) {
            Ok(()) => Ok(Self { md5, parts }),
            Err(_) => Err(format!("`{text}` is not an entity tag")),
        }
    }
}

/// Headers and metadata that an upload gave and every read gives back.
///
/// Objects of one kind share one value, so that a million objects stay small in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attributes {
    /// `Content-Type`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Cache-Control`; an object without one is answered with B2's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `x-amz-meta-*`, without the prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// One file of bytes on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Number of the file; its path follows from it.
    pub id: u64,
    /// Bytes in it.
    pub size: u64,
}

/// One object as the index holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Bytes in the object.
    pub size: u64,
    /// Its entity tag.
    pub tag: EntityTag,
    /// Milliseconds since 1970.
    pub modified: u64,
    /// The files that hold the bytes, in order. Empty for an object that was only registered
    /// (through the control endpoint), which can be listed but not read.
    pub pieces: Box<[Piece]>,
    /// Headers and metadata.
    #[serde(default)]
    pub attributes: Arc<Attributes>,
}

impl ObjectRecord {
    /// `Last-Modified`, in whole seconds as HTTP has it.
    pub fn modified_time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(self.modified / 1000)
    }

    /// A version id in B2's form.
    pub fn version_id(&self) -> String {
        let first = self.pieces.first().map_or(0, |piece| piece.id);
        b2_file_id(first, self.modified)
    }
}

/// A multipart upload under way.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The key it will become.
    pub key: Arc<str>,
    /// Milliseconds since 1970.
    pub started: u64,
    /// Headers and metadata of the object to be.
    pub attributes: Arc<Attributes>,
    /// Parts received so far, by number.
    pub parts: BTreeMap<u32, UploadedPart>,
}

/// A part of a multipart upload.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct UploadedPart {
    /// Its bytes.
    pub piece: Piece,
    /// MD5 of them.
    pub tag: EntityTag,
    /// Milliseconds since 1970.
    pub modified: u64,
}

/// One line of a bucket's journal. The line is the commit point: bytes without one do not exist.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum JournalLine {
    /// An object was put, copied, completed or registered.
    Put {
        /// Its key.
        key: Arc<str>,
        /// The multipart upload that it ends, if any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upload: Option<String>,
        /// All else.
        object: ObjectRecord,
    },
    /// An object was deleted.
    Delete {
        /// Its key.
        key: Arc<str>,
    },
    /// A multipart upload was begun.
    Begin {
        /// Upload id.
        upload: String,
        /// The key it will become.
        key: Arc<str>,
        /// Milliseconds since 1970.
        started: u64,
        /// Headers and metadata of the object to be.
        #[serde(default)]
        attributes: Arc<Attributes>,
    },
    /// A part was received.
    Part {
        /// Upload id.
        upload: String,
        /// Part number, from 1.
        number: u32,
        /// The part.
        part: UploadedPart,
    },
    /// A multipart upload was given up.
    Abort {
        /// Upload id.
        upload: String,
    },
}

/// Milliseconds since 1970, now.
pub fn now_millis() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}

/// An id of the shape B2 gives to files and to large-file uploads (`4_z<bucket>_f<file>_d…_m…_c…_v…_t…_u…`).
pub fn b2_file_id(number: u64, millis: u64) -> String {
    format!(
        "4_z32cae6f68d5f91889f750911_f{number:016x}_d20200101_m000000_c004_v0402029_t0050_u{millis:014}"
    )
}
