//! The engine's outside over a simulated world: store, origin, runtime.

use super::SimEngine;
use super::world::{Fault, SimBody, SimFound, Stored, World, content, etag, media_type};
use edge_worker::admission::ObjectKey;
use edge_worker::engine::fills::LOCK_LEASE_MILLISECONDS;
use edge_worker::engine::{NotStored, Origin, OriginAnswer, Runtime, Store, Wanted};
use edge_worker::origin::ANSWER_TIMEOUT_MILLISECONDS;
use edge_worker::policy::entry;
use edge_worker::policy::fields::Fields;
use edge_worker::policy::plan::Cause;
use edge_worker::policy::range::{self, RangePlan};
use edge_worker::policy::time::UnixMillis;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

/// The simulated store.
#[derive(Clone)]
pub(crate) struct SimStore(pub World);

impl SimStore {
    /// A store may compare tags otherwise, or leave header fields out of its 304.
    fn says_so_wrongly(&self) -> bool {
        self.0.store_refuses.get() && self.0.executor.once_in(4)
    }

    /// Some caches keep a body that broke off until it is noticed; the old copy is lost then.
    async fn show_for_a_moment(&self, path: &str, status: u16, fields: Fields) {
        if !self.0.store_refuses.get() || self.0.executor.once_in(2) {
            return;
        }
        let stored = Stored {
            status,
            fields,
            bytes: b"half of".to_vec(),
        };
        self.0.stored.borrow_mut().insert(path.to_owned(), stored);
        self.0.executor.breathe(30).await;
        self.delete(path).await;
    }
}

impl Store for SimStore {
    type Body = SimBody;
    type Found = SimFound;

    async fn find(&self, path: &str, wanted: Wanted<'_>) -> Option<SimFound> {
        self.0.executor.breathe(8).await;
        let stored = self.0.stored.borrow().get(path).cloned();
        // The answer was drawn up before it arrives.
        self.0.executor.breathe(8).await;
        let stored = stored?;
        // As `store.rs` does it.
        let whole = stored.is_whole();
        let Stored {
            mut status,
            mut fields,
            mut bytes,
        } = stored;
        if let Wanted::UnlessMatch(tags) = wanted
            && (fields.get("etag") == Some(tags) || self.says_so_wrongly())
        {
            if self.says_so_wrongly() {
                fields.remove(entry::HEADER);
            }
            return Some(SimFound {
                status: 304,
                fields,
                whole: true,
                body: SimBody::new(&self.0, Vec::new(), None),
            });
        }
        if let Wanted::Part(part) = wanted
            && status == 200
        {
            let length = fields.content_length();
            match range::plan(Some(part), length) {
                RangePlan::Part(range) => {
                    status = 206;
                    let whole = length.expect("a part has a whole");
                    fields.set("Content-Range", range.content_range(whole));
                    fields.set("Content-Length", range.len().to_string());
                    let first = usize::try_from(range.first()).expect("small");
                    let last = usize::try_from(range.last()).expect("small");
                    bytes = bytes.get(first..=last).unwrap_or_default().to_vec();
                }
                RangePlan::Unsatisfiable => {
                    let fields = Fields::new();
                    return Some(SimFound {
                        status: 416,
                        fields,
                        whole,
                        body: SimBody::new(&self.0, Vec::new(), None),
                    });
                }
                RangePlan::Whole => {}
            }
        }
        Some(SimFound {
            status,
            fields,
            whole,
            body: SimBody::new(&self.0, bytes, None),
        })
    }

    async fn put(
        &self,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<SimBody>,
    ) -> Result<(), NotStored> {
        let world = &self.0;
        let bytes = match body {
            Some(body) => match body.read().await {
                Ok(bytes) => bytes,
                Err(broken) => {
                    // The worst that a store may do: what was there before is lost.
                    world.stored.borrow_mut().remove(path);
                    self.show_for_a_moment(path, status, fields).await;
                    return Err(broken);
                }
            },
            None => Vec::new(),
        };
        if fields
            .content_length()
            .is_some_and(|length| length != bytes.len() as u64)
        {
            return Err(NotStored);
        }
        world.executor.breathe(20).await;
        if world.store_refuses.get() && world.executor.once_in(25) {
            return Err(NotStored);
        }
        let stored = Stored {
            status,
            fields,
            bytes,
        };
        // An answer waits for its end, and a purge's mark stands, under names of their own.
        let (object, suffix) = path.split_once('?').unwrap_or((path, ""));
        if suffix != "purged" {
            world.check_stored(object, &stored);
        }
        world.stored.borrow_mut().insert(path.to_owned(), stored);
        world.executor.breathe(8).await;
        Ok(())
    }

    async fn restate(&self, path: &str, found: SimFound, fields: Fields) -> Result<(), NotStored> {
        let status = found.status;
        self.put(path, status, fields, Some(found.into_body()))
            .await
    }

    async fn delete(&self, path: &str) -> bool {
        self.0.executor.breathe(8).await;
        let removed = self.0.stored.borrow_mut().remove(path).is_some();
        self.0
            .removed_at
            .borrow_mut()
            .insert(path.to_owned(), self.0.executor.now());
        self.0.executor.breathe(8).await;
        removed
    }
}

/// The simulated origin.
#[derive(Clone)]
pub(crate) struct SimOrigin(pub World);

impl Origin for SimOrigin {
    type Body = SimBody;

    async fn fetch(
        &self,
        key: &ObjectKey,
        conditions: &[(&'static str, String)],
    ) -> Result<OriginAnswer<SimBody>, Cause> {
        let world = &self.0;
        let path = key.s3_path();
        *world.fetches.borrow_mut().entry(path.clone()).or_default() += 1;
        world.executor.breathe(world.longest_fetch.get() / 2).await;
        let version = world
            .objects
            .borrow()
            .get(&path)
            .and_then(|object| object.version);
        let fault = {
            let mut faults = world.faults.borrow_mut();
            let next = (!faults.is_empty()).then(|| faults.remove(0));
            next.or(world.lasting_fault.get())
        };
        if let Some(Fault::Slow(milliseconds)) = fault {
            // As `origin.rs` does it.
            let limit = u64::from(ANSWER_TIMEOUT_MILLISECONDS);
            world.executor.sleep(milliseconds.min(limit)).await;
            if milliseconds > limit {
                return Err(Cause::Timeout);
            }
        }
        let now = world.executor.now();
        let error = |status: u16, text: &str| {
            let fields = Fields::from_iter([("Content-Type", "application/xml")]);
            let body = SimBody::new(world, text.as_bytes().to_vec(), None);
            Ok(OriginAnswer {
                status,
                fields,
                body: Some(body),
            })
        };
        let answer = match (fault, version) {
            (Some(Fault::Connect), _) => Err(Cause::Connect),
            (Some(Fault::Timeout), _) => Err(Cause::Timeout),
            (Some(Fault::Status(status)), _) => error(status, "<Code>SlowDown</Code>"),
            (Some(Fault::CapExceeded), _) => error(
                403,
                "<Message>Cannot download file, download bandwidth or transaction (Class B) cap exceeded</Message>",
            ),
            (_, None) => {
                world
                    .objects
                    .borrow_mut()
                    .entry(path.clone())
                    .or_default()
                    .missing_at = Some(now);
                error(404, "<Code>NoSuchKey</Code>")
            }
            (fault, Some(version)) => {
                world.confirm(&path, version);
                let tag = etag(&path, version);
                let mut fields = Fields::from_iter([
                    ("ETag", tag.as_str()),
                    ("Cache-Control", cache_control(version)),
                ]);
                fields.push("Content-Type", media_type(&path, version));
                fields.push("x-amz-request-id", "0123456789abcdef");
                if conditions.iter().any(|(name, value)| {
                    name.eq_ignore_ascii_case("if-none-match") && *value == tag
                }) {
                    Ok(OriginAnswer {
                        status: 304,
                        fields,
                        body: None,
                    })
                } else {
                    let bytes = content(&path, version);
                    if !matches!(fault, Some(Fault::Chunked | Fault::ChunkedTruncate(_))) {
                        fields.push("Content-Length", bytes.len().to_string());
                    }
                    let breaks_at = match fault {
                        Some(Fault::Truncate(at) | Fault::ChunkedTruncate(at)) => Some(at),
                        _ => None,
                    };
                    Ok(OriginAnswer {
                        status: 200,
                        fields,
                        body: Some(SimBody::new(world, bytes, breaks_at)),
                    })
                }
            }
        };
        world.executor.breathe(world.longest_fetch.get() / 2).await;
        answer
    }
}

/// What the origin says of a version: B2's own words, or a short life.
pub(crate) fn cache_control(version: u32) -> &'static str {
    ["max-age=0, no-store", "max-age=50", "public"][version as usize % 3]
}

/// The fills under way in one isolate, as they run and not as the engine's own table has them.
#[derive(Clone, Default)]
pub(crate) struct UnderWay {
    last: Rc<RefCell<u64>>,
    fills: Rc<RefCell<BTreeMap<u64, (String, u64)>>>,
    /// By path: fills that began up to this moment may be overtaken by a purge of this isolate, so
    /// that the next need not wait for them.
    overtaken: Rc<RefCell<BTreeMap<String, u64>>>,
}

/// How much later than it takes the lock a fill starts, at most: it looks into the store meanwhile.
const LOOK: u64 = 100;

impl UnderWay {
    /// Whether a fill of `path` runs that began before `moment`. One that was given up never ends.
    pub(crate) fn any_since_before(&self, path: &str, moment: u64) -> bool {
        self.fills
            .borrow()
            .values()
            .any(|(other, began)| other == path && *began < moment)
    }

    /// Whether a purge of `path` is being answered.
    pub(crate) fn is_purging(&self, path: &str) -> bool {
        self.overtaken.borrow().get(path) == Some(&u64::MAX)
    }

    /// Purges, as this isolate does it.
    pub(crate) async fn purge(engine: &SimEngine, path: &str) -> Result<bool, NotStored> {
        let runtime = &engine.runtime;
        let set = |until| {
            let mut overtaken = runtime.under_way.overtaken.borrow_mut();
            overtaken.insert(path.to_owned(), until);
        };
        set(u64::MAX);
        let outcome = engine.purge(path).await;
        set(runtime.world.executor.now() + LOOK);
        outcome
    }

    /// At most one fill a key, unless a purge has overtaken it or the lease of the one before has ended.
    fn begin(&self, path: &str, now: u64) -> u64 {
        let lease = LOCK_LEASE_MILLISECONDS - LOOK;
        let overtaken = self.overtaken.borrow().get(path).copied();
        let mut fills = self.fills.borrow_mut();
        let alone = fills.values().all(|(other, began)| {
            other != path || began + lease <= now || overtaken.is_some_and(|until| *began <= until)
        });
        assert!(alone, "two fills of `{path}` at once");
        *self.last.borrow_mut() += 1;
        let number = *self.last.borrow();
        fills.insert(number, (path.to_owned(), now));
        number
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

    fn unique(&self) -> u64 {
        self.world.executor.below(u64::MAX)
    }

    fn spawn(&self, path: &str, fill: impl Future<Output = ()> + 'static) {
        let under_way = self.under_way.clone();
        let number = under_way.begin(path, self.world.executor.now());
        let id = self.world.executor.spawn(async move {
            fill.await;
            under_way.fills.borrow_mut().remove(&number);
        });
        self.world.background.borrow_mut().push(id);
    }

    fn note_covered(&self, _path: &str, _cause: Cause) {}
}
