//! A simulated store, origin and runtime. Every byte names the key and the version it belongs to.

use super::executor::Executor;
use edge_worker::admission::ObjectKey;
use edge_worker::engine::{Body, Found, NotStored, Origin, OriginAnswer, Runtime, Store};
use edge_worker::policy::entry::{self, Entry};
use edge_worker::policy::fields::Fields;
use edge_worker::policy::plan::Cause;
use edge_worker::policy::range::{self, ByteRange, RangePlan};
use edge_worker::policy::time::UnixMillis;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;

/// The bytes of one version of an object. Lengths differ from version to version, and one is empty.
pub(crate) fn content(path: &str, version: u32) -> Vec<u8> {
    let length = (path.len() * 7 + version as usize * 13) % 97;
    format!("{path}#{version};")
        .into_bytes()
        .into_iter()
        .cycle()
        .take(length)
        .collect()
}

/// The entity tag of a version.
pub(crate) fn etag(path: &str, version: u32) -> String {
    format!("\"{path}#{version}\"")
}

/// The media type of a version.
pub(crate) fn media_type(path: &str, version: u32) -> String {
    format!("image/x-{}-{version}", path.trim_start_matches('/'))
}

/// The version that an entity tag names.
pub(crate) fn version_of(path: &str, tag: &str) -> Option<u32> {
    tag.strip_prefix(&format!("\"{path}#"))?
        .strip_suffix('"')?
        .parse()
        .ok()
}

/// How the origin misbehaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Connect,
    Timeout,
    Status(u16),
    CapExceeded,
    /// The body breaks off after so many bytes.
    Truncate(usize),
    /// A true answer whose length is not told.
    Chunked,
}

/// A body: a window on bytes, perhaps with an early end.
pub(crate) struct SimBody {
    bytes: Rc<Vec<u8>>,
    window: std::ops::Range<usize>,
    breaks_at: Option<usize>,
    executor: Executor,
    live: Rc<Cell<i64>>,
}

impl SimBody {
    fn new(world: &World, bytes: Vec<u8>, breaks_at: Option<usize>) -> Self {
        world.live_bodies.set(world.live_bodies.get() + 1);
        let window = 0..bytes.len();
        Self {
            bytes: Rc::new(bytes),
            window,
            breaks_at,
            executor: world.executor.clone(),
            live: world.live_bodies.clone(),
        }
    }

    fn clone_handle(&self) -> Self {
        self.live.set(self.live.get() + 1);
        Self {
            bytes: self.bytes.clone(),
            window: self.window.clone(),
            breaks_at: self.breaks_at,
            executor: self.executor.clone(),
            live: self.live.clone(),
        }
    }

    /// Reads to the end; `Err` where the transfer broke off.
    pub(crate) async fn read(self) -> Result<Vec<u8>, NotStored> {
        self.executor.breathe(40).await;
        let broken = self.breaks_at.is_some_and(|at| at < self.window.end);
        if broken {
            Err(NotStored)
        } else {
            Ok(self.bytes[self.window.clone()].to_vec())
        }
    }
}

impl Drop for SimBody {
    fn drop(&mut self) {
        self.live.set(self.live.get() - 1);
    }
}

impl Body for SimBody {
    fn split(self) -> (Self, Self) {
        let other = self.clone_handle();
        (self, other)
    }

    fn part(mut self, range: ByteRange) -> Self {
        self.window = usize::try_from(range.first()).expect("small")
            ..usize::try_from(range.last()).expect("small") + 1;
        self
    }

    async fn peek(self, limit: usize) -> (Vec<u8>, Self) {
        self.executor.breathe(5).await;
        (self.bytes.iter().take(limit).copied().collect(), self)
    }
}

/// What is stored under a path.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) status: u16,
    pub(crate) fields: Fields,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn entry(&self) -> Option<Entry> {
        Entry::decode(self.fields.get(entry::HEADER)?)
    }
}

/// An answer out of the simulated store.
pub(crate) struct SimFound {
    status: u16,
    fields: Fields,
    body: SimBody,
}

impl SimFound {
    pub(crate) fn into_body(self) -> SimBody {
        self.body
    }
}

impl Found for SimFound {
    fn status(&self) -> u16 {
        self.status
    }

    fn entry(&self) -> Option<Entry> {
        Entry::decode(self.fields.get(entry::HEADER)?)
    }

    fn fields(&self) -> Fields {
        self.fields.clone()
    }
}

/// What the origin has under a path, and what it has said of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    /// The version; `None` where there is no object.
    pub(crate) version: Option<u32>,
    /// When each version was last delivered or confirmed, in milliseconds.
    pub(crate) confirmed_at: BTreeMap<u32, u64>,
    /// When it last said 404, in milliseconds.
    pub(crate) missing_at: Option<u64>,
}

/// Everything outside the engine. A clone is another handle on the same world.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) stored: Rc<RefCell<BTreeMap<String, Stored>>>,
    pub(crate) objects: Rc<RefCell<BTreeMap<String, Object>>>,
    /// Faults to come: the next request gets the first.
    pub(crate) faults: Rc<RefCell<Vec<Fault>>>,
    /// When each path was last removed from the store.
    pub(crate) removed_at: Rc<RefCell<BTreeMap<String, u64>>>,
    /// Requests to the origin, by path.
    pub(crate) fetches: Rc<RefCell<BTreeMap<String, u32>>>,
    pub(crate) longest_fetch: Rc<Cell<u64>>,
    writing: Rc<RefCell<BTreeSet<String>>>,
    /// Bodies that are neither read to the end nor dropped.
    pub(crate) live_bodies: Rc<Cell<i64>>,
    /// Tasks that the engine has started in the background.
    pub(crate) background: Rc<RefCell<Vec<super::executor::TaskId>>>,
    /// Whether the store refuses a write now and then.
    pub(crate) store_refuses: Rc<Cell<bool>>,
    /// Whether a 404 may be stored.
    pub(crate) stores_errors: Rc<Cell<bool>>,
    /// Whether two writers at once are an error: they are not where tasks are abandoned.
    pub(crate) strict_writers: Rc<Cell<bool>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            executor: Executor::new(seed, 1_790_000_000_000),
            stored: Rc::default(),
            objects: Rc::default(),
            faults: Rc::default(),
            removed_at: Rc::default(),
            fetches: Rc::default(),
            longest_fetch: Rc::new(Cell::new(2_000)),
            writing: Rc::default(),
            live_bodies: Rc::default(),
            background: Rc::default(),
            store_refuses: Rc::new(Cell::new(true)),
            stores_errors: Rc::default(),
            strict_writers: Rc::new(Cell::new(true)),
        }
    }

    pub(crate) fn set_version(&self, path: &str, version: Option<u32>) {
        self.objects
            .borrow_mut()
            .entry(path.to_owned())
            .or_default()
            .version = version;
    }

    pub(crate) fn fetches_of(&self, path: &str) -> u32 {
        self.fetches.borrow().get(path).copied().unwrap_or(0)
    }

    fn confirm(&self, path: &str, version: u32) {
        let now = self.executor.now();
        self.objects
            .borrow_mut()
            .entry(path.to_owned())
            .or_default()
            .confirmed_at
            .insert(version, now);
    }

    /// What is stored as fresh is a whole 200 of one version, and nothing else.
    fn check_stored(&self, path: &str, stored: &Stored) {
        let entry = stored.entry().expect("what is stored has a record");
        assert_eq!(
            entry.status, stored.status,
            "the record is of another status"
        );
        if self.stores_errors.get() && stored.status == 404 {
            return;
        }
        assert_eq!(stored.status, 200, "only a 200 is stored");
        let tag = stored.fields.get("etag").expect("has an entity tag");
        let version = version_of(path, tag).expect("stored under its own path");
        assert_eq!(
            stored.bytes,
            content(path, version),
            "stored bytes are not those of the version"
        );
        assert_eq!(
            stored.fields.get("content-type"),
            Some(media_type(path, version).as_str())
        );
    }
}

/// The simulated store.
#[derive(Clone)]
pub(crate) struct SimStore(pub World);

impl SimStore {
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

    async fn find(&self, path: &str, part: Option<&str>) -> Option<SimFound> {
        self.0.executor.breathe(8).await;
        let stored = self.0.stored.borrow().get(path).cloned();
        // The answer was drawn up before it arrives.
        self.0.executor.breathe(8).await;
        let Stored {
            mut status,
            mut fields,
            mut bytes,
        } = stored?;
        if let Some(part) = part.filter(|_| status == 200) {
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
                        body: SimBody::new(&self.0, Vec::new(), None),
                    });
                }
                RangePlan::Whole => {}
            }
        }
        Some(SimFound {
            status,
            fields,
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
        let first = world.writing.borrow_mut().insert(path.to_owned());
        assert!(
            first || !world.strict_writers.get(),
            "two fills of `{path}` at once"
        );
        let _writing = Writing(world.clone(), path.to_owned());
        let bytes = match body {
            Some(body) => match body.read().await {
                Ok(bytes) => bytes,
                Err(broken) => {
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
        world.check_stored(path, &stored);
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

struct Writing(World, String);

impl Drop for Writing {
    fn drop(&mut self) {
        self.0.writing.borrow_mut().remove(&self.1);
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
            (!faults.is_empty()).then(|| faults.remove(0))
        };
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
                    ("Cache-Control", "max-age=0, no-store"),
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
                    if fault != Some(Fault::Chunked) {
                        fields.push("Content-Length", bytes.len().to_string());
                    }
                    let breaks_at = match fault {
                        Some(Fault::Truncate(at)) => Some(at),
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

/// The simulated runtime.
#[derive(Clone)]
pub(crate) struct SimRuntime(pub World);

impl Runtime for SimRuntime {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.executor.now())
    }

    async fn sleep(&self, milliseconds: u64) {
        self.0.executor.sleep(milliseconds).await;
    }

    fn spawn(&self, work: impl Future<Output = ()> + 'static) {
        let id = self.0.executor.spawn(work);
        self.0.background.borrow_mut().push(id);
    }

    fn note_covered(&self, _path: &str, _cause: Cause) {}
}
