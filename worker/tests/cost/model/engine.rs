//! The worker in engine mode: its own engine over a simulated store, origin and clock.
//!
//! Bodies are lengths, for nobody looks at the bytes here; that they are right is asked by the
//! engine's own tests.

use std::cell::RefCell;
use std::collections::HashMap;
use std::future::Future;
use std::rc::Rc;

use edge_worker::admission::{Admitted, ObjectKey, admit};
use edge_worker::engine::fills::Fills;
use edge_worker::engine::{
    Answer, Body, Engine, Found, NotStored, Origin, OriginAnswer, Read, Runtime, Store, Wanted,
};
use edge_worker::policy::conditional::Conditions;
use edge_worker::policy::entry::{self, Entry};
use edge_worker::policy::fields::Fields;
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::plan::Cause;
use edge_worker::policy::range::{self, ByteRange, RangePlan};
use edge_worker::policy::time::UnixMillis;

use super::executor::Executor;
use super::log::{Log, Request, Want};
use super::retold::served;
use super::tally::Tally;

/// Milliseconds until the bucket answers.
pub(super) const LATENCY: u64 = 100;

/// How fast its bytes come after that: 100 Mbit/s.
pub(super) const BYTES_A_MILLISECOND: u64 = 12_500;

/// When the log begins, in milliseconds since the epoch.
const START: u64 = 1_790_000_000_000;

/// How many caches the worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Places {
    /// One for all readers.
    One,
    /// One in each place with readers: a data centre's cache is its own.
    Each,
}

/// Serves a log from the engine. Isolates of one place share their fills here, as they do not
/// always in production.
#[must_use]
pub(crate) fn replay(log: &Log, rule: FreshnessRule, places: Places) -> Tally {
    let world = World {
        executor: Executor::new(1, START),
        objects: Rc::new(objects(log)),
        tally: Rc::new(RefCell::new(Tally::over(log.days))),
    };
    let number = match places {
        Places::One => 1,
        Places::Each => usize::from(log.places),
    };
    let engines: Vec<_> = (0..number)
        .map(|_| Engine {
            store: SimStore(Rc::default()),
            origin: SimOrigin(world.clone()),
            runtime: SimRuntime(world.executor.clone()),
            fills: Fills::default(),
            rule,
        })
        .collect();
    for request in &log.requests {
        world.executor.run_until(START + request.at);
        world.tally.borrow_mut().worker_requests += 1;
        let engine = engines[usize::from(request.place) % number].clone();
        let work = read(world.clone(), engine, *request);
        world.executor.spawn(work);
    }
    world.executor.run();
    world.tally.take()
}

/// An object of the log, or a name that is none.
struct Object {
    key: ObjectKey,
    path: String,
    etag: String,
    size: Option<u64>,
}

fn objects(log: &Log) -> Vec<Object> {
    let settings = super::settings();
    let named = |(number, size): (usize, &Option<u64>)| {
        let text = format!("/media_attachments/files/{number:09}.png");
        let Ok(Admitted::Read { key, .. }) = admit("GET", &text, false, &settings) else {
            panic!("`{text}` is not admitted");
        };
        Object {
            path: key.s3_path(),
            key,
            etag: format!("\"{number:032x}\""),
            size: *size,
        }
    };
    log.sizes.iter().enumerate().map(named).collect()
}

/// The number in a path that [`objects`] has made.
fn number_in(path: &str) -> usize {
    let digits = path
        .rsplit('/')
        .next()
        .and_then(|name| name.strip_suffix(".png"));
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(usize::MAX)
}

#[derive(Clone)]
struct World {
    executor: Executor,
    objects: Rc<Vec<Object>>,
    tally: Rc<RefCell<Tally>>,
}

type SimEngine = Engine<SimStore, SimOrigin, SimRuntime>;

/// One read, to the last byte of its answer, and its place in the counts.
async fn read(world: World, engine: SimEngine, request: Request) {
    let object = &world.objects[request.object as usize];
    let range = match request.want {
        Want::Part(first, last) => Some(format!("bytes={first}-{last}")),
        Want::Whole | Want::Confirmation => None,
    };
    let read = Read {
        key: &object.key,
        path: &object.path,
        range: range.as_deref(),
        if_range: None,
        conditions: Conditions {
            if_none_match: (request.want == Want::Confirmation).then_some(&object.etag),
            ..Conditions::default()
        },
    };
    let (status, cache) = match engine.read(read).await {
        Ok(Answer::Stored(found, cache)) => (found.status(), cache.as_str().to_owned()),
        Ok(Answer::NotModified(_, cache)) => (304, cache.as_str().to_owned()),
        Ok(Answer::Made { status, fields, .. }) => {
            let cache = fields.get(entry::HEADER).unwrap_or_default();
            (status, cache.to_owned())
        }
        Err(cause) => panic!("no answer for `{}`: {}", object.path, cause.as_str()),
    };
    let expected = match request.want {
        _ if object.size.is_none() => 404,
        Want::Whole => 200,
        Want::Part(..) => 206,
        Want::Confirmation => 304,
    };
    assert_eq!(status, expected, "{request:?} was answered with {cache}");
    let reads = &mut world.tally.borrow_mut().reads;
    match cache.as_str() {
        "HIT" | "UPDATING" => served(reads, &request),
        _ => reads.asked += 1,
    }
}

/// So many bytes.
struct Length(u64, Executor);

impl Body for Length {
    fn split(self) -> (Self, Self) {
        let other = Self(self.0, self.1.clone());
        (self, other)
    }

    fn part(self, range: ByteRange) -> Self {
        Self(range.len(), self.1)
    }

    async fn peek(self, _limit: usize) -> (Vec<u8>, Self) {
        (Vec::new(), self)
    }
}

/// A stored answer. Its fields are shared, as a hit does not touch them.
#[derive(Clone)]
struct SimFound {
    status: u16,
    fields: Rc<Fields>,
}

impl Found for SimFound {
    fn status(&self) -> u16 {
        self.status
    }

    fn entry(&self) -> Option<Entry> {
        Entry::decode(self.fields.get(entry::HEADER)?)
    }

    fn fields(&self) -> Fields {
        (*self.fields).clone()
    }

    fn outline(&self) -> Fields {
        self.fields()
    }
}

/// The cache of one place: it forgets nothing.
#[derive(Clone)]
struct SimStore(Rc<RefCell<HashMap<String, SimFound>>>);

impl Store for SimStore {
    type Body = Length;
    type Found = SimFound;

    async fn find(&self, path: &str, wanted: Wanted<'_>) -> Option<SimFound> {
        let found = self.0.borrow().get(path).cloned()?;
        let (Wanted::Part(part), Some(length)) = (wanted, found.fields.content_length()) else {
            return Some(found);
        };
        let RangePlan::Part(range) = range::plan(Some(part), Some(length)) else {
            return Some(found);
        };
        let mut fields = found.fields();
        fields.set("Content-Range", range.content_range(length));
        fields.set("Content-Length", range.len().to_string());
        Some(SimFound {
            status: 206,
            fields: Rc::new(fields),
        })
    }

    async fn put(
        &self,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<Length>,
    ) -> Result<(), NotStored> {
        if let Some(Length(bytes, executor)) = body {
            executor.sleep(bytes / BYTES_A_MILLISECOND).await;
        }
        let fields = Rc::new(fields);
        let found = SimFound { status, fields };
        self.0.borrow_mut().insert(path.to_owned(), found);
        Ok(())
    }

    async fn restate(&self, path: &str, found: SimFound, fields: Fields) -> Result<(), NotStored> {
        self.put(path, found.status, fields, None).await
    }

    async fn delete(&self, path: &str) -> bool {
        self.0.borrow_mut().remove(path).is_some()
    }
}

/// The bucket: it counts what it is asked.
#[derive(Clone)]
struct SimOrigin(World);

impl Origin for SimOrigin {
    type Body = Length;

    async fn fetch(
        &self,
        key: &ObjectKey,
        conditions: &[(&'static str, String)],
    ) -> Result<OriginAnswer<Length>, Cause> {
        let World {
            executor,
            objects,
            tally,
        } = &self.0;
        let at = executor.now() - START;
        executor.sleep(LATENCY).await;
        let object = objects.get(number_in(key.as_str()));
        let Some((object, size)) = object.and_then(|object| Some((object, object.size?))) else {
            tally.borrow_mut().ask_origin(at, 0);
            return Ok(OriginAnswer {
                status: 404,
                fields: Fields::from_iter([("Content-Type", "application/xml")]),
                body: None,
            });
        };
        let mut fields = Fields::from_iter([
            ("ETag", object.etag.as_str()),
            ("Content-Type", "image/png"),
            ("Accept-Ranges", "bytes"),
            ("x-amz-request-id", "0123456789abcdef"),
        ]);
        let confirmed = conditions
            .iter()
            .any(|(name, value)| *name == "If-None-Match" && *value == object.etag);
        tally
            .borrow_mut()
            .ask_origin(at, if confirmed { 0 } else { size });
        if confirmed {
            return Ok(OriginAnswer {
                status: 304,
                fields,
                body: None,
            });
        }
        fields.push("Content-Length", size.to_string());
        Ok(OriginAnswer {
            status: 200,
            fields,
            body: Some(Length(size, executor.clone())),
        })
    }
}

/// The simulated runtime.
#[derive(Clone)]
struct SimRuntime(Executor);

impl Runtime for SimRuntime {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.now())
    }

    async fn sleep(&self, milliseconds: u64) {
        self.0.sleep(milliseconds).await;
    }

    fn unique(&self) -> u64 {
        fastrand::u64(..)
    }

    fn spawn(&self, _path: &str, work: impl Future<Output = ()> + 'static) {
        self.0.spawn(work);
    }

    fn note_covered(&self, path: &str, cause: Cause) {
        panic!(
            "the bucket has no faults here, but `{path}`: {}",
            cause.as_str()
        );
    }
}
