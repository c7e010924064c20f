//! Every form of `Range`, as observed of nginx 1.22.

use super::*;

/// `expected`: the offsets of the first and last byte, `200` or `416`.
#[track_caller]
fn check(header: &str, length: u64, expected: &str) {
    let found = match plan(Some(header), Some(length)) {
        RangePlan::Whole => "200".to_owned(),
        RangePlan::Unsatisfiable => "416".to_owned(),
        RangePlan::Part(range) => range.content_range(length),
    };
    assert_eq!(found, expected, "{header} of {length}");
}

#[test]
fn first_last_suffix_and_open_ranges() {
    check("bytes=0-0", 100, "bytes 0-0/100");
    check("bytes=5-9", 100, "bytes 5-9/100");
    check("bytes=0-", 100, "bytes 0-99/100");
    check("bytes=99-", 100, "bytes 99-99/100");
    check("bytes=-1", 100, "bytes 99-99/100");
    check("bytes=-100", 100, "bytes 0-99/100");
    check("bytes=-1000", 100, "bytes 0-99/100");
    check("bytes=90-1000", 100, "bytes 90-99/100");
    check("Bytes= 0 - 1 ", 100, "bytes 0-1/100");
}

#[test]
fn a_range_without_a_byte_is_unsatisfiable() {
    for header in [
        "bytes=100-",
        "bytes=100-200",
        "bytes=-0",
        "bytes=5-2",
        "bytes=200-,300-",
    ] {
        check(header, 100, "416");
    }
}

#[test]
fn what_cannot_be_parsed_is_unsatisfiable() {
    for ranges in [
        "abc", "-", "0-1,", ",0-1", "0-1,abc", "+1-2", "0--1", "0-1;2-3", "\t0-1", "0-1-2",
        "0x1-2", "1", "١-٢",
    ] {
        check(&format!("bytes={ranges}"), 100, "416");
    }
}

#[test]
fn without_a_range_in_bytes_the_whole_is_the_answer() {
    for header in [
        "",
        "bytes",
        "bytes=",
        "bytes 0-1",
        "bytes =0-1",
        "items=0-1",
        "é=0-1",
        "bytesé0-1",
    ] {
        check(header, 100, "200");
    }
    assert_eq!(plan(None, Some(100)), RangePlan::Whole);
    assert_eq!(plan(Some("bytes=0-1"), None), RangePlan::Whole);
}

#[test]
fn of_several_ranges_the_only_satisfiable_one_is_served() {
    check("bytes=0-0,200-", 100, "bytes 0-0/100");
    check("bytes=200-,0-0", 100, "bytes 0-0/100");
    check("bytes=1-0, 2-3", 100, "bytes 2-3/100");
    check("bytes=0-0,5-5", 100, "200");
    check("bytes=0-99,0-99", 100, "200");
}

#[test]
fn an_empty_object_has_no_ranges() {
    check("bytes=0-", 0, "200");
    check("bytes=0-0", 0, "200");
    check("bytes=-5", 0, "200");
    check("bytes=1-", 0, "416");
}

#[test]
fn numbers_near_the_limit_of_64_bits() {
    let most = u64::MAX;
    check("bytes=0-99999999999999999999", 100, "bytes 0-99/100");
    check("bytes=-99999999999999999999", 100, "bytes 0-99/100");
    check("bytes=99999999999999999999-", 100, "416");
    check(
        "bytes=18446744073709551615-18446744073709551615",
        100,
        "416",
    );
    check(
        "bytes=18446744073709551614-18446744073709551615",
        most,
        "bytes 18446744073709551614-18446744073709551614/18446744073709551615",
    );
    check(
        "bytes=-18446744073709551615",
        most,
        "bytes 0-18446744073709551614/18446744073709551615",
    );
}

#[test]
fn ten_thousand_ranges_cost_no_memory_and_get_the_whole() {
    let many = vec!["0-0"; 10_000].join(",");
    check(&format!("bytes={many}"), 100, "200");
    let beyond = vec!["500-"; 10_000].join(",");
    check(&format!("bytes={beyond}"), 100, "416");
    check(&format!("bytes={beyond},7-7"), 100, "bytes 7-7/100");
}

#[test]
fn a_416_states_the_length() {
    assert_eq!(unsatisfied_content_range(1234), "bytes */1234");
}

#[test]
fn a_plain_range_is_read_alike_by_every_cache() {
    for header in [
        "bytes=0-0",
        "bytes=5-",
        "bytes=-5",
        "bytes=0-99999999999999",
    ] {
        assert!(is_plain(header), "{header}");
    }
    for header in [
        "",
        "bytes=",
        "bytes=5",
        "bytes=-",
        "bytes=-0",
        "bytes=5-2",
        "bytes=0-1,3-4",
        "bytes=0-1,",
        "bytes= 0-1",
        "Bytes=0-1",
        "items=0-1",
        "bytes=0-99999999999999999999999999",
        "bytes=a-b",
    ] {
        assert!(!is_plain(header), "{header}");
    }
}
