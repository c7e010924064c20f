//! What is the same, what differs, and what is wrong by itself.

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
    let date =
        |seconds| httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
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
fn server_timing_says_what_the_cache_status_says() {
    let timing = |headers: &[(&str, &str)]| of_timing(&reply(headers));
    for (status, right) in [
        ("HIT", "cache;desc=HIT"),
        ("UPDATING", "cache;desc=UPDATING"),
        ("MISS", "cache;desc=MISS, origin;dur=83"),
    ] {
        let with = |value| timing(&[("x-cache-status", status), ("server-timing", value)]);
        assert_eq!(with(right), RIGHT_TIMING);
        for wrong in [
            "cache;desc=STALE",
            "cache;desc=HIT, origin;dur=1",
            "cache;desc=MISS",
        ] {
            assert_eq!(with(wrong), format!("WRONG: {wrong}"), "{status}");
        }
        assert_eq!(timing(&[("x-cache-status", status)]), "WRONG: absent");
    }
    let soon = [
        ("x-cache-status", "MISS"),
        ("server-timing", "cache;desc=MISS, origin;dur=soon"),
    ];
    assert!(is_wrong(TIMING, &timing(&soon)));
    assert_eq!(timing(&[]), RIGHT_TIMING);
    assert!(is_wrong(
        TIMING,
        &timing(&[("server-timing", "cache;desc=HIT")])
    ));
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
