//! The engine's store over the Cache API, and the bodies that pass through the worker.
//!
//! A body is a handle on the runtime's own stream: its bytes never enter WebAssembly's memory.

use crate::bridge::Made;
use crate::engine::{Body, Found, NotStored, Store, Wanted};
use crate::policy::entry::{self, Entry};
use crate::policy::fields::Fields;
use crate::policy::range::ByteRange;
use crate::{bridge, task};
use std::cell::RefCell;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::{ReadableStream, Response};

/// The host of the cache's keys: not one that is ever fetched.
const KEY_HOST: &str = "https://medialift.invalid";

/// The Cache API of this data centre.
#[derive(Clone, Copy, Debug)]
pub struct EdgeCache;

/// A stream of the runtime. Dropped before it was taken, it is cancelled.
#[derive(Debug)]
pub struct Stream {
    stream: Option<ReadableStream>,
    /// Of a split one, for both halves: the response that one of them was made the body of. The
    /// other's is nearly always the same but for the cache status.
    made: Option<Rc<RefCell<Option<Made>>>>,
}

/// A response out of the Cache API. Dropped before it was taken, its body is cancelled.
#[derive(Debug)]
pub struct CachedResponse(Option<Response>);

impl Stream {
    /// The stream that is a response's body.
    #[must_use]
    pub fn of(response: &Response) -> Option<Self> {
        response.body().map(|stream| Self {
            stream: Some(stream),
            made: None,
        })
    }

    /// The stream itself, for whoever reads it.
    #[must_use]
    pub fn take(mut self) -> Option<ReadableStream> {
        self.stream.take()
    }

    /// A response with this body; `None` where the runtime refuses its parts.
    #[must_use]
    pub fn respond(body: Option<Self>, status: u16, fields: Fields) -> Option<Response> {
        let place = body.as_ref().and_then(|body| body.made.clone());
        let stream = body.and_then(Self::take);
        let Some(response) = bridge::response(status, &fields, stream.as_ref()) else {
            // Or the other half would wait for this one.
            stream.iter().for_each(bridge::cancel);
            return None;
        };
        if let Some(place) = place {
            // Another handle on it: JavaScript's own `clone` would split its body.
            let response = Clone::clone(&response);
            place.replace(Some(Made {
                response,
                status,
                fields,
            }));
        }
        Some(response)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            bridge::cancel(stream);
        }
    }
}

impl CachedResponse {
    /// The response itself, for whoever answers with it.
    #[must_use]
    pub fn take(mut self) -> Option<Response> {
        self.0.take()
    }

    /// The response, for whoever looks at it.
    #[must_use]
    pub const fn as_response(&self) -> Option<&Response> {
        self.0.as_ref()
    }
}

impl Drop for CachedResponse {
    fn drop(&mut self) {
        if let Some(response) = &self.0 {
            bridge::discard(response);
        }
    }
}

impl Found for CachedResponse {
    fn status(&self) -> u16 {
        self.0.as_ref().map_or(0, Response::status)
    }

    fn entry(&self) -> Option<Entry> {
        whole_record(&bridge::record_of(self.0.as_ref()?)?)
    }

    fn fields(&self) -> Fields {
        let mut fields = self.0.as_ref().map(bridge::fields_of).unwrap_or_default();
        // The Cache API's own words about its part in this.
        for name in ["CF-Cache-Status", "Age"] {
            fields.remove(name);
        }
        fields
    }

    fn outline(&self) -> Fields {
        self.0.as_ref().map(bridge::outline_of).unwrap_or_default()
    }
}

impl Store for EdgeCache {
    type Body = Stream;
    type Found = CachedResponse;

    async fn find(&self, path: &str, wanted: Wanted<'_>) -> Option<CachedResponse> {
        let asked = bridge::find(&key(path), wanted);
        let found = task::settled(&asked).await.ok()?;
        (!found.is_undefined()).then(|| CachedResponse(Some(found.unchecked_into())))
    }

    async fn put(
        &self,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<Stream>,
    ) -> Result<(), NotStored> {
        let begun = fields.get(entry::HEADER).and_then(Entry::decode);
        let fields = with_length(fields);
        let made = body.as_ref().and_then(|body| body.made.as_ref()?.take());
        let stream = body.and_then(Stream::take);
        let promise = bridge::store(&key(path), status, &fields, stream.as_ref(), made.as_ref());
        drop(made);
        if task::settled(&promise).await.is_ok() {
            return Ok(());
        }
        self.remove_what_was_begun(path, begun).await;
        Err(NotStored)
    }

    async fn restate(
        &self,
        path: &str,
        found: CachedResponse,
        fields: Fields,
    ) -> Result<(), NotStored> {
        let status = found.status();
        let body = found.take().as_ref().and_then(Stream::of);
        self.put(path, status, fields, body).await
    }

    async fn delete(&self, path: &str) -> bool {
        let deleted = task::settled(&bridge::remove(&key(path))).await;
        deleted.is_ok_and(|deleted| deleted.is_truthy())
    }
}

/// When to look, in milliseconds after the last look, for what a broken body has left behind.
const LOOKS_AFTER_A_FAILURE: [u64; 6] = [0, 20, 50, 100, 200, 400];

impl EdgeCache {
    /// Some caches keep what has come of a body that broke off, as if it were the whole, and show
    /// it only some time after they have told of the failure. What was there before may stay.
    async fn remove_what_was_begun(&self, path: &str, begun: Option<Entry>) {
        for pause in LOOKS_AFTER_A_FAILURE {
            task::pause(pause).await;
            let found = self.find(path, Wanted::Whole).await;
            // One that is not whole has no record that counts.
            if found.is_some_and(|found| found.entry().is_none_or(|entry| Some(entry) == begun)) {
                self.delete(path).await;
                return;
            }
        }
    }
}

/// What parts the record from the length of the body that belongs to it.
const LENGTH_MARK: char = ';';

/// Notes beside the record how long the body must be. A cache may keep one that broke off, tell its
/// new length, and this request may be over before it could be removed.
fn with_length(mut fields: Fields) -> Fields {
    if let (Some(record), Some(length)) = (fields.get(entry::HEADER), fields.content_length()) {
        let noted = format!("{record}{LENGTH_MARK}{length}");
        fields.set(entry::HEADER, noted);
    }
    fields
}

/// Reads what [`bridge::record_of`] tells; `None` where the stored body is not of the length noted.
fn whole_record(text: &str) -> Option<Entry> {
    let (record, length) = match text.split_once('\n') {
        Some((record, length)) => (record, Some(length)),
        None => (text, None),
    };
    match record.split_once(LENGTH_MARK) {
        Some((record, noted)) => {
            Entry::decode(record).filter(|_| length.is_none_or(|length| length == noted))
        }
        None => Entry::decode(record),
    }
}

fn key(path: &str) -> String {
    let mut key = String::with_capacity(KEY_HOST.len() + path.len());
    key.push_str(KEY_HOST);
    key.push_str(path);
    key
}

impl Body for Stream {
    fn split(self) -> (Self, Self) {
        let branches = self.take().map(|stream| stream.tee());
        let made = Rc::default();
        let branch = |at: u32| Self {
            stream: branches.as_ref().map(|both| both.get(at).unchecked_into()),
            made: Some(Rc::clone(&made)),
        };
        (branch(0), branch(1))
    }

    fn part(self, range: ByteRange) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "no object is longer than 2^53 bytes"
        )]
        let (skip, length) = (range.first() as f64, range.len() as f64);
        let cut = |stream| bridge::part(&stream, skip, length);
        Self {
            stream: self.take().map(cut),
            made: None,
        }
    }

    async fn peek(self, limit: usize) -> (Vec<u8>, Self) {
        let (ahead, whole) = self.split();
        let Some(ahead) = ahead.take() else {
            return (Vec::new(), whole);
        };
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let beginning = task::settled(&bridge::beginning(&ahead, limit)).await;
        let text = beginning.ok().and_then(|text| text.as_string());
        (text.unwrap_or_default().into_bytes(), whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::time::UnixMillis;

    #[track_caller]
    fn check(noted: Option<&str>, found: &str, is_whole: bool) {
        let entry = Entry {
            status: 200,
            stored_at: UnixMillis(1),
            fresh_until: UnixMillis(2),
            stale_until: UnixMillis(3),
        };
        let mut fields = Fields::from_iter([(entry::HEADER, entry.encode())]);
        if let Some(noted) = noted {
            fields.push("Content-Length", noted);
        }
        let fields = with_length(fields);
        let record = fields.get(entry::HEADER).unwrap_or_default();
        let read = whole_record(&format!("{record}\n{found}"));
        assert_eq!(read, is_whole.then_some(entry), "{noted:?} and {found}");
    }

    #[test]
    fn a_stored_body_of_another_length_reads_as_absent() {
        check(Some("400000"), "400000", true);
        check(Some("0"), "0", true);
        check(Some("400000"), "100000", false);
        check(Some("400000"), "", false);
    }

    #[test]
    fn a_body_whose_length_was_never_told_is_taken_as_it_is() {
        check(None, "", true);
        check(None, "100", true);
    }

    #[test]
    fn an_answer_without_a_body_is_of_no_length() {
        let entry = Entry {
            status: 200,
            stored_at: UnixMillis(1),
            fresh_until: UnixMillis(2),
            stale_until: UnixMillis(3),
        };
        let record = format!("{}{LENGTH_MARK}400000", entry.encode());
        assert_eq!(whole_record(&record), Some(entry));
    }
}
