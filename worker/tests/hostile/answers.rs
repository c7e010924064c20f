//! Whatever a bucket answers, and whatever stands in the store.

use crate::config;
use crate::strategies::{edge_moment, entry, fields, rule};
use edge_worker::policy::decision::{self, AfterError, Freshness, Outcome};
use edge_worker::policy::entry::Entry;
use edge_worker::policy::headers;
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::platform;
use edge_worker::policy::status::CacheStatus;
use http::StatusCode;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn a_record_is_read_as_it_was_written(entry in entry()) {
        let text = entry.encode();
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
        prop_assert_eq!(Entry::decode(&text), Some(entry));
    }

    #[test]
    fn any_text_is_a_record_or_none(text in any::<String>(), cut in 0..200usize, entry in entry()) {
        let _ = Entry::decode(&text);
        let mut written = entry.encode();
        written.truncate(cut);
        if let Some(read) = Entry::decode(&written) {
            prop_assert!(read.stale_until >= read.fresh_until);
        }
    }

    #[test]
    fn whatever_a_bucket_writes_is_stripped(status in 100..600u16, fields in fields(), now in edge_moment()) {
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
    fn whatever_a_bucket_answers_is_decided(
        status in 100..600u16,
        fields in fields(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        stored in proptest::option::of(entry()),
        rule in rule(),
        asked_at in edge_moment(),
        now in edge_moment(),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let servable = stored.filter(|entry| now < entry.stale_until);
        if let Some(error) = OriginError::of(status, &fields, &body) {
            match decision::after_error(error, stored.as_ref(), &rule, asked_at, now) {
                AfterError::ServeStale => prop_assert!(servable.is_some() && error.is_covered_by_stale()),
                AfterError::Delete => prop_assert!(rule.negative_seconds == 0 && matches!(status.as_u16(), 404 | 410)),
                AfterError::Remember(entry) => {
                    prop_assert!(rule.negative_seconds > 0 && entry.status == status.as_u16());
                    prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
                }
                // While a copy stands ready, no fault of the bucket reaches a reader.
                AfterError::Fail => prop_assert!(servable.is_none() || !error.is_covered_by_stale()),
            }
            return Ok(());
        }
        match decision::after_fetch(status, &fields, stored.as_ref(), &rule, asked_at, now) {
            Outcome::Store(entry) => {
                prop_assert!(status == StatusCode::OK && entry.status == 200);
                prop_assert!(entry.stale_until >= entry.fresh_until && entry.asked_at == asked_at);
                prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
            }
            Outcome::Freshen(entry) => {
                prop_assert!(status == StatusCode::NOT_MODIFIED && servable.is_some());
                prop_assert!(entry.stale_until >= entry.fresh_until);
            }
            Outcome::Pass(_) => prop_assert!(status.is_success() || status.is_informational() || status == StatusCode::NOT_MODIFIED),
        }
        let _ = platform::rule_for_answer(status, &fields, &rule, now);
    }

    #[test]
    fn nothing_is_served_past_its_window(entry in entry(), now in edge_moment()) {
        let expected = match () {
            () if now < entry.fresh_until => Freshness::Fresh,
            () if now < entry.stale_until => Freshness::Stale,
            () => Freshness::Absent,
        };
        prop_assert_eq!(decision::freshness_of(Some(&entry), now), expected);
    }
}
