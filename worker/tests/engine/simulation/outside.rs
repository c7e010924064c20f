//! The engine's outside over a simulated world: store, origin, runtime.

use super::world::{Fault, SimBody, SimFound, Stored, World, content, etag, media_type};
use edge_worker::admission::ObjectKey;
use edge_worker::engine::{NotStored, Origin, OriginAnswer, Runtime, Store};
use edge_worker::policy::fields::Fields;
use edge_worker::policy::plan::Cause;
use edge_worker::policy::range::{self, RangePlan};
use edge_worker::policy::time::UnixMillis;
use std::future::Future;

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
        // A successor waits for its end under a name of its own.
        let object = path.split('?').next().unwrap_or(path);
        world.check_stored(object, &stored);
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
        if let Some(Fault::Slow(milliseconds)) = fault {
            world.executor.sleep(milliseconds).await;
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
