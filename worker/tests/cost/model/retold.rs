//! Caches that cannot be run under a simulated clock, told in one page: nginx's, as the comparison
//! with the real one shows it, and the platform's, as its documentation tells it. And no cache.

use std::collections::{BTreeSet, HashMap};

use edge_worker::policy::fields::Fields;
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::headers;
use edge_worker::policy::time::UnixMillis;

use super::engine::{BYTES_A_MILLISECOND, LATENCY};
use super::log::{Log, Request, Want};
use super::tally::{Reads, Tally};

/// How a cache treats what it holds. Times in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// How long a copy is the answer.
    pub(crate) fresh: u64,
    /// How long after that it is served at once while the bucket is asked about it.
    pub(crate) stale_while_asking: u64,
    /// Whether the bucket is asked if the copy still holds, rather than for another.
    pub(crate) revalidates: bool,
    /// A copy that nobody has asked for so long goes.
    pub(crate) inactive: u64,
    /// What there is room for, in bytes: the one that was asked for longest ago goes first.
    pub(crate) room: u64,
    /// Whether the worker stands before it and behind it.
    pub(crate) of_worker: bool,
}

impl Rules {
    /// nginx as it was before: `proxy_cache_valid 200 48h`, `inactive=48h`, no
    /// `proxy_cache_revalidate`, and `max_size`.
    #[must_use]
    pub(crate) fn of_nginx(room: Option<u64>) -> Self {
        const HOURS_48: u64 = 48 * 60 * 60 * 1000;
        Self {
            fresh: HOURS_48,
            stale_while_asking: 0,
            revalidates: false,
            inactive: HOURS_48,
            room: room.unwrap_or(u64::MAX),
            of_worker: false,
        }
    }

    /// The platform's cache under what the worker tells it in `Cloudflare-CDN-Cache-Control`.
    #[must_use]
    pub(crate) fn of_platform(rule: &FreshnessRule) -> Self {
        let said = headers::platform_cache_control(200, &Fields::new(), rule, UnixMillis(0));
        let seconds = |name: &str| {
            said.split(", ")
                .find_map(|directive| directive.strip_prefix(name)?.strip_prefix('='))
                .and_then(|value| value.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Self {
            fresh: seconds("max-age") * 1000,
            stale_while_asking: seconds("stale-while-revalidate") * 1000,
            revalidates: true,
            inactive: u64::MAX,
            room: u64::MAX,
            of_worker: true,
        }
    }
}

/// A copy of an object.
struct Copy {
    /// When the bucket's answer is there whole: until then, whoever comes waits for it.
    whole_at: u64,
    fresh_until: u64,
    last_read: u64,
    size: u64,
}

/// The copies, and the order in which they would go.
#[derive(Default)]
struct Shelf {
    copies: HashMap<u32, Copy>,
    by_last_read: BTreeSet<(u64, u32)>,
    bytes: u64,
}

impl Shelf {
    /// Marks a copy as read, and forgets those that nobody reads.
    fn touch(&mut self, object: u32, now: u64, inactive: u64) {
        while let Some(&(last_read, oldest)) = self.by_last_read.first()
            && now.saturating_sub(last_read) >= inactive
        {
            self.remove(oldest);
        }
        if let Some(copy) = self.copies.get_mut(&object) {
            self.by_last_read.remove(&(copy.last_read, object));
            copy.last_read = now;
            self.by_last_read.insert((now, object));
        }
    }

    fn put(&mut self, object: u32, copy: Copy, room: u64) {
        self.remove(object);
        self.bytes += copy.size;
        self.by_last_read.insert((copy.last_read, object));
        self.copies.insert(object, copy);
        while self.bytes > room
            && let Some(&(_, oldest)) = self.by_last_read.first()
        {
            self.remove(oldest);
        }
    }

    fn remove(&mut self, object: u32) {
        if let Some(copy) = self.copies.remove(&object) {
            self.bytes -= copy.size;
            self.by_last_read.remove(&(copy.last_read, object));
        }
    }
}

/// Serves a log from one cache.
#[must_use]
pub(crate) fn replay(log: &Log, rules: &Rules) -> Tally {
    let mut tally = Tally::over(log.days);
    let mut shelf = Shelf::default();
    for request in &log.requests {
        let now = request.at;
        tally.worker_requests += u64::from(rules.of_worker);
        let Some(size) = log.sizes[request.object as usize] else {
            tally.ask_origin(now, 0);
            tally.worker_requests += u64::from(rules.of_worker);
            tally.reads.asked += 1;
            continue;
        };
        shelf.touch(request.object, now, rules.inactive);
        let copy = shelf.copies.get(&request.object);
        if copy.is_some_and(|copy| now < copy.whole_at.max(copy.fresh_until)) {
            served(&mut tally.reads, request);
            continue;
        }
        let at_once = copy.is_some_and(|copy| now < copy.fresh_until + rules.stale_while_asking);
        let confirms = copy.is_some() && rules.revalidates;
        let bytes = if confirms { 0 } else { size };
        tally.ask_origin(now, bytes);
        tally.worker_requests += u64::from(rules.of_worker);
        if at_once {
            served(&mut tally.reads, request);
        } else {
            tally.reads.asked += 1;
        }
        let copy = Copy {
            whole_at: now + LATENCY + bytes / BYTES_A_MILLISECOND,
            fresh_until: now + LATENCY + rules.fresh,
            last_read: now,
            size,
        };
        shelf.put(request.object, copy, rules.room);
    }
    tally
}

/// Serves a log from the bucket itself, which knows ranges and conditions too.
#[must_use]
pub(crate) fn replay_without_cache(log: &Log) -> Tally {
    let mut tally = Tally::over(log.days);
    for request in &log.requests {
        let size = log.sizes[request.object as usize];
        tally.ask_origin(request.at, size.map_or(0, |size| request.bytes(size)));
        tally.reads.asked += 1;
    }
    tally
}

/// Counts a read that the bucket was not asked for.
pub(super) fn served(reads: &mut Reads, request: &Request) {
    match request.want {
        Want::Whole => reads.hit += 1,
        Want::Part(..) => reads.range += 1,
        Want::Confirmation => reads.not_modified += 1,
    }
}
