//! Every condition against every kind of validator.

use super::*;
use Evaluated::{NotModified, PreconditionFailed, Proceed};
use http::HeaderName;

const DATE: &str = "Thu, 01 Jan 2015 00:00:00 GMT";
const BEFORE: &str = "Wed, 31 Dec 2014 23:59:59 GMT";
const AFTER: &str = "Thu, 01 Jan 2015 00:00:01 GMT";
/// The validators of a stored answer: entity tag and date.
type Validators = (Option<&'static str>, Option<&'static str>);

const STORED: Validators = (Some("\"abc\""), Some(DATE));
const WEAK: Validators = (Some("W/\"abc\""), None);
const NOTHING: Validators = (None, None);

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
    fields
        .iter()
        .map(|(name, text)| (name.clone(), value(text)))
        .collect()
}

fn stored((etag, last_modified): Validators) -> HeaderMap {
    let etag = etag.map(|text| (ETAG, text));
    let last_modified = last_modified.map(|text| (LAST_MODIFIED, text));
    headers(&etag.into_iter().chain(last_modified).collect::<Vec<_>>())
}

#[track_caller]
fn check(validators: Validators, request: &[(HeaderName, &str)], expected: Evaluated) {
    let evaluated = evaluate(&headers(request), &stored(validators));
    assert_eq!(evaluated, expected, "{request:?}");
}

#[test]
fn without_conditions_a_read_proceeds() {
    check(STORED, &[], Proceed);
    check(NOTHING, &[], Proceed);
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
        check(STORED, &[(IF_NONE_MATCH, tags)], NotModified);
        check(WEAK, &[(IF_NONE_MATCH, tags)], NotModified);
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
        check(STORED, &[(IF_NONE_MATCH, tags)], Proceed);
    }
    check(NOTHING, &[(IF_NONE_MATCH, "\"abc\"")], Proceed);
}

#[test]
fn if_modified_since_counts_from_the_files_date_on() {
    check(STORED, &[(IF_MODIFIED_SINCE, DATE)], NotModified);
    check(STORED, &[(IF_MODIFIED_SINCE, AFTER)], NotModified);
    check(STORED, &[(IF_MODIFIED_SINCE, BEFORE)], Proceed);
    check(STORED, &[(IF_MODIFIED_SINCE, "garbage")], Proceed);
    check(NOTHING, &[(IF_MODIFIED_SINCE, DATE)], Proceed);
}

#[test]
fn if_none_match_takes_the_place_of_if_modified_since() {
    check(
        STORED,
        &[(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, DATE)],
        Proceed,
    );
    check(
        STORED,
        &[(IF_NONE_MATCH, "\"abc\""), (IF_MODIFIED_SINCE, BEFORE)],
        NotModified,
    );
}

#[test]
fn if_match_compares_strongly() {
    check(STORED, &[(IF_MATCH, "\"abc\"")], Proceed);
    check(STORED, &[(IF_MATCH, "*")], Proceed);
    check(STORED, &[(IF_MATCH, "\"x\"")], PreconditionFailed);
    check(STORED, &[(IF_MATCH, "W/\"abc\"")], PreconditionFailed);
    check(WEAK, &[(IF_MATCH, "W/\"abc\"")], PreconditionFailed);
}

#[test]
fn if_unmodified_since_fails_for_a_later_file() {
    check(STORED, &[(IF_UNMODIFIED_SINCE, DATE)], Proceed);
    check(STORED, &[(IF_UNMODIFIED_SINCE, AFTER)], Proceed);
    check(STORED, &[(IF_UNMODIFIED_SINCE, BEFORE)], PreconditionFailed);
    check(STORED, &[(IF_UNMODIFIED_SINCE, "x")], Proceed);
    check(
        STORED,
        &[(IF_MATCH, "*"), (IF_UNMODIFIED_SINCE, BEFORE)],
        Proceed,
    );
}

#[test]
fn if_range_holds_for_this_version_and_no_other() {
    let holds = |if_range: &str, validators| {
        if_range_holds(&headers(&[(IF_RANGE, if_range)]), &stored(validators))
    };
    for same in ["\"abc\"", " \"abc\" ", DATE] {
        assert!(holds(same, STORED), "{same}");
    }
    for other in ["W/\"abc\"", "abc", "\"x\"", "*", "", AFTER, BEFORE, "\""] {
        assert!(!holds(other, STORED), "{other}");
    }
    assert!(!holds("W/\"abc\"", WEAK), "a weak tag never does");
    assert!(!holds(DATE, NOTHING));
    assert!(!holds("garbage", (None, Some("garbage"))));
    assert!(if_range_holds(&HeaderMap::new(), &stored(STORED)));
}

#[test]
fn the_bucket_is_asked_by_the_best_validator() {
    let by_tag = headers(&[(IF_NONE_MATCH, "\"abc\"")]);
    assert_eq!(revalidation(&stored(STORED)), by_tag);
    assert_eq!(revalidation(&stored(WEAK)), by_tag, "as the bucket has it");
    let by_date = headers(&[(IF_MODIFIED_SINCE, DATE)]);
    assert_eq!(revalidation(&stored((None, Some(DATE)))), by_date);
    assert_eq!(revalidation(&stored(NOTHING)), HeaderMap::new());
}

#[test]
fn a_tag_with_bytes_beyond_ascii_is_compared_like_any_other() {
    let tag = (Some("\"é\""), None);
    check(tag, &[(IF_NONE_MATCH, "\"é\"")], NotModified);
    check(tag, &[(IF_NONE_MATCH, "\"e\"")], Proceed);
    assert_eq!(
        revalidation(&stored(tag)),
        headers(&[(IF_NONE_MATCH, "\"é\"")])
    );
}

#[test]
fn a_strong_tag_becomes_weak_and_a_weak_one_stays() {
    for (before, after) in [("\"a\"", "W/\"a\""), ("W/\"a\"", "W/\"a\"")] {
        let mut tagged = headers(&[(ETAG, before)]);
        weaken(&mut tagged);
        assert_eq!(tagged, headers(&[(ETAG, after)]));
    }
    let mut untagged = HeaderMap::new();
    weaken(&mut untagged);
    assert_eq!(untagged, HeaderMap::new());
}

#[test]
fn versions_are_the_same_where_both_validators_are() {
    let one = stored(STORED);
    assert!(same_version(&one, &one));
    assert!(!same_version(&one, &stored((Some("\"abc\""), None))));
    assert!(!same_version(&one, &stored((Some("\"x\""), Some(DATE)))));
}

#[test]
fn the_conditions_of_a_cache_are_passed_on_as_for_an_own_copy() {
    let passed = |fields: &[(http::HeaderName, &'static str)]| {
        let asked = fields
            .iter()
            .map(|(name, text)| (name.clone(), HeaderValue::from_static(text)));
        revalidation_for_cache(&asked.collect())
    };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let tag = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static("\"a\""))]);
    assert_eq!(passed(&[(IF_NONE_MATCH, "\"a\"")]), tag);
    assert_eq!(
        passed(&[(IF_NONE_MATCH, "W/\"a\"")]),
        tag,
        "decoded by the runtime"
    );
    assert_eq!(
        passed(&[(IF_NONE_MATCH, "\"a\""), (IF_MODIFIED_SINCE, date)]),
        tag
    );
    let since = HeaderMap::from_iter([(IF_MODIFIED_SINCE, HeaderValue::from_static(date))]);
    assert_eq!(passed(&[(IF_MODIFIED_SINCE, date)]), since);
    assert_eq!(passed(&[]), HeaderMap::new());
}
