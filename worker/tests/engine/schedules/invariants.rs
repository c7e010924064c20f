//! The invariants of every answer, and of the end of a schedule.

use super::{Purged, Schedule};
use crate::simulation::traits::cache_control;
use crate::simulation::world::{content, media_type, version_of};
use crate::simulation::{RULE, Request, Response};
use edge_worker::engine::LONGEST_WAIT_MILLISECONDS;
use edge_worker::engine::lock::LOCK_AGE_MILLISECONDS;
use edge_worker::origin::ANSWER_TIMEOUT_MILLISECONDS;
use edge_worker::policy::freshness::OriginCacheControl;
use edge_worker::policy::headers::text;
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::time::UnixMillis;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG};

/// The longest time between the origin's answer and the engine's decision, in milliseconds: the rest of the
/// fetch, with the error's body.
const SLACK: u64 = 4_000;

/// The longest time of all look-ups in one read, in milliseconds.
const LOOK_UPS: u64 = 1_000;

/// The longest time to a reader's headers, in milliseconds: the wait for another's fill, then for its own
/// refresh, then a fetch for this reader alone; and the look-ups.
const LONGEST_READ: u64 = 2 * LONGEST_WAIT_MILLISECONDS + LONGEST_FETCH + LOOK_UPS;

/// The longest time to the origin's headers, in milliseconds: its limit, and the pauses of the simulation.
const LONGEST_FETCH: u64 = ANSWER_TIMEOUT_MILLISECONDS + 2_000;

impl Schedule {
    /// Whether a purge runs in any isolate.
    pub(super) fn is_being_purged(&self, path: &str) -> bool {
        let mut engines = self.engines.iter();
        engines.any(|engine| engine.runtime.under_way.is_purging(path))
    }

    pub(super) fn check_time(&self, started_at: u64, result: &Result<Response, OriginError>) {
        let answered_at = result.as_ref().map_or_else(
            |_| self.world.executor.now(),
            |response| response.answered_at,
        );
        let waited = answered_at - started_at;
        assert!(waited <= LONGEST_READ, "a reader waited {waited} ms");
    }

    /// While a copy may be served, no fault of the origin reaches a reader.
    pub(super) fn check_stale_covers(
        &self,
        path: &str,
        started_at: u64,
        servable: Option<u64>,
        result: &Result<Response, OriginError>,
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
            // The object is gone, which no copy covers.
            Err(OriginError::Missing { .. }) => {}
            Err(error) => panic!("`{path}`: {error:?} reached a reader past a copy"),
            Ok(response) => {
                assert!(
                    response.body.is_ok() || self.may_not_be_stored(path, response),
                    "`{path}`: a body broke off past a copy, {}",
                    response.cache_status()
                );
            }
        }
    }

    /// Whether the origin's headers forbid to store this version, and count: such a body may break off.
    pub(super) fn may_not_be_stored(&self, path: &str, response: &Response) -> bool {
        let tag = text(&response.headers, ETAG);
        let version = tag.and_then(|tag| version_of(path, tag));
        self.rule.origin == OriginCacheControl::Respect
            && version.is_some_and(|version| cache_control(version).contains("no-store"))
    }

    /// Bytes, type and validators are of one version of this very key.
    pub(super) fn check_sent(&self, path: &str, request: &Request, response: &Response) {
        assert!(!response.headers.contains_key("x-amz-request-id"));
        if !matches!(response.status, 200 | 206 | 304) {
            assert_eq!(response.status, 416);
            return;
        }
        let tag = text(&response.headers, ETAG).expect("has an entity tag");
        let version =
            version_of(path, tag).unwrap_or_else(|| panic!("`{path}` was answered with {tag}"));
        let whole = content(path, version);
        if response.status == 304 {
            assert_eq!(request.if_none_match.as_deref(), Some(tag));
            assert_eq!(response.body, Ok(Vec::new()));
            return;
        }
        assert_eq!(
            text(&response.headers, CONTENT_TYPE),
            Some(media_type(path, version).as_str())
        );
        let Ok(body) = &response.body else {
            assert!(!response.from_store, "a stored body broke off");
            return;
        };
        if request.head {
            assert!(body.is_empty());
            return;
        }
        if response.status == 200 {
            assert_eq!(*body, whole);
            return;
        }
        assert!(
            request
                .if_range
                .as_deref()
                .is_none_or(|if_range| if_range == tag),
            "If-Range was not kept"
        );
        let part = text(&response.headers, CONTENT_RANGE).expect("a part says which");
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
    pub(super) fn check_age(&self, path: &str, response: &Response) {
        let Some(version) = text(&response.headers, ETAG).and_then(|tag| version_of(path, tag))
        else {
            return;
        };
        let objects = self.world.objects.borrow();
        let confirmed_at = objects[path].confirmed_at[&version];
        let age = response.answered_at.saturating_sub(confirmed_at);
        let fresh = RULE.fresh_seconds * 1_000 + SLACK;
        let stale = fresh + RULE.stale_seconds * 1_000;
        let limit = if response.cache_status() == "HIT" {
            fresh
        } else {
            stale
        };
        assert!(
            age <= limit,
            "`{path}` was served at an age of {age} ms as {}",
            response.cache_status()
        );
    }

    /// A missing object is not remembered for longer than the rule says, and every reader learns the same
    /// end.
    pub(super) fn check_missing(&self, path: &str, result: &Result<Response, OriginError>) {
        let Err(OriginError::Missing { remembered, .. }) = result else {
            return;
        };
        assert!(remembered.is_none() || self.rule.negative_seconds > 0);
        let objects = self.world.objects.borrow();
        let missing_at = objects[path]
            .missing_at
            .expect("the origin has answered 404");
        let age = self.world.executor.now().saturating_sub(missing_at);
        assert!(
            age <= self.rule.negative_seconds * 1_000 + SLACK,
            "`{path}` was missing for another {age} ms"
        );
        if let Some(stated) = remembered {
            let longest = self.rule.negative_seconds;
            assert!(stated.age <= stated.max_age && stated.max_age == longest);
        }
    }

    /// Whether a reader of this isolate may get bytes from before the last purge. Never in the isolate of the
    /// purge. In another one, while a fill that began before the end of the purge may have stored old bytes
    /// that the purge has not removed yet, or can no longer remove.
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
        // The purge checks the store for 25 seconds.
        ends.into_iter().any(|ended| {
            let is_over = ended.saturating_add(SLACK) < purge.answered_at;
            let is_removed = ended < purge.answered_at + 24_000 && now > purge.answered_at + 26_000;
            !is_over && !is_removed
        })
    }

    /// A read that began after the end of a purge sees nothing from before it.
    pub(super) fn check_purged(&self, path: &str, started_at: u64, response: &Response) {
        let purge = self.purges.borrow().get(path).copied();
        let Some(purge) = purge.filter(|purge| started_at > purge.answered_at) else {
            return;
        };
        let Some(version) = text(&response.headers, ETAG).and_then(|tag| version_of(path, tag))
        else {
            return;
        };
        assert!(
            version >= purge.version,
            "`{path}` was served version {version} as {} after a purge at version {}",
            response.cache_status(),
            purge.version
        );
    }

    /// In the end no lock, no body and no task is left.
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
        // In the end every purge has had its effect.
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
