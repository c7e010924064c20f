//! A request to the scripted origin, parsed.

use std::time::Instant;

use percent_encoding::percent_decode_str;

use super::{Answer, Asked, BUCKET_PATH};

/// Whether a byte is allowed in a path or query without an escape (RFC 3986, sections 3.3 and 3.4). Other bytes
/// are refused, as by strict servers, to find a proxy that sends on a decoded path.
fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@/?".contains(&byte)
}

/// A request as it was received.
pub(super) struct Request {
    pub(super) asked: Asked,
    pub(super) head_only: bool,
    pub(super) http_1_1: bool,
}

impl Request {
    pub(super) fn parse(head: &[u8]) -> Self {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let line = String::from_utf8_lossy(line).into_owned();
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut parsed = httparse::Request::new(&mut headers);
        let complete = matches!(parsed.parse(head), Ok(httparse::Status::Complete(_)));
        if !complete || !parsed.path.unwrap_or_default().bytes().all(is_allowed) {
            let asked = Asked {
                line,
                key: None,
                headers: Vec::new(),
                at: Instant::now(),
                is_good: false,
                is_whole: false,
            };
            return Self {
                asked,
                head_only: false,
                http_1_1: false,
            };
        }
        let target = parsed.path.unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let key = percent_decode_str(path).decode_utf8().ok().map(|path| {
            let path = path.strip_prefix(BUCKET_PATH).unwrap_or(&path);
            path.strip_prefix('/').unwrap_or(path).to_owned()
        });
        let headers = parsed.headers.iter();
        let headers: Vec<_> = headers
            .map(|header| {
                (
                    header.name.to_ascii_lowercase(),
                    String::from_utf8_lossy(header.value).into_owned(),
                )
            })
            .collect();
        let asked = Asked {
            line,
            key,
            headers,
            at: Instant::now(),
            is_good: false,
            is_whole: false,
        };
        let http_1_1 = parsed.version == Some(1);
        Self {
            head_only: parsed.method == Some("HEAD"),
            http_1_1,
            asked,
        }
    }

    /// Whether the request's condition lets the answer be 304 (RFC 9110, section 13.2.2).
    pub(super) fn not_modified(&self, answer: &Answer) -> bool {
        if !answer.conditional || answer.status != 200 {
            return false;
        }
        match (
            self.asked.header("if-none-match"),
            self.asked.header("if-modified-since"),
        ) {
            (Some(tags), _) => {
                let bare = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
                let own = answer.header("ETag").map(|tag| bare(&tag));
                own.is_some_and(|own| tags.split(',').any(|tag| bare(tag) == own))
            }
            (None, Some(since)) => answer.header("Last-Modified").as_deref() == Some(since),
            (None, None) => false,
        }
    }
}
