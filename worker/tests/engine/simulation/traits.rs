//! The engine's traits over the simulated world: store, origin and runtime.

use super::SimEngine;
use super::executor::TaskId;
use super::world::{
    Fault, SimBody, SimFound, Stored, World, content, etag, headers, length_of, media_type, value,
};
use edge_worker::admission::ObjectKey;
use edge_worker::engine::lock::LOCK_AGE_MILLISECONDS;
use edge_worker::engine::{Origin, OriginAnswer, Runtime, Store};
use edge_worker::origin::ANSWER_TIMEOUT_MILLISECONDS;
use edge_worker::policy::headers::{RECORD, text};
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::range::{self, ByteRange, RangePlan};
use edge_worker::policy::time::UnixMillis;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE,
};
use http::{HeaderMap, HeaderName, StatusCode};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

/// The simulated store. As the Cache API, it applies ranges and conditions to a stored answer of any status.
#[derive(Clone)]
pub(crate) struct SimStore(pub World);

impl SimStore {
    /// Whether it compares tags wrongly this time, or leaves the record out of its 304.
    fn is_wrong(&self) -> bool {
        self.0.store_is_unreliable.get() && self.0.executor.once_in(4)
    }

    fn remove(&self, path: &str) -> bool {
        let now = self.0.executor.now();
        self.0.removed_at.borrow_mut().insert(path.to_owned(), now);
        self.0.stored.borrow_mut().remove(path).is_some()
    }
}

impl Store for SimStore {
    type Body = SimBody;
    type Found = SimFound;

    async fn find(&self, path: &str, request_headers: &HeaderMap) -> Option<SimFound> {
        assert!(
            request_headers.len() <= 1,
            "the store is asked for one thing"
        );
        self.0.executor.pause_up_to(8).await;
        let stored = self.0.stored.borrow().get(path).cloned();
        // The world may change before the answer arrives.
        self.0.executor.pause_up_to(8).await;
        let Stored {
            status,
            mut headers,
            bytes,
        } = stored?;
        let found = |status, headers, bytes| {
            Some(SimFound {
                status,
                headers,
                body: SimBody::new(&self.0, bytes, None),
            })
        };
        if let Some(tags) = request_headers.get(IF_NONE_MATCH)
            && (headers.get(ETAG) == Some(tags) || self.is_wrong())
        {
            if self.is_wrong() {
                headers.remove(RECORD);
            }
            return found(StatusCode::NOT_MODIFIED, headers, Vec::new());
        }
        let length = length_of(&headers);
        match range::plan(text(request_headers, RANGE), length) {
            RangePlan::Whole => found(status, headers, bytes),
            RangePlan::Unsatisfiable => found(
                StatusCode::RANGE_NOT_SATISFIABLE,
                HeaderMap::new(),
                Vec::new(),
            ),
            RangePlan::Part(range) => {
                let bytes = cut(&mut headers, &bytes, range, length.expect("has a whole"));
                found(StatusCode::PARTIAL_CONTENT, headers, bytes)
            }
        }
    }

    async fn put(
        &self,
        path: &str,
        status: StatusCode,
        headers: HeaderMap,
        body: Option<SimBody>,
    ) -> bool {
        let world = &self.0;
        let bytes = match body {
            Some(body) => body.read().await,
            None => Ok(Vec::new()),
        };
        let whole = bytes
            .ok()
            .filter(|bytes| length_of(&headers).is_none_or(|length| length == bytes.len() as u64));
        let Some(bytes) = whole else {
            // The worst case: the copy before it is lost.
            if world.store_is_unreliable.get() && world.executor.once_in(2) {
                self.remove(path);
            }
            return true;
        };
        if world.slow_write.get() > 0 {
            world.executor.sleep(world.slow_write.get()).await;
        }
        world.executor.pause_up_to(20).await;
        if world.store_is_full.get()
            || world.store_is_unreliable.get() && world.executor.once_in(25)
        {
            // With a report or without.
            return world.executor.once_in(2);
        }
        let mut stored = Stored {
            status,
            headers,
            bytes,
        };
        // The length of what is stored is known.
        let length = value(&stored.bytes.len().to_string());
        stored.headers.insert(CONTENT_LENGTH, length);
        world.check_stored(path, &stored);
        world.stored.borrow_mut().insert(path.to_owned(), stored);
        world.executor.pause_up_to(8).await;
        true
    }

    async fn delete(&self, path: &str) -> bool {
        self.0.executor.pause_up_to(8).await;
        let removed = self.remove(path);
        self.0.executor.pause_up_to(8).await;
        removed
    }
}

/// The bytes of a range, with its headers.
fn cut(headers: &mut HeaderMap, bytes: &[u8], range: ByteRange, length: u64) -> Vec<u8> {
    headers.insert(CONTENT_RANGE, value(&range.content_range(length)));
    headers.insert(CONTENT_LENGTH, value(&range.len().to_string()));
    let first = usize::try_from(range.first()).expect("small");
    let last = usize::try_from(range.last()).expect("small");
    bytes[first..=last].to_vec()
}

/// The simulated origin, with the fills of one isolate.
#[derive(Clone)]
pub(crate) struct SimOrigin {
    pub(crate) world: World,
    pub(crate) under_way: UnderWay,
}

impl Origin for SimOrigin {
    type Body = SimBody;

    async fn fetch(
        &self,
        key: &ObjectKey,
        request_headers: &HeaderMap,
    ) -> Result<OriginAnswer<SimBody>, OriginError> {
        let world = &self.world;
        let path = key.s3_path();
        self.under_way.note_fetch(world, &path);
        *world.fetches.borrow_mut().entry(path.clone()).or_default() += 1;
        world
            .executor
            .pause_up_to(world.longest_fetch.get() / 2)
            .await;
        let object = world.objects.borrow().get(&path).cloned();
        let version = object.and_then(|object| object.version);
        let fault = {
            let mut faults = world.faults.borrow_mut();
            let next = (!faults.is_empty()).then(|| faults.remove(0));
            next.or(world.lasting_fault.get())
        };
        if let Some(Fault::Slow(milliseconds)) = fault {
            // As in `origin.rs`.
            let limit = ANSWER_TIMEOUT_MILLISECONDS;
            world.executor.sleep(milliseconds.min(limit)).await;
            if milliseconds > limit {
                return Err(OriginError::Timeout);
            }
        }
        let now = world.executor.now();
        let error = |status: u16, body: &str| {
            let status = StatusCode::from_u16(status).expect("is a status");
            let error = OriginError::of(status, &HeaderMap::new(), body.as_bytes());
            Err(error.expect("is an error"))
        };
        let answer = match (fault, version) {
            (Some(Fault::Connect), _) => Err(OriginError::Connect),
            (Some(Fault::Timeout), _) => Err(OriginError::Timeout),
            (Some(Fault::Status(status)), _) => error(status, "<Code>SlowDown</Code>"),
            (Some(Fault::CapExceeded), _) => error(
                403,
                "<Message>Cannot download file, download bandwidth or transaction (Class B) cap exceeded</Message>",
            ),
            (_, None) => {
                let mut objects = world.objects.borrow_mut();
                objects.entry(path.clone()).or_default().missing_at = Some(now);
                error(404, "<Code>NoSuchKey</Code>")
            }
            (fault, Some(version)) => {
                world.confirm(&path, version);
                Ok(answer_of(world, &path, version, fault, request_headers))
            }
        };
        world
            .executor
            .pause_up_to(world.longest_fetch.get() / 2)
            .await;
        answer
    }
}

/// The origin's answer where it has the object.
fn answer_of(
    world: &World,
    path: &str,
    version: u32,
    fault: Option<Fault>,
    request_headers: &HeaderMap,
) -> OriginAnswer<SimBody> {
    let tag = etag(path, version);
    let mut headers = headers([
        (ETAG, &tag),
        (CACHE_CONTROL, cache_control(version)),
        (CONTENT_TYPE, &media_type(path, version)),
        (
            HeaderName::from_static("x-amz-request-id"),
            "0123456789abcdef",
        ),
    ]);
    if text(request_headers, IF_NONE_MATCH) == Some(tag.as_str()) {
        return OriginAnswer {
            status: StatusCode::NOT_MODIFIED,
            headers,
            body: None,
        };
    }
    let mut bytes = content(path, version);
    let mut status = StatusCode::OK;
    let length = bytes.len() as u64;
    if !matches!(fault, Some(Fault::Chunked | Fault::ChunkedTruncate(_))) {
        headers.insert(CONTENT_LENGTH, value(&length.to_string()));
    }
    if let RangePlan::Part(range) = range::plan(text(request_headers, RANGE), Some(length)) {
        bytes = cut(&mut headers, &bytes, range, length);
        status = StatusCode::PARTIAL_CONTENT;
    }
    let breaks_at = match fault {
        Some(Fault::Truncate(at) | Fault::ChunkedTruncate(at)) => Some(at),
        _ => None,
    };
    OriginAnswer {
        status,
        headers,
        body: Some(SimBody::new(world, bytes, breaks_at)),
    }
}

/// The origin's `Cache-Control` for a version: that of B2, a short age, or none of these.
pub(crate) fn cache_control(version: u32) -> &'static str {
    ["max-age=0, no-store", "max-age=50", "public"][version as usize % 3]
}

/// The fills of one isolate as they really run, independent of the engine's own table.
#[derive(Clone, Default)]
pub(crate) struct UnderWay {
    fills: Rc<RefCell<BTreeMap<TaskId, Fill>>>,
    /// When each path was last purged in this isolate; `u64::MAX` while the purge runs.
    purged_at: Rc<RefCell<BTreeMap<String, u64>>>,
}

/// One fill.
struct Fill {
    path: String,
    began: u64,
    /// `None` while it runs, and where the runtime has ended it.
    ended: Option<u64>,
}

/// The longest time between the permit and the request to the origin, in milliseconds.
const SLACK: u64 = 10;

impl UnderWay {
    /// When the last fill of `path` ended that had begun by `moment`; `u64::MAX` where it still runs, or the
    /// runtime has ended it.
    pub(crate) fn last_end_of_fills_before(&self, path: &str, moment: u64) -> Option<u64> {
        let fills = self.fills.borrow();
        let before = fills
            .values()
            .filter(|fill| fill.path == path && fill.began <= moment);
        before.map(|fill| fill.ended.unwrap_or(u64::MAX)).max()
    }

    /// Whether a purge of `path` runs.
    pub(crate) fn is_purging(&self, path: &str) -> bool {
        self.purged_at.borrow().get(path) == Some(&u64::MAX)
    }

    /// Purges in the isolate of `engine`.
    pub(crate) async fn purge(engine: &SimEngine, path: &str) -> bool {
        let now = || engine.runtime.world.executor.now();
        let set = |moment| {
            let mut purged_at = engine.runtime.under_way.purged_at.borrow_mut();
            purged_at.insert(path.to_owned(), moment);
        };
        set(u64::MAX);
        let was_there = engine.purge(path).await;
        set(now());
        was_there
    }

    /// Notes that the running task asks the origin. In the background that is a fill: one at a time for a
    /// key, unless a purge has overtaken the one before, or its lock is too old.
    fn note_fetch(&self, world: &World, path: &str) {
        let Some(task) = world.executor.running() else {
            return;
        };
        let mut fills = self.fills.borrow_mut();
        if !world.background.borrow().contains(&task) || fills.contains_key(&task) {
            return;
        }
        let now = world.executor.now();
        let purged_at = self.purged_at.borrow().get(path).copied();
        let alone = fills.values().all(|fill| {
            fill.path != path
                || fill.ended.is_some()
                || fill.began + LOCK_AGE_MILLISECONDS <= now + SLACK
                || purged_at.is_some_and(|moment| fill.began <= moment)
        });
        assert!(alone, "two fills of `{path}` at once");
        let fill = Fill {
            path: path.to_owned(),
            began: now,
            ended: None,
        };
        fills.insert(task, fill);
    }

    fn note_end(&self, task: TaskId, now: u64) {
        if let Some(fill) = self.fills.borrow_mut().get_mut(&task) {
            fill.ended = Some(now);
        }
    }
}

/// The simulated runtime of one isolate.
#[derive(Clone)]
pub(crate) struct SimRuntime {
    pub(crate) world: World,
    pub(crate) under_way: UnderWay,
}

impl Runtime for SimRuntime {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.world.executor.now())
    }

    async fn sleep(&self, milliseconds: u64) {
        self.world.executor.sleep(milliseconds).await;
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let (under_way, executor) = (self.under_way.clone(), self.world.executor.clone());
        let id = self.world.executor.spawn(async move {
            work.await;
            if let Some(task) = executor.running() {
                under_way.note_end(task, executor.now());
            }
        });
        self.world.background.borrow_mut().push(id);
    }

    fn report(&self, _key: &ObjectKey, _error: OriginError, _covered: bool) {}
}
