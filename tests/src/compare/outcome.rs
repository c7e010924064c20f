//! What is compared of an answer: a flat list of fields and values, with all that may differ from
//! one moment to the next taken out.
//!
//! Only normalising is done here. Two answers that mean the same to every client give the same
//! fields; anything else that differs is left to [`super::deviation`].

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::exchange::{Body, BodyEnd, Reply};

/// Field to value. `status`, `body`, `text` (what the body says, compressed or not; only for
/// readers who take it compressed), `header NAME`, `origin_requests`, `upstream NAME`.
pub type Outcome = BTreeMap<String, String>;

/// How a field shows that is not there.
pub const ABSENT: &str = "absent";

/// Header lines that belong to one connection or one moment and not to the answer.
const OF_THE_MOMENT: [&str; 4] = ["connection", "date", "keep-alive", "transfer-encoding"];

/// The `Expires` of "a year ahead" may be so far off: nginx counts from the answer, the worker from
/// when it stored it, and the run takes two minutes. (`max-age` outranks it for every reader that
/// knows HTTP/1.1.)
const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// The fields of one answer, received at `now`.
pub fn of_reply(reply: &Reply, takes_gzip: bool, now: SystemTime) -> Outcome {
    let mut outcome = Outcome::new();
    outcome.insert("status".to_owned(), reply.status.to_string());
    outcome.insert("body".to_owned(), of_body(&reply.body));
    if takes_gzip {
        let text = match reply.body.decoded {
            Some((length, digest)) => of_bytes(length, &digest),
            None => of_bytes(reply.body.length, &reply.body.digest),
        };
        outcome.insert("text".to_owned(), text);
    }
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, value) in &reply.headers {
        if !OF_THE_MOMENT.contains(&name.as_str()) {
            lines
                .entry(name)
                .or_default()
                .push(of_header(name, value, now));
        }
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

/// The fields of a question that got no answer.
pub fn of_silence() -> Outcome {
    Outcome::from([("status".to_owned(), "no answer".to_owned())])
}

/// The fields of many readers of one step as one: `HIT ×199, MISS ×1`.
pub fn of_many(outcomes: &[Outcome]) -> Outcome {
    if let [one] = outcomes {
        return one.clone();
    }
    let mut fields: Vec<&String> = outcomes.iter().flat_map(BTreeMap::keys).collect();
    fields.sort();
    fields.dedup();
    let count = |field: &String| {
        let mut values: BTreeMap<&str, usize> = BTreeMap::new();
        for outcome in outcomes {
            *values
                .entry(outcome.get(field).map_or(ABSENT, String::as_str))
                .or_default() += 1;
        }
        let each: Vec<_> = values
            .iter()
            .map(|(value, count)| format!("{value} ×{count}"))
            .collect();
        each.join(", ")
    };
    fields
        .into_iter()
        .map(|field| (field.clone(), count(field)))
        .collect()
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

/// A body as a reader of a report can tell it from others: short text as it is, else its length
/// and the beginning of its digest. How far one came that broke off depends on timing: not shown.
fn of_body(body: &Body) -> String {
    match body.end {
        BodyEnd::CutShort => return "cut short".to_owned(),
        BodyEnd::Left => return "left".to_owned(),
        BodyEnd::Whole => {}
    }
    let printable = |byte: &u8| matches!(byte, b' '..=b'~' | b'\n');
    if body.length == 0 {
        "empty".to_owned()
    } else if body.length == body.beginning.len() as u64 && body.beginning.iter().all(printable) {
        format!("`{}`", String::from_utf8_lossy(&body.beginning).trim_end())
    } else {
        of_bytes(body.length, &body.digest)
    }
}

fn of_bytes(length: u64, digest: &[u8]) -> String {
    let digest: String = digest[..6]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{length} bytes, SHA-256 {digest}…")
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
            body: Body::default(),
        }
    }

    #[track_caller]
    fn same(one: &[(&str, &str)], other: &[(&str, &str)], expected: bool) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        assert_eq!(
            of_reply(&reply(one), false, now) == of_reply(&reply(other), false, now),
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
}
