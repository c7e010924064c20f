//! Whatever a bucket answers, and whatever stands in the store.

use crate::config;
use crate::strategies::{edge_moment, entry, fields, rule};
use edge_worker::policy::entry::Entry;
use edge_worker::policy::headers;
use edge_worker::policy::plan::{self, Lookup, Outcome};
use edge_worker::policy::status::CacheStatus;
use proptest::prelude::*;

proptest! {
    #![proptest_config(config(4_000))]

    #[test]
    fn a_record_is_read_as_it_was_written(entry in entry()) {
        let text = entry.encode();
        prop_assert!(text.len() <= 90 && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()));
        prop_assert_eq!(Entry::decode(&text), Some(entry));
    }

    #[test]
    fn any_text_is_a_record_or_none(text in any::<String>(), cut in 0..90usize, entry in entry()) {
        let _ = Entry::decode(&text);
        let mut written = entry.encode();
        written.truncate(cut);
        if let Some(read) = Entry::decode(&written) {
            prop_assert!(read.stale_until >= read.fresh_until);
        }
    }

    #[test]
    fn whatever_a_bucket_writes_is_stripped(status in 100..600u16, fields in fields(), now in edge_moment()) {
        let sent = headers::for_client(status, &fields, CacheStatus::Miss, now);
        for (name, sent_value) in sent.iter() {
            let added = headers::is_dressed(status) && (name == headers::CACHE_STATUS || headers::ADDED.contains(&(name, sent_value)));
            prop_assert!(added || !headers::is_removed(name), "{}", name);
        }
        prop_assert_eq!(sent.all(headers::CACHE_STATUS).count(), usize::from(headers::is_dressed(status)));
    }

    #[test]
    fn whatever_a_bucket_answers_is_decided(
        status in 100..600u16,
        fields in fields(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
        stored in proptest::option::of(entry()),
        rule in rule(),
        now in edge_moment(),
    ) {
        let servable = stored.filter(|entry| now < entry.stale_until);
        match plan::after_response(status, &fields, &body, stored.as_ref(), &rule, now) {
            Outcome::Store(entry) => {
                prop_assert!(matches!(status, 200 | 404 | 410) && entry.status == status);
                prop_assert!(entry.stale_until >= entry.fresh_until && entry.stored_at == now);
                prop_assert_eq!(Entry::decode(&entry.encode()), Some(entry));
            }
            Outcome::Freshen(entry) => {
                prop_assert!(status == 304 && servable.is_some());
                prop_assert!(entry.stale_until >= entry.fresh_until);
            }
            Outcome::ServeStale(_) => prop_assert!(servable.is_some()),
            Outcome::DeleteAndPass => prop_assert!(matches!(status, 404 | 410) && servable.is_some()),
            Outcome::Pass(_) => {
                // While a copy stands ready, no fault of the bucket reaches a reader.
                prop_assert!(!(500..600).contains(&status) && status != 429 || servable.is_none());
            }
        }
        let _ = headers::platform_cache_control(status, &fields, &rule, now);
    }

    #[test]
    fn nothing_is_served_past_its_window(entry in entry(), now in edge_moment()) {
        let expected = match () {
            () if now < entry.fresh_until => Lookup::Fresh,
            () if now < entry.stale_until => Lookup::Stale,
            () => Lookup::Absent,
        };
        prop_assert_eq!(plan::lookup(Some(&entry), now), expected);
    }
}
