//! Hostile ranges and conditions.

use crate::strategies::{edge_number, value};
use crate::{config, corpus, model};
use edge_worker::policy::conditional::{Evaluated, evaluate, if_range_holds, revalidation};
use edge_worker::policy::headers;
use edge_worker::policy::range::{self, RangePlan};
use edge_worker::policy::status::CacheStatus;
use edge_worker::policy::time::UnixMillis;
use http::header::{
    ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use proptest::prelude::*;

/// The headers as from a runtime: without invalid values.
fn headers_of<const N: usize>(fields: [(HeaderName, Option<&str>); N]) -> HeaderMap {
    let parsed = |(name, text): (HeaderName, Option<&str>)| {
        Some((name, HeaderValue::from_bytes(text?.as_bytes()).ok()?))
    };
    fields.into_iter().filter_map(parsed).collect()
}

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn ranges_are_what_the_naive_model_says(specs in proptest::collection::vec(model::spec(), 1..5), length in 0..20u64) {
        let header = model::header(&specs);
        let planned = range::plan(Some(&header), Some(length));
        prop_assert_eq!(planned, model::plan(&specs, length), "{} of {}", header, length);
    }

    #[test]
    fn ranges_stay_within_the_object_near_the_limit_of_64_bits(
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
        let stored = headers_of([(ETAG, get(0)), (LAST_MODIFIED, get(1))]);
        let request = headers_of([
            (IF_MATCH, get(2)),
            (IF_UNMODIFIED_SINCE, get(3)),
            (IF_NONE_MATCH, get(4)),
            (IF_MODIFIED_SINCE, get(5)),
            (IF_RANGE, get(6)),
        ]);
        let _ = evaluate(&request, &stored);
        let _ = revalidation(&stored);
        if let Some(if_range) = request.get(IF_RANGE) && if_range_holds(&request, &stored) {
            prop_assert!(!if_range.as_bytes().trim_ascii().starts_with(b"W/"));
        }
    }

    #[test]
    fn a_reader_who_has_the_version_gets_a_304(tag in "[!#-~]{0,20}", others in proptest::collection::vec("\"[!#-~]{0,5}\"", 0..5), weak in any::<bool>()) {
        let etag = format!("{}\"{tag}\"", if weak { "W/" } else { "" });
        let list = [&others[..], std::slice::from_ref(&etag)].concat().join(", ");
        let stored = headers_of([(ETAG, Some(&etag))]);
        let request = headers_of([(IF_NONE_MATCH, Some(&list)), (IF_RANGE, Some(&etag))]);
        prop_assert_eq!(evaluate(&request, &stored), Evaluated::NotModified);
        prop_assert_eq!(if_range_holds(&request, &stored), !weak);
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
    let stored = headers_of([
        (ETAG, Some("\"x\"")),
        (LAST_MODIFIED, Some("Thu, 01 Jan 2015 00:00:00 GMT")),
    ]);
    for line in corpus::lines("fields.txt") {
        let (name, value) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("no field: {line:?}"));
        let Ok(name) = name.parse::<HeaderName>() else {
            panic!("no name: {line:?}");
        };
        let request = headers_of([(name, Some(value)), (IF_RANGE, Some(value))]);
        let _ = evaluate(&request, &stored);
        let _ = if_range_holds(&request, &stored);
        let _ = headers::for_client(StatusCode::OK, &request, CacheStatus::Miss, UnixMillis(0));
    }
}
