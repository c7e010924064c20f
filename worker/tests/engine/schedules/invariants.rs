//! What must hold of every answer, and in the end.

use super::Schedule;
use crate::simulation::outside::cache_control;
use crate::simulation::world::{content, media_type, version_of};
use crate::simulation::{Ask, RULE, Sent};
use edge_worker::engine::LONGEST_WAIT_MILLISECONDS;
use edge_worker::origin::ANSWER_TIMEOUT_MILLISECONDS;
use edge_worker::policy::freshness::OriginCacheControl;
use edge_worker::policy::plan::Cause;

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
const LONGEST_FETCH: u64 = ANSWER_TIMEOUT_MILLISECONDS as u64 + 2_000;

impl Schedule {
    /// Whether a copy is not to be trusted: a purge is being answered, or has overtaken a fill
    /// somewhere, or a fill was given up while it wrote, and holds its lock to the lease's end.
    pub(super) fn is_in_trouble(&self, path: &str) -> bool {
        let now = self.world.executor.now();
        self.engines.iter().any(|engine| {
            engine.fills.trouble(path, now).is_some()
                || engine.runtime.under_way.is_purging(path)
                || (self.abandons && engine.fills.is_writing(path, now))
        })
    }

    pub(super) fn check_time(&self, started_at: u64, result: &Result<Sent, Cause>) {
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
        result: &Result<Sent, Cause>,
    ) {
        let now = self.world.executor.now();
        let removed = self
            .world
            .removed_at
            .borrow()
            .get(path)
            .is_some_and(|at| *at >= started_at)
            || self.is_in_trouble(path);
        let covered = servable.is_some_and(|until| now < until) && !removed;
        if !covered {
            return;
        }
        match result {
            Err(cause) => panic!("`{path}`: {cause:?} reached a reader past a copy"),
            Ok(sent) => {
                assert!(
                    sent.status < 500 && !matches!(sent.status, 403 | 429),
                    "`{path}`: {} past a copy",
                    sent.status
                );
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
        let tag = sent.fields.get("etag");
        let version = tag.and_then(|tag| version_of(path, tag));
        self.rule.origin == OriginCacheControl::Respect
            && version.is_some_and(|version| cache_control(version).contains("no-store"))
    }

    /// Bytes, type and validators are of one version of this very key.
    pub(super) fn check_sent(&self, path: &str, ask: &Ask, sent: &Sent) {
        assert_eq!(sent.fields.get("x-amz-request-id"), None);
        if !matches!(sent.status, 200 | 206 | 304) {
            assert!(
                matches!(sent.status, 403 | 404 | 416 | 429 | 500 | 503),
                "status {}",
                sent.status
            );
            return;
        }
        let tag = sent.fields.get("etag").expect("has an entity tag");
        let version = version_of(path, tag).unwrap_or_else(|| panic!("`{path}` was sent {tag}"));
        let whole = content(path, version);
        if sent.status == 304 {
            assert_eq!(ask.if_none_match.as_deref(), Some(tag));
            assert_eq!(sent.body, Ok(Vec::new()));
            return;
        }
        assert_eq!(
            sent.fields.get("content-type"),
            Some(media_type(path, version).as_str())
        );
        let Ok(body) = &sent.body else {
            assert!(!sent.from_store, "a stored body broke off");
            return;
        };
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
        let part = sent.fields.get("content-range").expect("a part says which");
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
        let Some(version) = sent
            .fields
            .get("etag")
            .and_then(|tag| version_of(path, tag))
        else {
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

    /// A missing object is not remembered for longer than the rule says.
    pub(super) fn check_missing(&self, path: &str, sent: &Sent) {
        if sent.status != 404 || !sent.from_store {
            return;
        }
        let objects = self.world.objects.borrow();
        let missing_at = objects[path].missing_at.expect("the origin has said so");
        let age = sent.answered_at.saturating_sub(missing_at);
        assert!(
            age <= self.rule.negative_seconds * 1_000 + SLACK,
            "`{path}` was missing for another {age} ms"
        );
    }

    /// Whether the other isolate runs a fill of `path` that began before the last purge was
    /// answered, or had one given up: what it writes shows until it takes it back. That window is
    /// known: see `engine/tombstone.rs`.
    pub(super) fn is_late_elsewhere(&self, path: &str, number: usize) -> bool {
        let purge = self.purges.borrow().get(path).copied();
        purge.is_some_and(|purge| {
            self.engines[1 - number]
                .runtime
                .under_way
                .any_since_before(path, purge.answered_at + 1)
        })
    }

    /// A read that began after a purge was answered sees nothing from before it.
    pub(super) fn check_purged(&self, path: &str, started_at: u64, sent: &Sent) {
        let purge = self.purges.borrow().get(path).copied();
        let Some(purge) = purge.filter(|purge| started_at > purge.answered_at) else {
            return;
        };
        let Some(version) = sent
            .fields
            .get("etag")
            .and_then(|tag| version_of(path, tag))
        else {
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
        if self.abandons {
            return;
        }
        for engine in &self.engines {
            assert!(engine.fills.is_empty(), "a lock is left");
        }
        assert_eq!(self.world.live_bodies.get(), 0, "a body is left");
        let stored = self.world.stored.borrow();
        for name in stored.keys() {
            let whole = !name.contains("?successor");
            assert!(whole, "`{name}` is left");
        }
        // Whatever went on when it was asked for, in the end no purge was in vain.
        for (path, purge) in self.purges.borrow().iter() {
            let tag = stored.get(*path).and_then(|copy| copy.fields.get("etag"));
            let version = tag.and_then(|tag| version_of(path, tag));
            assert!(
                version.is_none_or(|version| version >= purge.version),
                "`{path}` is stored as of before its purge"
            );
        }
    }
}
