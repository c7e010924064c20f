//! Who may come in, and which object they mean: method and raw path to an [`ObjectKey`].
//!
//! What is admitted names a key inside the bucket and the prefix, whatever the client wrote. The
//! purge secret is not checked here, only that the request means a purge: see `purge`.

use crate::settings::Settings;
use http::{Method, StatusCode};

/// The longest key that B2 takes, in bytes of UTF-8.
pub const LONGEST_KEY: usize = 1024;

/// The path that tells how the worker is.
pub const HEALTH: &str = "/.well-known/medialift-health";

/// The path that stands for the whole cache: purging it drops everything.
pub const CACHE: &str = "/.well-known/medialift-cache";

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
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let mut path = String::with_capacity(self.0.len() + 16);
        path.push('/');
        for byte in self.0.bytes() {
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
}

/// What admission looks at.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method; `None` for what is none.
    pub method: Option<&'a Method>,
    /// The request's URL or path as the runtime gives it, query and fragment and all.
    pub target: &'a str,
    /// Whether the header named by `PURGE_SECRET_HEADER` is there, whatever its value.
    pub has_purge_header: bool,
    /// Whether `Origin` and `Access-Control-Request-Method` are there: a browser asks what a script
    /// of another site may do.
    pub is_preflight: bool,
}

/// What an admitted request wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// Know what a script of another site may ask for.
    Preflight,
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
    /// Drop everything from the cache, if the secret is right.
    PurgeEverything,
    /// Know how the worker is: see [`HEALTH`].
    Health {
        /// The object that the bucket is asked for, to see whether it answers.
        probe: ObjectKey,
        /// HEAD: the headers alone.
        head: bool,
    },
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A method other than GET and HEAD, no purge that carries a secret, and no preflight: 403, as
    /// nginx's `limit_except GET`.
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

/// Admits a request or says why not.
pub fn admit(asked: &Asked<'_>, settings: &Settings) -> Result<Admitted, Refusal> {
    let method = asked.method.map(Method::as_str).unwrap_or_default();
    let is_purge = match method {
        "GET" | "HEAD" => false,
        "PURGE" | "POST" | "DELETE" if asked.has_purge_header => true,
        "OPTIONS" if asked.is_preflight => return Ok(Admitted::Preflight),
        _ => return Err(Refusal::Method),
    };
    let raw = raw_path(asked.target);
    let path = resolved(&decoded(raw)?)?;
    let (key, index) = object_key(&path, settings)?;
    Ok(match is_purge {
        true if raw == CACHE => Admitted::PurgeEverything,
        true => Admitted::Purge { key },
        false if raw == HEALTH => Admitted::Health {
            probe: key,
            head: method == "HEAD",
        },
        false => Admitted::Read {
            key,
            head: method == "HEAD",
            index,
        },
    })
}

/// What `/` serves.
const INDEX: &str = "index.html";

/// The path of a URL or of a bare target, as it was written, without its query and fragment.
pub(crate) fn raw_path(target: &str) -> &str {
    let end = target.find(['?', '#']).unwrap_or(target.len());
    let target = &target[..end];
    if target.starts_with('/') {
        return target;
    }
    match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    }
}

/// The path, percent-decoded once.
fn decoded(path: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let high = rest
                    .next()
                    .and_then(nibble)
                    .ok_or(Refusal::MalformedEscape)?;
                let low = rest
                    .next()
                    .and_then(nibble)
                    .ok_or(Refusal::MalformedEscape)?;
                high << 4 | low
            }
            byte => byte,
        };
        if byte.is_ascii_control() {
            return Err(Refusal::ControlCharacter);
        }
        bytes.push(byte);
    }
    let text = String::from_utf8(bytes).map_err(|_| Refusal::InvalidUtf8)?;
    // U+0080 to U+009F are control characters too.
    if text.chars().any(char::is_control) {
        Err(Refusal::ControlCharacter)
    } else {
        Ok(text)
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The path without empty and dot segments and without the slash at its start. A slash at its end
/// stays: `a/` is another key than `a`.
fn resolved(path: &str) -> Result<String, Refusal> {
    let mut segments: Vec<&str> = Vec::new();
    let mut open = true;
    for segment in path.split('/') {
        open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop().ok_or(Refusal::AboveRoot)?),
            segment => segments.push(segment),
        }
    }
    let mut resolved = segments.join("/");
    if open && !segments.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

/// The key that a path names, and whether it is the index: not a denied one, `STRIP_PREFIX` cut
/// off, `KEY_PREFIX` put before.
///
/// Denied is what is denied under either of its names, or `STRIP_PREFIX` would be a way around.
/// Mastodon's own URLs have `S3_KEY_PREFIX` in them already: it is put there once.
fn object_key(path: &str, settings: &Settings) -> Result<(ObjectKey, bool), Refusal> {
    let stripped = settings
        .strip_prefix
        .as_deref()
        .and_then(|prefix| path.strip_prefix(prefix));
    let inner = stripped.unwrap_or(path);
    let inner = inner
        .strip_prefix(settings.key_prefix.as_str())
        .unwrap_or(inner);
    let index = inner.is_empty();
    let inner = if index { INDEX } else { inner };
    let is_denied = |key: &str| {
        settings
            .deny_prefixes
            .iter()
            .any(|prefix| key.starts_with(prefix.as_str()))
    };
    let key = [settings.key_prefix.as_str(), inner].concat();
    if [path, inner, &key].into_iter().any(is_denied) {
        return Err(Refusal::Denied);
    }
    if key.len() > LONGEST_KEY {
        Err(Refusal::KeyTooLong)
    } else {
        Ok((ObjectKey(key), index))
    }
}

#[cfg(test)]
mod tests;
