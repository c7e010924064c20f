//! The record of one key.

use crate::tree::Stamp;

/// The record of one key, which was in the bucket or was about to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// State of the file when this was written.
    pub stamp: Stamp,
    /// The object's digest: MD5 of the content, or of the parts' digests.
    pub md5: [u8; 16],
    /// Parts of a multipart upload; 0 where the object was sent whole.
    pub parts: u32,
    /// The file had the object's content: it was sent, or found equal. Else only the key is recorded.
    pub same: bool,
    /// The file was about to be sent when this was written: whether it was stored is not known.
    pub sending: bool,
}

impl Recorded {
    /// A file with the content of its object, of this ETag; `None` where the ETag is no digest.
    pub fn same(stamp: Stamp, etag: &str) -> Option<Recorded> {
        let (digest, parts) = match etag.split_once('-') {
            Some((digest, parts)) => (digest, parts.parse().ok()?),
            None => (etag, 0),
        };
        let mut md5 = [0; 16];
        hex::decode_to_slice(digest, &mut md5).ok()?;
        Some(Recorded {
            stamp,
            md5,
            parts,
            same: true,
            sending: false,
        })
    }

    /// A key that the bucket has; the file may have other content.
    pub fn seen() -> Recorded {
        Recorded {
            stamp: Stamp::default(),
            md5: [0; 16],
            parts: 0,
            same: false,
            sending: false,
        }
    }

    /// A key that is about to be sent.
    pub fn sending() -> Recorded {
        Recorded {
            sending: true,
            ..Recorded::seen()
        }
    }

    /// The digest in an ETag's form.
    pub fn etag(&self) -> String {
        match self.parts {
            0 => hex::encode(self.md5),
            parts => format!("{}-{parts}", hex::encode(self.md5)),
        }
    }

    pub(super) fn to_bytes(self) -> [u8; 53] {
        let mut bytes = [0; 53];
        bytes[..8].copy_from_slice(&self.stamp.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stamp.modified.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.stamp.changed.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.stamp.inode.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.md5);
        bytes[48..52].copy_from_slice(&self.parts.to_le_bytes());
        bytes[52] = u8::from(self.same) | u8::from(self.sending) << 1;
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Recorded> {
        let bytes: &[u8; 53] = bytes.try_into().ok()?;
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        Some(Recorded {
            stamp: Stamp {
                size: number(0)?,
                modified: number(8)?.cast_signed(),
                changed: number(16)?.cast_signed(),
                inode: number(24)?,
            },
            md5: bytes[32..48].try_into().ok()?,
            parts: u32::from_le_bytes(bytes[48..52].try_into().ok()?),
            same: bytes[52] & 1 != 0,
            sending: bytes[52] & 2 != 0,
        })
    }
}
