//! Which requests are answered, and which object each is about: from method and raw path to an
//! [`ObjectKey`].
//!
//! Every admitted key is under `KEY_PREFIX`. A purge is recognised here by the header for its secret; `purge`
//! checks the secret.

use crate::settings::Settings;
use http::StatusCode;

/// The longest key that B2 takes, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

/// The path of the health document.
pub const HEALTH_PATH: &str = "/.well-known/medialift-health";

/// The path of the whole cache: a purge of it drops everything.
pub const CACHE_PATH: &str = "/.well-known/medialift-cache";

/// The key that `/` serves, below `KEY_PREFIX`.
const INDEX: &str = "index.html";

/// An object's key in the bucket, `KEY_PREFIX` included, decoded.
///
/// **Invariant:** it has 1 to [`MAX_KEY_BYTES`] bytes, no `/` at its start, no dot segment, no empty segment
/// but a last one, and no control character.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectKey(String);

impl ObjectKey {
    /// The key whose [`s3_path`](Self::s3_path) this is; `None` for a path that names no key.
    pub fn from_s3_path(path: &str) -> Option<Self> {
        let key = resolved(&decoded(path).ok()?).ok()?;
        (1..=MAX_KEY_BYTES)
            .contains(&key.len())
            .then_some(Self(key))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key without `prefix`, with which it starts.
    pub fn without_prefix(&self, prefix: &str) -> &str {
        self.0.strip_prefix(prefix).unwrap_or(&self.0)
    }

    /// The path of the request to the bucket, which is also part of the cache key: see [`s3_path`].
    pub fn s3_path(&self) -> String {
        s3_path(&self.0)
    }
}

/// `/` and a key, encoded as SigV4's canonical path requires: all bytes but `A–Z a–z 0–9 - . _ ~ /` as `%XX` in
/// capitals.
pub fn s3_path(key: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut path = String::with_capacity(key.len() + 16);
    path.push('/');
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push('%');
            path.push(char::from(HEX[usize::from(byte >> 4)]));
            path.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    path
}

/// What an admitted request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// A browser's question which requests a script of another site may make.
    Preflight,
    /// A read of an object.
    Read {
        key: ObjectKey,
        /// HEAD: the answer has no body.
        head: bool,
        /// The status of the answer where the bucket does not have the object.
        when_missing: StatusCode,
    },
    /// A purge of one object. The secret is still to be checked.
    Purge { key: ObjectKey },
    /// A purge of the whole cache. The secret is still to be checked.
    PurgeEverything,
    /// A request for the document at [`HEALTH_PATH`].
    Health {
        /// The object that the bucket is asked for, to see whether it answers.
        probe: ObjectKey,
        /// HEAD: the answer has no body.
        head: bool,
    },
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Neither GET nor HEAD, nor a purge with its header, nor a preflight: 403, as nginx's
    /// `limit_except GET` answers.
    Method,
    /// A `%` without two hexadecimal digits after it: 400.
    MalformedEscape,
    /// NUL or another control character: 400.
    ControlCharacter,
    /// Bytes that are not UTF-8 once decoded: 400.
    InvalidUtf8,
    /// `..` above the root: 400.
    AboveRoot,
    /// A key of more than [`MAX_KEY_BYTES`] bytes: 414.
    KeyTooLong,
    /// A key under `DENY_PREFIXES`: 403.
    Denied,
}

impl Refusal {
    /// The status that the client gets.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method | Self::Denied => StatusCode::FORBIDDEN,
            Self::MalformedEscape
            | Self::ControlCharacter
            | Self::InvalidUtf8
            | Self::AboveRoot => StatusCode::BAD_REQUEST,
            Self::KeyTooLong => StatusCode::URI_TOO_LONG,
        }
    }
}

/// Admits a request, or gives the reason why not.
///
/// `url` is the request's URL, or its path, as the runtime gives it. `has_header` is called only for headers
/// that the method depends on: a read is admitted without a call into JavaScript.
pub fn admit(
    method: &str,
    url: &str,
    has_header: &dyn Fn(&str) -> bool,
    settings: &Settings,
) -> Result<Admitted, Refusal> {
    let has_purge_header = || {
        let purge = settings.purge.as_ref();
        purge.is_some_and(|purge| has_header(&purge.header))
    };
    let is_purge = match method {
        "GET" | "HEAD" => false,
        "PURGE" | "POST" | "DELETE" if has_purge_header() => true,
        "OPTIONS" if has_header("origin") && has_header("access-control-request-method") => {
            return Ok(Admitted::Preflight);
        }
        _ => return Err(Refusal::Method),
    };
    let head = method == "HEAD";
    let raw = raw_path(url);
    let path = resolved(&decoded(raw)?)?;
    let (key, is_index) = object_key(&path, settings)?;
    Ok(match is_purge {
        true if raw == CACHE_PATH => Admitted::PurgeEverything,
        true => Admitted::Purge { key },
        false if raw == HEALTH_PATH => Admitted::Health { probe: key, head },
        false => Admitted::Read {
            key,
            head,
            // nginx answers 403 for a directory without an index.
            when_missing: match is_index {
                true => StatusCode::FORBIDDEN,
                false => StatusCode::NOT_FOUND,
            },
        },
    })
}

/// The raw path of a URL or of a bare path, without query and fragment.
pub(crate) fn raw_path(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = &url[..end];
    if url.starts_with('/') {
        return url;
    }
    match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => url,
    }
}

/// The path, percent-decoded once.
fn decoded(path: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || {
                    rest.next()
                        .and_then(hex_digit)
                        .ok_or(Refusal::MalformedEscape)
                };
                digit()? << 4 | digit()?
            }
            byte => byte,
        };
        if byte.is_ascii_control() {
            return Err(Refusal::ControlCharacter);
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| Refusal::InvalidUtf8)?;
    // U+0080 to U+009F.
    if text.chars().any(char::is_control) {
        return Err(Refusal::ControlCharacter);
    }
    Ok(text)
}

fn hex_digit(digit: u8) -> Option<u8> {
    u8::try_from(char::from(digit).to_digit(16)?).ok()
}

/// The path without empty and dot segments and without the slash at its start. A slash at its end
/// stays: `a/` and `a` are different keys.
fn resolved(path: &str) -> Result<String, Refusal> {
    let mut segments: Vec<&str> = Vec::new();
    let mut is_directory = true;
    for segment in path.split('/') {
        is_directory = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop().ok_or(Refusal::AboveRoot)?),
            segment => segments.push(segment),
        }
    }
    let mut resolved = segments.join("/");
    if is_directory && !segments.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

/// The key that a path names, and whether the path is `/`: `STRIP_PREFIX` is removed and `KEY_PREFIX` added.
///
/// The deny list is applied before and after, or a prefix could hide a denied name. Mastodon's own URLs
/// contain `S3_KEY_PREFIX`: it is added only where it is not there.
fn object_key(path: &str, settings: &Settings) -> Result<(ObjectKey, bool), Refusal> {
    let strip_prefix = settings.strip_prefix.as_deref().unwrap_or_default();
    let inner = path.strip_prefix(strip_prefix).unwrap_or(path);
    let key_prefix = settings.key_prefix.as_str();
    let inner = inner.strip_prefix(key_prefix).unwrap_or(inner);
    let is_index = inner.is_empty();
    let inner = if is_index { INDEX } else { inner };
    let key = [key_prefix, inner].concat();
    let is_denied = |key: &str| {
        let mut denied = settings.deny_prefixes.iter();
        denied.any(|prefix| key.starts_with(prefix.as_str()))
    };
    if [path, inner, &key].into_iter().any(is_denied) {
        return Err(Refusal::Denied);
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(Refusal::KeyTooLong);
    }
    Ok((ObjectKey(key), is_index))
}

#[cfg(test)]
mod tests;
