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

/// The fields of one answer, received at `now`, but its age. `bodies` are what the origin has to send.
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
        // The milliseconds that the bucket took.
        "server-timing" => match value.split_once("dur=") {
            Some((before, _)) => format!("{before}dur=…"),
            None => value.to_owned(),
        },
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
mod tests {
    use super::*;

    fn reply(headers: &[(&str, &str)]) -> Reply {
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Reply {
            status: 200,
            headers,
            body: Vec::new(),
            end: BodyEnd::Whole,
            extra: 0,
        }
    }

    #[track_caller]
    fn same(one: &[(&str, &str)], other: &[(&str, &str)], expected: bool) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(
            of_reply(&reply(one), &[], now) == of_reply(&reply(other), &[], now),
            expected
        );
    }

    #[test]
    fn one_line_or_two_of_a_list_are_the_same() {
        let two = [
            ("cache-control", "max-age=31536000"),
            ("cache-control", "public"),
        ];
        same(&two, &[("cache-control", "public, max-age=31536000")], true);
        same(&two, &[("cache-control", "public, max-age=1")], false);
    }

    #[test]
    fn a_year_ahead_is_the_same_a_minute_later_and_not_a_day_later() {
        let date = |seconds| {
            httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        };
        let (on_time, late, wrong) = (
            date(1_831_536_000),
            date(1_831_536_060),
            date(1_831_622_400),
        );
        same(&[("expires", &on_time)], &[("expires", &late)], true);
        same(&[("expires", &on_time)], &[("expires", &wrong)], false);
    }

    #[test]
    fn values_and_missing_headers_are_seen() {
        same(&[("etag", "\"a\"")], &[("etag", "\"b\"")], false);
        same(&[("etag", "\"a\"")], &[], false);
        same(&[("date", "now")], &[], true);
    }

    #[test]
    fn many_readers_are_counted() {
        let hit = Outcome::from([("x".to_owned(), "HIT".to_owned())]);
        let miss = Outcome::new();
        assert_eq!(of_many(&[hit.clone(), miss, hit])["x"], "HIT ×2, absent ×1");
    }

    #[test]
    fn whatever_reaches_the_origin_shows_but_what_software_adds() {
        let asked = |line: &str, headers: &[(&str, &str)]| Asked {
            line: line.to_owned(),
            key: None,
            headers: reply(headers).headers,
            at: std::time::Instant::now(),
            is_good: true,
            is_whole: true,
        };
        let first = asked(
            "GET /media/a?b HTTP/1.1",
            &[("host", "x"), ("cookie", "c=1")],
        );
        let second = asked("HEAD /media/a HTTP/1.1", &[("cookie", "c=2")]);
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            of_upstream(&[first.clone(), second, first]),
            Outcome::from([
                field("upstream method", "HEAD"),
                field("upstream query", "b"),
                field("upstream cookie", "c=1, c=2"),
            ])
        );
    }

    #[test]
    fn a_mixture_of_versions_in_one_answer_shows() {
        let answer = |body: &str, tag: &str| {
            let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            Outcome::from([field("body", body), field("header etag", tag)])
        };
        let right = of_many(&[answer("one", "1"), answer("two", "2")]);
        let mixed = of_many(&[answer("one", "2"), answer("two", "1")]);
        assert_eq!(right["body"], mixed["body"]);
        assert_eq!(right["header etag"], mixed["header etag"]);
        assert_ne!(right["whole answers"], mixed["whole answers"]);
    }

    #[test]
    fn what_broke_off_must_be_a_beginning_of_what_was_sent() {
        let cut = |body: &[u8]| Reply {
            body: body.to_vec(),
            end: BodyEnd::CutShort,
            ..reply(&[])
        };
        let bodies = [Bytes::from_static(b"one"), Bytes::from_static(b"two")];
        assert_eq!(of_body(&cut(b"tw"), &bodies), "cut short");
        assert_ne!(of_body(&cut(b"ow"), &bodies), "cut short");
    }

    #[test]
    fn an_age_counts_from_an_answer_of_the_origin() {
        let fills = [(0.0, 0.4), (7.0, 7.5)];
        let hit = |age| of_age(&reply(&[("x-cache-status", "HIT"), ("age", age)]), &fills);
        for age in ["0", "1", "7"] {
            assert_eq!(hit(age), RIGHT_AGE, "{age}");
        }
        for age in ["3", "9", "soon", "-5"] {
            assert_ne!(hit(age), RIGHT_AGE, "{age}");
        }
        let without = |status| of_age(&reply(&[("x-cache-status", status)]), &fills);
        assert_ne!(without("HIT"), RIGHT_AGE);
        assert_eq!(without("MISS"), RIGHT_AGE);
        let unsatisfiable = Reply {
            status: 416,
            ..reply(&[("x-cache-status", "HIT"), ("age", "0")])
        };
        assert_ne!(of_age(&unsatisfiable, &fills), RIGHT_AGE);
    }
}
