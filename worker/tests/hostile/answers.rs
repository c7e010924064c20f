//! Hostile answers of a bucket, and hostile records in the store.

use crate::config;
use crate::strategies::{edge_moment, fields, record, rule};
use edge_worker::policy::decision::{self, AfterError, AfterRefresh, Freshness};
use edge_worker::policy::freshness;
use edge_worker::policy::headers;
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::platform_cache;
use edge_worker::policy::record::Record;
use edge_worker::policy::status::CacheStatus;
use http::StatusCode;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn a_record_is_read_as_it_was_written(record in record()) {
        let text = record.encode();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(Record::decode(&text), Some(record));
    }

    #[test]
    fn any_text_is_a_record_or_none(text in any::<String>(), cut in 0..200usize, record in record()) {
        let _ = Record::decode(&text);
        let mut written = record.encode();
        written.truncate(cut);
        if let Some(read) = Record::decode(&written) {
            prop_assert!(read.stale_until >= read.fresh_until);
        }
    }

    #[test]
    fn the_headers_of_any_answer_are_stripped(status in 100..600u16, fields in fields(), now in edge_moment()) {
        let status = StatusCode::from_u16(status).unwrap();
        let sent = headers::for_client(status, &fields, CacheStatus::Miss, now);
        let has_added = headers::has_added_headers(status);
        for (name, value) in &sent {
            let is_ours = *name == headers::X_CACHE_STATUS
                || headers::ADDED.into_iter().chain(headers::SECURITY).any(|(added, text)| *name == added && value == text);
            prop_assert!((has_added && is_ours) || !headers::is_removed(name), "{}", name);
        }
        prop_assert_eq!(sent.get_all(headers::X_CACHE_STATUS).iter().count(), usize::from(has_added));
    }

    #[test]
    fn any_answer_of_the_bucket_has_a_decision(
        status in 100..600u16,
        fields in fields(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        stored in proptest::option::of(record()),
        rule in rule(),
        asked_at in edge_moment(),
        now in edge_moment(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let servable = stored.filter(|record| now < record.stale_until);
        if let Some(error) = OriginError::of(status, &fields, &body) {
            let is_covered = stored.is_some_and(|stale| decision::is_covered(error, &stale, now));
            // While a copy may be served, no fault of the bucket reaches a reader.
            prop_assert_eq!(is_covered, servable.is_some() && error.is_covered_by_stale());
            match decision::after_error(error, &rule, asked_at, now) {
                AfterError::Delete => prop_assert!(rule.negative_seconds == 0 && matches!(status.as_u16(), 404 | 410)),
                AfterError::Remember(record) => {
                    prop_assert!(rule.negative_seconds > 0 && record.status == status.as_u16());
                    prop_assert_eq!(Record::decode(&record.encode()), Some(record));
                }
                AfterError::KeepCopy => {
                    let is_missing = matches!(error, OriginError::Missing { .. });
                    prop_assert!(!is_missing);
                }
            }
            return Ok(());
        }
        let after = match stored {
            Some(stale) => decision::after_refresh(status, &fields, &stale, &rule, asked_at, now),
            None => freshness::record_for(status, &fields, &rule, asked_at, now)
                .map_or_else(AfterRefresh::PassThrough, AfterRefresh::Replace),
        };
        match after {
            AfterRefresh::Replace(record) => {
                prop_assert!(status == StatusCode::OK && record.status == 200);
                prop_assert!(record.stale_until >= record.fresh_until && record.asked_at == asked_at);
                prop_assert_eq!(Record::decode(&record.encode()), Some(record));
            }
            AfterRefresh::Revalidate(record) => {
                prop_assert!(status == StatusCode::NOT_MODIFIED && servable.is_some());
                prop_assert!(record.stale_until >= record.fresh_until);
            }
            AfterRefresh::PassThrough(_) => prop_assert!(status.is_success() || status.is_informational() || status == StatusCode::NOT_MODIFIED),
        }
        let _ = platform_cache::cache_control_of_answer(status, &fields, &rule, now);
    }

    #[test]
    fn nothing_is_served_past_its_window(record in record(), now in edge_moment()) {
        let expected = match () {
            () if now < record.fresh_until => Freshness::Fresh,
            () if now < record.stale_until => Freshness::Stale,
            () => Freshness::Absent,
        };
        prop_assert_eq!(decision::freshness_of(&record, now), expected);
    }
}
