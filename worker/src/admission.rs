//! Who may come in, and which object they mean: method and raw path to an [`ObjectKey`].
//!
//! What is admitted names a key inside the bucket and the prefix, whatever the client wrote. The
//! purge secret is not checked here, only that the request means a purge: see `purge`.

use crate::settings::Settings;

/// The longest key that B2 takes, in bytes of UTF-8.
pub const LONGEST_KEY: usize = 1024;

/// An object's key in the bucket, `KEY_PREFIX` included, decoded.
///
/// Never empty, never longer than [`LONGEST_KEY`], never starts with `/`, and has no dot segment,
/// no empty segment but a last one, and no control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key, decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `/` and the key, encoded as SigV4's canonical path wants it: all bytes but
    /// `A–Z a–z 0–9 - . _ ~ /` as `%XX` in capitals. Serves as the path of the request to the
    /// bucket and as the cache key.
    #[must_use]
    pub fn s3_path(&self) -> String {
        String::new()
    }
}

/// What an admitted request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Read an object.
    Read {
        /// Which.
        key: ObjectKey,
        /// HEAD: the headers alone.
        head: bool,
        /// The path was `/`: where the bucket has no such object, the answer is 403 and not 404.
        index: bool,
    },
    /// Drop an object from the cache, if the secret is right.
    Purge {
        /// Which.
        key: ObjectKey,
    },
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A method other than GET, HEAD and the purge's: 403, as nginx's `limit_except GET`.
    Method,
    /// A `%` without two hexadecimal digits after it: 400.
    MalformedEscape,
    /// NUL or another control character: 400.
    ControlCharacter,
    /// Bytes that are not UTF-8 once decoded: 400.
    InvalidUtf8,
    /// `..` above the root: 400.
    AboveRoot,
    /// A key of more than [`LONGEST_KEY`] bytes: 414.
    KeyTooLong,
    /// A key under `DENY_PREFIXES`: 403.
    Denied,
}

impl Refusal {
    /// The status of the answer.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Method | Self::Denied => 403,
            Self::MalformedEscape
            | Self::ControlCharacter
            | Self::InvalidUtf8
            | Self::AboveRoot => 400,
            Self::KeyTooLong => 414,
        }
    }

    /// A word for the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::MalformedEscape => "malformed_escape",
            Self::ControlCharacter => "control_character",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::AboveRoot => "above_root",
            Self::KeyTooLong => "key_too_long",
            Self::Denied => "denied",
        }
    }
}

/// Admits a request or says why not.
///
/// `target` is the request's URL or path as the runtime gives it, query and fragment and all.
/// `has_purge_header` tells whether the header named by `PURGE_SECRET_HEADER` is there, whatever
/// its value.
pub fn admit(
    method: &str,
    target: &str,
    has_purge_header: bool,
    settings: &Settings,
) -> Result<Admitted, Refusal> {
    let _ = (method, target, has_purge_header, settings);
    Err(Refusal::Method)
}
