//! One scripted answer: what the origin sends for the n-th request for a key.
//!
//! Only data, and how it becomes a head and a body. The parent module counts requests, `connection` has the
//! sockets and faults.

use std::io::Read as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use http::StatusCode;
use serde::Deserialize;

/// A fault in place of an answer, or in the middle of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset before the first byte of an answer.
    Reset,
    /// The connection is closed in order before the first byte of an answer.
    Close,
    /// `after` bytes of the body, then an orderly close.
    Cut,
    /// `after` bytes of the body, then a reset.
    CutReset,
    /// `after` bytes of the body, then nothing until the client gives up.
    Stall,
    /// Nothing at all, until the client gives up.
    Hang,
    /// Bytes that are not HTTP.
    Garbage,
}

/// How the end of the body is marked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// By `Content-Length`.
    #[default]
    Length,
    /// By chunks to an HTTP/1.1 client; an HTTP/1.0 client gets [`Framing::Close`], as real
    /// servers do it.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// One answer of a script. Everything has a default: `{}` is a JPEG of 1,000 bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Answer {
    /// The status, any number that fits.
    pub status: u16,
    /// `Name: value` lines, which replace default lines of the same name; `-Name` takes a default
    /// away. The same name twice sends two lines. A character is one byte on the wire, so that any
    /// byte can be written.
    pub headers: Vec<String>,
    /// A body of that text. Outranks `size`.
    pub text: Option<String>,
    /// A body of that many patterned bytes.
    pub size: Option<usize>,
    /// The body is sent compressed, with `Content-Encoding: gzip`.
    pub gzip: bool,
    /// Which version of the object this is: it picks the bytes, `ETag` and `Last-Modified`. The
    /// answer's place in the script, from 1, where it is not given.
    pub version: Option<u32>,
    /// How the end of the body is marked.
    pub framing: Framing,
    /// Seconds before the first byte of the answer.
    pub delay: f64,
    /// The fault, if there is one.
    pub fault: Option<Fault>,
    /// For faults in mid-body and for `pause`: how many bytes of it are sent before.
    pub after: usize,
    /// Seconds between these bytes and the rest, or the fault. A proxy that passes bytes on at once has begun to
    /// answer by then.
    pub pause: f64,
    /// Whether a matching `If-None-Match` or `If-Modified-Since` is answered 304.
    pub conditional: bool,
    /// The bytes, made from the above once, before the origin listens.
    #[serde(skip)]
    pub body: Bytes,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            text: None,
            size: None,
            gzip: false,
            version: None,
            framing: Framing::default(),
            delay: 0.0,
            fault: None,
            after: 0,
            pause: 0.0,
            conditional: true,
            body: Bytes::new(),
        }
    }
}

impl Answer {
    /// The answer for a key outside the script, as S3 services give it.
    pub fn no_such_key() -> Self {
        Self {
            status: 404,
            ..Self::default()
        }
        .prepared(1)
    }

    /// The answer to a request that is not HTTP.
    pub fn bad_request() -> Self {
        Self {
            status: 400,
            ..Self::default()
        }
        .prepared(1)
    }

    /// The answer with its version settled (`place` is its place in the script, from 1) and its
    /// body made.
    pub fn prepared(mut self, place: u32) -> Self {
        let version = *self.version.get_or_insert(place);
        self.body = match (&self.text, self.size) {
            (Some(text), _) => Bytes::from(text.clone().into_bytes()),
            (None, Some(size)) => pattern(version, size),
            (None, None) if !self.may_have_body() => Bytes::new(),
            (None, None) if self.status < 300 => pattern(version, 1000),
            (None, None) => Bytes::from(format!(
                "<?xml version=\"1.0\"?><Error><Code>Scripted{}</Code></Error>",
                self.status
            )),
        };
        if self.gzip {
            let mut packed = Vec::new();
            // Reading from memory does not fail.
            let packing = GzEncoder::new(&*self.body, Compression::default());
            let _ = { packing }.read_to_end(&mut packed);
            self.body = Bytes::from(packed);
            self.headers.push("Content-Encoding: gzip".to_owned());
        }
        self
    }

    /// How long the origin waits before it answers.
    pub fn delay(&self) -> Duration {
        Duration::from_secs_f64(self.delay)
    }

    /// Whether HTTP lets this status have a body (RFC 9110, section 6.4.1).
    pub fn may_have_body(&self) -> bool {
        self.status >= 200 && self.status != 204 && self.status != 304
    }

    /// The header lines without framing: defaults, less what the script takes away, then the
    /// script's own.
    pub fn header_lines(&self) -> Vec<String> {
        let named = |line: &str| {
            line.trim_start_matches('-')
                .split(':')
                .next()
                .map(str::to_ascii_lowercase)
        };
        let scripted: Vec<_> = self.headers.iter().map(|line| named(line)).collect();
        let mut lines: Vec<String> = self
            .default_lines()
            .into_iter()
            .filter(|line| !scripted.contains(&named(line)))
            .collect();
        lines.extend(
            self.headers
                .iter()
                .filter(|line| !line.starts_with('-'))
                .cloned(),
        );
        lines
    }

    /// The value of the first header line of that name, as it will be sent.
    pub fn header(&self, name: &str) -> Option<String> {
        self.header_lines().iter().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found
                .eq_ignore_ascii_case(name)
                .then(|| value.trim().to_owned())
        })
    }

    /// The reason phrase, empty for a status without one.
    pub fn reason(&self) -> &'static str {
        StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or("")
    }

    fn default_lines(&self) -> Vec<String> {
        if self.status < 300 {
            let version = self.version.unwrap_or(1);
            // 2 January 2023, and a day more for each version.
            let modified = SystemTime::UNIX_EPOCH
                + Duration::from_secs(1_672_628_645 + 86_400 * u64::from(version));
            vec![
                "Content-Type: image/jpeg".to_owned(),
                format!("ETag: \"v{version}\""),
                format!("Last-Modified: {}", httpdate::fmt_http_date(modified)),
                "Accept-Ranges: bytes".to_owned(),
            ]
        } else if self.may_have_body() {
            vec!["Content-Type: application/xml".to_owned()]
        } else {
            Vec::new()
        }
    }
}

/// `size` bytes in which every eight differ from every other eight, and from those of every other
/// version, so that a slice from the wrong place or of the wrong object shows.
pub fn pattern(version: u32, size: usize) -> Bytes {
    let salt = u64::from(version).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut bytes = Vec::with_capacity(size + 8);
    let mut word = 0_u64;
    while bytes.len() < size {
        // The finaliser of SplitMix64: a bijection, so no two words are the same.
        let mut mixed = word.wrapping_add(salt);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        word += 1;
    }
    bytes.truncate(size);
    Bytes::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_and_so_do_slices() {
        let first = pattern(1, 1000);
        assert_eq!(first.len(), 1000);
        assert_ne!(first, pattern(2, 1000));
        assert_ne!(first[0..8], first[8..16]);
        assert_eq!(
            first[..500],
            pattern(1, 500)[..],
            "a longer body begins like a shorter one"
        );
    }

    #[test]
    fn scripted_headers_replace_and_remove_defaults() {
        let answer = Answer {
            headers: vec![
                "content-type: text/plain".to_owned(),
                "-ETag".to_owned(),
                "X-A: 1".to_owned(),
                "X-A: 2".to_owned(),
            ],
            ..Answer::default()
        }
        .prepared(1);
        let lines = answer.header_lines();
        assert_eq!(answer.header("Content-Type").as_deref(), Some("text/plain"));
        assert_eq!(answer.header("ETag"), None);
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("X-A")).count(),
            2
        );
        assert!(answer.header("Last-Modified").is_some());
    }
}
