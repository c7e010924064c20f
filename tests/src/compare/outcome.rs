//! What is compared of an answer: a flat list of fields and values, with all that may differ from
//! one moment to the next taken out.
//!
//! Only normalising is done here. Two answers that mean the same to every client give the same
//! fields; anything else that differs is left to [`super::deviation`].

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use flate2::read::GzDecoder;
use sha2::{Digest as _, Sha256};

use super::exchange::{BodyEnd, Reply};
use crate::scripted::Asked;

/// Field to value. `status`, `body`, `header NAME`, `origin_requests`, `upstream NAME`, and what a
/// step asks for besides. Of many readers also `whole answers`.
pub type Outcome = BTreeMap<String, String>;

/// How a field shows that is not there.
pub const ABSENT: &str = "absent";

/// The field of an answer's age.
pub const AGE: &str = "header age";

/// What it says of one whose age is right, or needs none.
pub const RIGHT_AGE: &str = "as RFC 9111 wants it";

/// And of another, after the age.
const WRONG_AGE: &str = "where RFC 9111 wants another";

/// The field of `Server-Timing`.
pub const TIMING: &str = "header server-timing";

/// Its value where the header fits the cache status.
pub const RIGHT_TIMING: &str = "as the cache status wants it";

/// Begins its value where the header does not fit.
const WRONG_TIMING: &str = "WRONG: ";

/// Header lines that belong to one connection or one moment and not to the answer; the age is judged
/// by itself.
const OF_THE_MOMENT: [&str; 4] = ["age", "connection", "date", "transfer-encoding"];

/// The bytes that came after an answer's end.
const EXTRA: &str = "bytes after the end";

/// What together is one version of an object: in a crowd, of one answer each.
pub(super) const OF_A_VERSION: [&str; 5] = [
    "status",
    "body",
    "header etag",
    "header last-modified",
    "header content-length",
];

/// Request headers that nginx or the worker's runtime adds by itself, with their values; `*` stands for
/// any. What else reaches the origin is compared.
const OF_THE_CLIENT: [(&str, &str); 4] = [
    ("host", "*"),
    // Of a fetch past the runtime's own cache.
    ("cache-control", "no-cache"),
    ("pragma", "no-cache"),
    // Whose worker asks, as the platform says it.
    ("cf-worker", "medialift-edge.example.com"),
];

/// The longest text that is shown as it is, in bytes.
const LONGEST_SHOWN: usize = 96;

/// The `Expires` of "a year ahead" may be so far off: nginx counts from the answer, the worker from
/// when it stored it, and the run takes two minutes. (`max-age` outranks it for every reader that
/// knows HTTP/1.1.)
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// The fields of one answer, received at `now`, except those that are judged by themselves ([`of_age`],
/// [`of_timing`]). `bodies` are what the origin has to send.
pub fn of_reply(reply: &Reply, bodies: &[Bytes], now: SystemTime) -> Outcome {
    let mut outcome = Outcome::new();
    outcome.insert("status".to_owned(), reply.status.to_string());
    outcome.insert("body".to_owned(), of_body(reply, bodies));
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &reply.headers {
        if !OF_THE_MOMENT.contains(&name.as_str()) {
            lines
                .entry(name)
                .or_default()
                .push(of_header(name, value, now));
        }
    }
    if reply.extra > 0 {
        outcome.insert(EXTRA.to_owned(), reply.extra.to_string());
    }
    for (name, mut values) in lines {
        if is_unordered_list(name) {
            // Two lines of a list are one line with a comma (RFC 9110, section 5.3), and the order
            // of these lists means nothing.
            values = values
                .iter()
                .flat_map(|line| line.split(','))
                .map(|item| item.trim().to_owned())
                .collect();
        }
        values.sort();
        outcome.insert(format!("header {name}"), values.join(", "));
    }
    outcome
}

/// What the origin saw of a step's requests: methods other than GET, queries and header fields, of each
/// the different values.
pub fn of_upstream(requests: &[Asked]) -> Outcome {
    let mut values: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    let mut add = |field: String, value| _ = values.entry(field).or_default().insert(value);
    let is_added = |(name, value): &(&str, &str)| {
        let mut added = OF_THE_CLIENT.iter();
        added.any(|(of, with)| of == name && (with == value || *with == "*"))
    };
    for request in requests {
        let mut parts = request.line.split(' ');
        if let Some(method) = parts.next().filter(|method| *method != "GET") {
            add("upstream method".to_owned(), method);
        }
        if let Some((_, query)) = parts.next().and_then(|target| target.split_once('?')) {
            add("upstream query".to_owned(), query);
        }
        let lines = request.headers.iter();
        let lines = lines.map(|(name, value)| (name.as_str(), value.as_str()));
        for (name, value) in lines.filter(|line| !is_added(line)) {
            add(format!("upstream {name}"), value);
        }
    }
    let joined = |of: BTreeSet<&str>| Vec::from_iter(of).join(", ");
    values
        .into_iter()
        .map(|(field, of)| (field, joined(of)))
        .collect()
}

/// Whether a field says what neither side may say: there it is not enough that they agree.
#[must_use]
pub fn is_wrong(field: &str, value: &str) -> bool {
    match field {
        "beside" => value != "200",
        EXTRA => value != ABSENT,
        // Of a crowd it has all their values.
        AGE => value.contains(WRONG_AGE),
        TIMING => value.contains(WRONG_TIMING),
        _ => field.starts_with("within ") && value != "true",
    }
}

/// The field `header age` of an answer, judged by RFC 9111, section 4: what a store serves without
/// asking has an age; every age that is given counts from an answer of the origin. `fills` are the
/// least and the most seconds since each of those. A 416 is made at that moment, of nothing stored but
/// the length: it has none.
pub fn of_age(reply: &Reply, fills: &[(f64, f64)]) -> String {
    let is_stored = matches!(reply.status, 200 | 206 | 304)
        && matches!(
            reply.header("x-cache-status"),
            Some("HIT" | "STALE" | "UPDATING")
        );
    let age = reply.header("age");
    let is_right = match age.map(str::parse::<f64>) {
        None => !is_stored,
        Some(_) if reply.status == 416 => false,
        Some(Ok(age)) => fills
            .iter()
            .any(|(least, most)| (least.floor() - 1.0..=most.ceil()).contains(&age)),
        Some(Err(_)) => false,
    };
    match is_right {
        true => RIGHT_AGE.to_owned(),
        false => format!("{} {WRONG_AGE}", age.unwrap_or(ABSENT)),
    }
}

/// The field `header server-timing` of an answer of the worker: its cache status, and the milliseconds that the
/// bucket took where it was asked; nothing where there is no cache status.
pub fn of_timing(reply: &Reply) -> String {
    let timing = reply.header("server-timing");
    let milliseconds = timing.and_then(|timing| timing.split_once(", origin;dur="));
    let wanted = reply.header("x-cache-status").map(|status| {
        let cache = format!("cache;desc={status}");
        match (status, milliseconds) {
            ("HIT" | "UPDATING", _) => cache,
            (_, Some((_, dur))) if dur.parse::<u64>().is_ok() => {
                format!("{cache}, origin;dur={dur}")
            }
            _ => format!("{cache}, origin;dur=…"),
        }
    });
    match wanted.as_deref() == timing {
        true => RIGHT_TIMING.to_owned(),
        false => format!("{WRONG_TIMING}{}", timing.unwrap_or(ABSENT)),
    }
}

/// The fields of a question that got no answer.
pub fn of_silence() -> Outcome {
    Outcome::from([("status".to_owned(), "no answer".to_owned())])
}

/// The fields of many readers of one step as one: `HIT ×199, MISS ×1`. Field by field a mixture of two
/// versions in one answer would not show, so whole answers are counted too.
pub fn of_many(outcomes: &[Outcome]) -> Outcome {
    if let [one] = outcomes {
        return one.clone();
    }
    let mut fields: Vec<&String> = outcomes.iter().flat_map(BTreeMap::keys).collect();
    fields.sort();
    fields.dedup();
    let of_field = |field: &str| {
        let values = outcomes.iter().map(|outcome| outcome.get(field));
        counts(values.map(|value| value.map_or(ABSENT, String::as_str)))
    };
    let mut many: Outcome = fields
        .into_iter()
        .map(|field| (field.clone(), of_field(field)))
        .collect();
    let versions: Vec<String> = outcomes.iter().map(of_version).collect();
    let versions = counts(versions.iter().map(String::as_str));
    many.insert("whole answers".to_owned(), versions);
    many
}

fn of_version(outcome: &Outcome) -> String {
    let value = |field: &str| outcome.get(field).map_or(ABSENT, String::as_str);
    OF_A_VERSION.map(value).join(" | ")
}

fn counts<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let each = counts.iter();
    let each: Vec<_> = each
        .map(|(value, count)| format!("{value} ×{count}"))
        .collect();
    each.join(", ")
}

fn is_unordered_list(name: &str) -> bool {
    matches!(
        name,
        "cache-control" | "vary" | "allow" | "access-control-expose-headers"
    )
}

fn of_header(name: &str, value: &str, now: SystemTime) -> String {
    match name {
        "expires" => match httpdate::parse_http_date(value) {
            Ok(date) if is_a_year_ahead(date, now) => "a year ahead".to_owned(),
            _ => value.to_owned(),
        },
        "content-type" => match value.split_once("boundary=") {
            Some((before, _)) => format!("{before}boundary=…"),
            None => value.to_owned(),
        },
        "vary" => value.to_ascii_lowercase(),
        _ => value.to_owned(),
    }
}

fn is_a_year_ahead(date: SystemTime, now: SystemTime) -> bool {
    let year = now + Duration::from_secs(365 * 86_400);
    let off = date
        .duration_since(year)
        .unwrap_or_else(|early| early.duration());
    off <= CLOCK_TOLERANCE
}

/// A body: short text as it is, else its length and the beginning of its digest. What came with
/// `Content-Encoding: gzip` is decoded first. How far one came that broke off depends on timing: what
/// counts is that it is the beginning of one of the origin's bodies.
fn of_body(reply: &Reply, bodies: &[Bytes]) -> String {
    let end = match reply.end {
        BodyEnd::CutShort => "cut short",
        BodyEnd::Left => "left",
        BodyEnd::Whole => {
            let mut decoded = Vec::new();
            let is_gzip = reply.header("content-encoding") == Some("gzip")
                && GzDecoder::new(&*reply.body)
                    .read_to_end(&mut decoded)
                    .is_ok();
            return match is_gzip {
                true => of_bytes(&decoded),
                false => of_bytes(&without_boundary(reply)),
            };
        }
    };
    match bodies.iter().any(|body| body.starts_with(&reply.body)) {
        true => end.to_owned(),
        false => format!("{end}, and not what the origin sent"),
    }
}

/// A body of parts, whose boundary differs from answer to answer, with zeros in its place.
fn without_boundary(reply: &Reply) -> Vec<u8> {
    let mut body = reply.body.clone();
    let boundary = reply
        .header("content-type")
        .and_then(|kind| kind.split_once("boundary="))
        .map_or("", |(_, boundary)| boundary);
    let mut at = 0;
    while !boundary.is_empty() && at + boundary.len() <= body.len() {
        if body[at..].starts_with(boundary.as_bytes()) {
            body[at..at + boundary.len()].fill(b'0');
        }
        at += 1;
    }
    body
}

fn of_bytes(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "empty".to_owned();
    }
    let is_printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    if bytes.len() <= LONGEST_SHOWN && bytes.iter().all(is_printable) {
        return format!("`{}`", String::from_utf8_lossy(bytes).replace('\n', "↵"));
    }
    let digest = hex::encode(&Sha256::digest(bytes)[..6]);
    format!("{} bytes, SHA-256 {digest}…", bytes.len())
}

#[cfg(test)]
mod tests;
