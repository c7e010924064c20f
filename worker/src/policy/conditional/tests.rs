//! Every condition against every kind of validator.

use super::*;
use Evaluated::{NotModified, PreconditionFailed, Proceed};

const DATE: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
const BEFORE: &str = "Wed, 31 Dec 2014 23:59:59 GMT";
const AFTER: &str = "Thu, 01 Jan 2015 00:00:01 GMT";
const STORED: Validators<'_> = Validators {
    etag: Some("\"abc\""),
    last_modified: Some(DATE),
};
const WEAK: Validators<'_> = Validators {
    etag: Some("W/\"abc\""),
    last_modified: None,
};
const NOTHING: Validators<'_> = Validators {
    etag: None,
    last_modified: None,
};

#[track_caller]
fn check(stored: &Validators<'_>, headers: &[(&str, &str)], expected: Evaluated) {
    let get = |name: &str| {
        headers
            .iter()
            .find(|(other, _)| *other == name)
            .map(|(_, value)| *value)
    };
    let conditions = Conditions {
        if_match: get("if-match"),
        if_unmodified_since: get("if-unmodified-since"),
        if_none_match: get("if-none-match"),
        if_modified_since: get("if-modified-since"),
    };
    assert_eq!(evaluate(&conditions, stored), expected, "{headers:?}");
}

#[test]
fn no_condition_is_no_condition() {
    check(&STORED, &[], Proceed);
    check(&NOTHING, &[], Proceed);
}

#[test]
fn if_none_match_compares_weakly() {
    for tags in [
        "\"abc\"",
        "W/\"abc\"",
        "*",
        "\"x\", \"abc\"",
        "\"x\",W/\"abc\"",
        ",, \"abc\"",
        "\"a,b\", \"abc\"",
    ] {
        check(&STORED, &[("if-none-match", tags)], NotModified);
        check(&WEAK, &[("if-none-match", tags)], NotModified);
    }
    for tags in [
        "\"x\"",
        "abc",
        "\"ab\"",
        "\"abc",
        "abc\"",
        "",
        ",",
        "W/",
        "w/\"abc\"",
        "\"x\" junk \"abc\"",
        "é\"abc\"",
    ] {
        check(&STORED, &[("if-none-match", tags)], Proceed);
    }
    check(&NOTHING, &[("if-none-match", "\"abc\"")], Proceed);
}

#[test]
fn if_modified_since_counts_from_the_files_date_on() {
    check(&STORED, &[("if-modified-since", DATE)], NotModified);
    check(&STORED, &[("if-modified-since", AFTER)], NotModified);
    check(&STORED, &[("if-modified-since", BEFORE)], Proceed);
    check(&STORED, &[("if-modified-since", "garbage")], Proceed);
    check(&NOTHING, &[("if-modified-since", DATE)], Proceed);
}

#[test]
fn if_none_match_takes_the_place_of_if_modified_since() {
    check(
        &STORED,
        &[("if-none-match", "\"x\""), ("if-modified-since", DATE)],
        Proceed,
    );
    check(
        &STORED,
        &[("if-none-match", "\"abc\""), ("if-modified-since", BEFORE)],
        NotModified,
    );
}

#[test]
fn if_match_compares_strongly() {
    check(&STORED, &[("if-match", "\"abc\"")], Proceed);
    check(&STORED, &[("if-match", "*")], Proceed);
    check(&STORED, &[("if-match", "\"x\"")], PreconditionFailed);
    check(&STORED, &[("if-match", "W/\"abc\"")], PreconditionFailed);
    check(&WEAK, &[("if-match", "W/\"abc\"")], PreconditionFailed);
}

#[test]
fn if_unmodified_since_wants_no_later_file() {
    check(&STORED, &[("if-unmodified-since", DATE)], Proceed);
    check(&STORED, &[("if-unmodified-since", AFTER)], Proceed);
    check(
        &STORED,
        &[("if-unmodified-since", BEFORE)],
        PreconditionFailed,
    );
    check(&STORED, &[("if-unmodified-since", "x")], Proceed);
    check(
        &STORED,
        &[("if-match", "*"), ("if-unmodified-since", BEFORE)],
        Proceed,
    );
}

#[test]
fn if_range_holds_for_this_version_and_no_other() {
    for holds in ["\"abc\"", " \"abc\" ", DATE] {
        assert!(if_range_holds(holds, &STORED), "{holds}");
    }
    for fails in ["W/\"abc\"", "abc", "\"x\"", "*", "", AFTER, BEFORE, "\""] {
        assert!(!if_range_holds(fails, &STORED), "{fails}");
    }
    assert!(!if_range_holds("W/\"abc\"", &WEAK), "a weak tag never does");
    assert!(!if_range_holds(DATE, &NOTHING));
    assert!(!if_range_holds(
        "garbage",
        &Validators {
            last_modified: Some("garbage"),
            etag: None
        }
    ));
}

#[test]
fn the_bucket_is_asked_by_the_best_validator() {
    assert_eq!(
        revalidation(&STORED),
        [("If-None-Match", "\"abc\"".to_owned())]
    );
    let dated = Validators {
        etag: None,
        ..STORED
    };
    assert_eq!(
        revalidation(&dated),
        [("If-Modified-Since", DATE.to_owned())]
    );
    assert_eq!(revalidation(&NOTHING), []);
}
