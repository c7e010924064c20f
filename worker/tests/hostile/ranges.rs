//! Ranges, and the conditions they stand under.

use crate::strategies::{edge_number, value};
use crate::{config, corpus, model};
use edge_worker::policy::conditional::{
    Conditions, Evaluated, Validators, evaluate, if_range_holds, revalidation,
};
use edge_worker::policy::fields::Fields;
use edge_worker::policy::headers;
use edge_worker::policy::range::{self, RangePlan};
use edge_worker::policy::status::CacheStatus;
use edge_worker::policy::time::UnixMillis;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn ranges_are_what_the_naive_model_says(specs in proptest::collection::vec(model::spec(), 1..5), length in 0..20u64) {
        let header = model::header(&specs);
        let planned = range::plan(Some(&header), Some(length));
        prop_assert_eq!(planned, model::plan(&specs, length), "{} of {}", header, length);
    }

    #[test]
    fn ranges_stay_within_the_object_at_the_edges_of_the_numbers(
        numbers in proptest::collection::vec((proptest::option::of(edge_number()), proptest::option::of(edge_number())), 1..4),
        length in edge_number(),
    ) {
        let text = |number: &Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
        let specs: Vec<_> = numbers.iter().map(|(first, last)| format!("{}-{}", text(first), text(last))).collect();
        let header = format!("bytes={}", specs.join(","));
        if let RangePlan::Part(range) = range::plan(Some(&header), Some(length)) {
            prop_assert!(range.first() <= range.last() && range.last() < length);
            prop_assert_eq!(range.len() - 1, range.last() - range.first());
            prop_assert_eq!(range.content_range(length), format!("bytes {}-{}/{length}", range.first(), range.last()));
        }
    }

    #[test]
    fn any_range_header_is_answered(header in prop_oneof![any::<String>(), value().prop_map(|value| format!("bytes={value}"))], length in edge_number()) {
        let _ = range::plan(Some(&header), Some(length));
        let _ = range::plan(Some(&header), None);
    }

    #[test]
    fn any_condition_is_evaluated(values in proptest::collection::vec(proptest::option::of(value()), 7)) {
        let get = |index: usize| values[index].as_deref();
        let stored = Validators { etag: get(0), last_modified: get(1) };
        let conditions = Conditions { if_match: get(2), if_unmodified_since: get(3), if_none_match: get(4), if_modified_since: get(5) };
        let _ = evaluate(&conditions, &stored);
        let _ = revalidation(&stored);
        let if_range = get(6).unwrap_or_default();
        if if_range_holds(if_range, &stored) {
            prop_assert!(!if_range.trim().starts_with("W/"));
        }
    }

    #[test]
    fn a_reader_who_has_the_version_is_told_so(tag in "[!#-~]{0,20}", others in proptest::collection::vec("\"[!#-~]{0,5}\"", 0..5), weak in any::<bool>()) {
        let etag = format!("{}\"{tag}\"", if weak { "W/" } else { "" });
        let list = [&others[..], std::slice::from_ref(&etag)].concat().join(", ");
        let stored = Validators { etag: Some(&etag), last_modified: None };
        let conditions = Conditions { if_none_match: Some(&list), ..Conditions::default() };
        prop_assert_eq!(evaluate(&conditions, &stored), Evaluated::NotModified);
        prop_assert_eq!(if_range_holds(&etag, &stored), !weak);
    }
}

#[test]
fn the_corpus_of_ranges_is_replayed() {
    for header in corpus::lines("ranges.txt") {
        for length in [0, 1, 100, u64::MAX - 1, u64::MAX] {
            if let RangePlan::Part(range) = range::plan(Some(&header), Some(length)) {
                assert!(range.last() < length, "{header:?}");
            }
        }
    }
}

#[test]
fn the_corpus_of_fields_is_replayed() {
    let stored = Validators {
        etag: Some("\"x\""),
        last_modified: Some("Thu, 01 Jan 2015 00:00:00 GMT"),
    };
    for line in corpus::lines("fields.txt") {
        let (name, value) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("no field: {line:?}"));
        let get = |other: &str| (other == name).then_some(value);
        let conditions = Conditions {
            if_match: get("If-Match"),
            if_unmodified_since: get("If-Unmodified-Since"),
            if_none_match: get("If-None-Match"),
            if_modified_since: get("If-Modified-Since"),
        };
        let _ = evaluate(&conditions, &stored);
        let _ = if_range_holds(value, &stored);
        let answer = Fields::from_iter([(name, value)]);
        let _ = headers::for_client(200, &answer, CacheStatus::Miss, UnixMillis(0));
    }
}
