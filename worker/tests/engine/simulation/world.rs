//! The simulated world: objects, bodies and stored answers. Each body repeats its key and its version, so
//! that mixed bytes are found.

use super::executor::Executor;
use edge_worker::engine::{Body, Found};
use edge_worker::policy::headers::{RECORD, number, text};
use edge_worker::policy::range::ByteRange;
use edge_worker::policy::record::Record;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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

/// A header value of a simulated answer.
pub(crate) fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("is a header value")
}

/// Header fields.
pub(crate) fn headers<const N: usize>(fields: [(HeaderName, &str); N]) -> HeaderMap {
    fields
        .into_iter()
        .map(|(name, text)| (name, value(text)))
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

/// A fault of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The answer comes after so many milliseconds.
    Slow(u64),
    Connect,
    Timeout,
    Status(u16),
    CapExceeded,
    /// The body breaks off after so many bytes.
    Truncate(usize),
    /// A right answer without `Content-Length`.
    Chunked,
    /// Both of these: only the end of the body shows that it is not whole.
    ChunkedTruncate(usize),
}

/// A body: a part of some bytes, which may break off.
pub(crate) struct SimBody {
    bytes: Rc<Vec<u8>>,
    window: std::ops::Range<usize>,
    breaks_at: Option<usize>,
    executor: Executor,
    live: Rc<Cell<i64>>,
}

impl SimBody {
    pub(super) fn new(world: &World, bytes: Vec<u8>, breaks_at: Option<usize>) -> Self {
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
    pub(crate) async fn read(self) -> Result<Vec<u8>, ()> {
        self.executor.pause_up_to(40).await;
        let broken = self.breaks_at.is_some_and(|at| at < self.window.end);
        if broken {
            Err(())
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
    fn tee(self) -> Option<(Self, Self)> {
        let other = self.clone_handle();
        Some((self, other))
    }

    fn slice(mut self, range: ByteRange) -> Self {
        self.window = usize::try_from(range.first()).expect("small")
            ..usize::try_from(range.last()).expect("small") + 1;
        self
    }
}

/// What is stored under a path.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn record(&self) -> Option<Record> {
        Record::decode(text(&self.headers, RECORD)?)
    }
}

/// An answer from the simulated store.
pub(crate) struct SimFound {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: SimBody,
}

impl Found for SimFound {
    type Body = SimBody;

    fn status(&self) -> StatusCode {
        self.status
    }

    fn record(&self) -> Option<Record> {
        Record::decode(text(&self.headers, RECORD)?)
    }

    fn selected_headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn into_parts(self) -> (HeaderMap, Option<SimBody>) {
        (self.headers, Some(self.body))
    }
}

/// What the origin has under a path, and what it has answered about it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    /// The version; `None` where there is no object.
    pub(crate) version: Option<u32>,
    /// When each version was last delivered or confirmed, in milliseconds.
    pub(crate) confirmed_at: BTreeMap<u32, u64>,
    /// When it last answered 404, in milliseconds.
    pub(crate) missing_at: Option<u64>,
}

/// Everything but the engine. Clones share one world.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) executor: Executor,
    pub(crate) stored: Rc<RefCell<BTreeMap<String, Stored>>>,
    pub(crate) objects: Rc<RefCell<BTreeMap<String, Object>>>,
    /// The faults of the next requests, in order.
    pub(crate) faults: Rc<RefCell<Vec<Fault>>>,
    /// The fault of every request after those.
    pub(crate) lasting_fault: Rc<Cell<Option<Fault>>>,
    /// When each path was last removed from the store.
    pub(crate) removed_at: Rc<RefCell<BTreeMap<String, u64>>>,
    /// Requests to the origin, by path.
    pub(crate) fetches: Rc<RefCell<BTreeMap<String, u32>>>,
    pub(crate) longest_fetch: Rc<Cell<u64>>,
    /// Bodies that are neither read to the end nor dropped.
    pub(crate) live_bodies: Rc<Cell<i64>>,
    /// Tasks that the engine has started in the background.
    pub(crate) background: Rc<RefCell<Vec<super::executor::TaskId>>>,
    /// Whether the store sometimes does what a store is allowed to do: refuse a write, lose a copy, answer a
    /// condition wrongly.
    pub(crate) store_is_unreliable: Rc<Cell<bool>>,
    /// How much longer a write takes, in milliseconds, as with a slow first reader.
    pub(crate) slow_write: Rc<Cell<u64>>,
    /// Whether the store keeps nothing.
    pub(crate) store_is_full: Rc<Cell<bool>>,
    /// Whether the mark of a missing object may be stored.
    pub(crate) stores_errors: Rc<Cell<bool>>,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            executor: Executor::new(seed, 1_790_000_000_000),
            stored: Rc::default(),
            objects: Rc::default(),
            faults: Rc::default(),
            lasting_fault: Rc::default(),
            removed_at: Rc::default(),
            fetches: Rc::default(),
            longest_fetch: Rc::new(Cell::new(2_000)),
            live_bodies: Rc::default(),
            background: Rc::default(),
            store_is_unreliable: Rc::new(Cell::new(true)),
            slow_write: Rc::default(),
            store_is_full: Rc::default(),
            stores_errors: Rc::default(),
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

    pub(super) fn confirm(&self, path: &str, version: u32) {
        let now = self.executor.now();
        self.objects
            .borrow_mut()
            .entry(path.to_owned())
            .or_default()
            .confirmed_at
            .insert(version, now);
    }

    /// Only a whole 200 of one version, or the mark of a missing object, is stored.
    pub(super) fn check_stored(&self, path: &str, stored: &Stored) {
        let record = stored.record().expect("what is stored has a record");
        assert_eq!(
            record.status,
            stored.status.as_u16(),
            "the record has another status"
        );
        if self.stores_errors.get() && stored.status == StatusCode::NOT_FOUND {
            assert!(stored.bytes.is_empty(), "a mark has no body");
            return;
        }
        assert_eq!(stored.status, StatusCode::OK, "only a 200 is stored");
        let tag = text(&stored.headers, ETAG).expect("has an entity tag");
        let version = version_of(path, tag).expect("stored under its own path");
        assert_eq!(
            stored.bytes,
            content(path, version),
            "stored bytes are not those of the version"
        );
        assert_eq!(
            text(&stored.headers, CONTENT_TYPE),
            Some(media_type(path, version).as_str())
        );
    }
}

/// `Content-Length`.
pub(crate) fn length_of(headers: &HeaderMap) -> Option<u64> {
    number(headers, CONTENT_LENGTH)
}
