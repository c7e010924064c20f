//! What must hold of every answer, and in the end.

use super::{Purged, Schedule};
use crate::simulation::outside::cache_control;
use crate::simulation::world::{content, media_type, version_of};
use crate::simulation::{Ask, RULE, Sent};
use edge_worker::engine::lock::LOCK_AGE_MILLISECONDS;
use edge_worker::origin::ANSWER_TIMEOUT_MILLISECONDS;
use edge_worker::policy::freshness::OriginCacheControl;
use edge_worker::policy::headers::text;
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::time::UnixMillis;
use edge_worker::serve::LONGEST_WAIT_MILLISECONDS;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG};

/// What may pass between the origin's word and the engine's decision, in milliseconds: the rest of
/// the fetch, and the look at the error's body.
const SLACK: u64 = 4_000;

/// The longest that looks into the store may take in one read, in milliseconds.
const LOOKS: u64 = 1_000;

/// The longest a reader may wait for headers: for another's fill, then for his own beside a stale
/// copy, then for an origin that he asks for himself; and the looks in between.
const LONGEST_READ: u64 = 2 * LONGEST_WAIT_MILLISECONDS + LONGEST_FETCH + LOOKS;

/// The longest that the origin may take to headers, in milliseconds: its limit, and what the world
/// adds before and after.
const LONGEST_FETCH: u64 = ANSWER_TIMEOUT_MILLISECONDS + 2_000;

impl Schedule {
    /// Whether a purge is being answered somewhere.
    pub(super) fn is_being_purged(&self, path: &str) -> bool {
        let mut engines = self.engines.iter();
        engines.any(|engine| engine.runtime.under_way.is_purging(path))
    }

    pub(super) fn check_time(&self, started_at: u64, result: &Result<Sent, OriginError>) {
        let answered_at = result
            .as_ref()
            .map_or_else(|_| self.world.executor.now(), |sent| sent.answered_at);
        let waited = answered_at - started_at;
        assert!(waited <= LONGEST_READ, "a reader waited {waited} ms");
    }

    /// While a copy may be served, no fault of the origin reaches a reader.
    pub(super) fn check_stale_covers(
        &self,
        path: &str,
        started_at: u64,
        servable: Option<u64>,
        result: &Result<Sent, OriginError>,
    ) {
        let now = self.world.executor.now();
        let removed = self
            .world
            .removed_at
            .borrow()
            .get(path)
            .is_some_and(|at| *at >= started_at)
            || self.is_being_purged(path);
        let covered = servable.is_some_and(|until| now < until) && !removed;
        if !covered {
            return;
        }
        match result {
            // The object is gone: no fault that a copy covers.
            Err(OriginError::Missing { .. }) => {}
            Err(error) => panic!("`{path}`: {error:?} reached a reader past a copy"),
            Ok(sent) => {
                assert!(
                    sent.body.is_ok() || self.may_not_be_stored(path, sent),
                    "`{path}`: a body broke off past a copy, {}",
                    sent.cache_status()
                );
            }
        }
    }

    /// Whether the origin forbids to keep the version that was sent, and is heeded: such a body
    /// passes by, and breaks off where it breaks off.
    pub(super) fn may_not_be_stored(&self, path: &str, sent: &Sent) -> bool {
        let tag = text(&sent.headers, ETAG);
        let version = tag.and_then(|tag| version_of(path, tag));
        self.rule.origin == OriginCacheControl::Respect
            && version.is_some_and(|version| cache_control(version).contains("no-store"))
    }

    /// Bytes, type and validators are of one version of this very key.
    pub(super) fn check_sent(&self, path: &str, ask: &Ask, sent: &Sent) {
        assert!(!sent.headers.contains_key("x-amz-request-id"));
        if !matches!(sent.status, 200 | 206 | 304) {
            assert_eq!(sent.status, 416);
            return;
        }
        let tag = text(&sent.headers, ETAG).expect("has an entity tag");
        let version = version_of(path, tag).unwrap_or_else(|| panic!("`{path}` was sent {tag}"));
        let whole = content(path, version);
        if sent.status == 304 {
            assert_eq!(ask.if_none_match.as_deref(), Some(tag));
            assert_eq!(sent.body, Ok(Vec::new()));
            return;
        }
        assert_eq!(
            text(&sent.headers, CONTENT_TYPE),
            Some(media_type(path, version).as_str())
        );
        let Ok(body) = &sent.body else {
            assert!(!sent.from_store, "a stored body broke off");
            return;
        };
        if ask.head {
            assert!(body.is_empty());
            return;
        }
        if sent.status == 200 {
            assert_eq!(*body, whole);
            return;
        }
        assert!(
            ask.if_range
                .as_deref()
                .is_none_or(|if_range| if_range == tag),
            "If-Range was not kept"
        );
        let part = text(&sent.headers, CONTENT_RANGE).expect("a part says which");
        let (range, length) = part
            .trim_start_matches("bytes ")
            .split_once('/')
            .expect("has a length");
        let (first, last) = range.split_once('-').expect("has two ends");
        let number = |text: &str| text.parse::<usize>().expect("is a number");
        assert_eq!(number(length), whole.len());
        assert_eq!(*body, whole[number(first)..=number(last)]);
    }

    /// Nothing is served past its window, and nothing as a hit past its freshness.
    pub(super) fn check_age(&self, path: &str, sent: &Sent) {
        let Some(version) = text(&sent.headers, ETAG).and_then(|tag| version_of(path, tag)) else {
            return;
        };
        let objects = self.world.objects.borrow();
        let confirmed_at = objects[path].confirmed_at[&version];
        let age = sent.answered_at.saturating_sub(confirmed_at);
        let fresh = RULE.fresh_seconds * 1_000 + SLACK;
        let stale = fresh + RULE.stale_seconds * 1_000;
        let limit = if sent.cache_status() == "HIT" {
            fresh
        } else {
            stale
        };
        assert!(
            age <= limit,
            "`{path}` was served at an age of {age} ms as {}",
            sent.cache_status()
        );
    }

    /// A missing object is not remembered for longer than the rule says, and every reader is told the
    /// same end.
    pub(super) fn check_missing(&self, path: &str, result: &Result<Sent, OriginError>) {
        let Err(OriginError::Missing { remembered, .. }) = result else {
            return;
        };
        assert!(remembered.is_none() || self.rule.negative_seconds > 0);
        let objects = self.world.objects.borrow();
        let missing_at = objects[path].missing_at.expect("the origin has said so");
        let age = self.world.executor.now().saturating_sub(missing_at);
        assert!(
            age <= self.rule.negative_seconds * 1_000 + SLACK,
            "`{path}` was missing for another {age} ms"
        );
        if let Some(told) = remembered {
            assert!(told.age <= told.max_age && told.max_age == self.rule.negative_seconds);
        }
    }

    /// Whether a reader of this isolate may be given what the last purge was about: not in the isolate
    /// that the purge came to; in another while a fill that began before the purge was answered may
    /// have left old bytes that the purge has not removed yet, or cannot remove any more.
    pub(super) fn may_be_late(&self, path: &str, isolate: usize) -> bool {
        let Some(purge) = self.purges.borrow().get(path).copied() else {
            return false;
        };
        purge.isolate != isolate && self.has_late_fill(path, purge)
    }

    fn has_late_fill(&self, path: &str, purge: Purged) -> bool {
        let now = self.world.executor.now();
        let ends = self.engines.iter().filter_map(|engine| {
            let under_way = &engine.runtime.under_way;
            under_way.last_end_of_fills_before(path, purge.answered_at)
        });
        // The purge looks for such bytes for 25 seconds.
        ends.into_iter().any(|ended| {
            let is_over = ended.saturating_add(SLACK) < purge.answered_at;
            let is_removed = ended < purge.answered_at + 24_000 && now > purge.answered_at + 26_000;
            !is_over && !is_removed
        })
    }

    /// A read that began after a purge was answered sees nothing from before it.
    pub(super) fn check_purged(&self, path: &str, started_at: u64, sent: &Sent) {
        let purge = self.purges.borrow().get(path).copied();
        let Some(purge) = purge.filter(|purge| started_at > purge.answered_at) else {
            return;
        };
        let Some(version) = text(&sent.headers, ETAG).and_then(|tag| version_of(path, tag)) else {
            return;
        };
        assert!(
            version >= purge.version,
            "`{path}` was served version {version} as {} after a purge at version {}",
            sent.cache_status(),
            purge.version
        );
    }

    /// Everybody has gone home: no lock, no body and no task is left.
    pub(super) fn check_end(&self) {
        for reader in self.readers.borrow().iter() {
            for task in reader.background.borrow().iter().chain([&reader.task]) {
                assert!(!self.world.executor.is_alive(*task), "a task never ended");
            }
        }
        for engine in &self.engines {
            let later = self.world.executor.now() + 2 * LOCK_AGE_MILLISECONDS;
            assert!(engine.locks.is_empty(UnixMillis(later)), "a lock is left");
        }
        if self.abandons {
            return;
        }
        assert_eq!(self.world.live_bodies.get(), 0, "a body is left");
        let stored = self.world.stored.borrow();
        // Whatever went on when it was asked for, in the end no purge was in vain.
        for (path, purge) in self.purges.borrow().iter() {
            let tag = stored.get(*path).and_then(|copy| text(&copy.headers, ETAG));
            let version = tag.and_then(|tag| version_of(path, tag));
            assert!(
                self.has_late_fill(path, *purge)
                    || version.is_none_or(|version| version >= purge.version),
                "`{path}` is stored as of before its purge"
            );
        }
    }
}
