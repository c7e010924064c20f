//! A read in platform mode: the platform's cache, which stands in front of the media entry, is asked for the
//! object.
//!
//! It is asked for the whole object or for one plain part, and for nothing else: what it makes of conditions,
//! or of another form of `Range`, is not documented (developers.cloudflare.com/workers/cache). So these are
//! evaluated here, by the same rules as in engine mode, on the headers of the object. A HEAD fetches them,
//! and fills the cache as a GET does. `If-Range`, which players send with each part of a video, is evaluated
//! on the part itself, because every call is billed.

use crate::admission::ObjectKey;
use crate::engine::Found;
use crate::isolate::Isolate;
use crate::policy::conditional::{if_range_holds, same_version};
use crate::policy::headers::{self, CF_CACHE_STATUS, SERVER_TIMING, X_CACHE_STATUS, text, value};
use crate::policy::platform_cache::{CACHE_TAG, CDN_CACHE_CONTROL};
use crate::policy::range::{self, ByteRange, RangePlan};
use crate::policy::shape::{Shape, shape};
use crate::policy::status::CacheStatus;
use crate::store::CachedResponse;
use crate::{log, respond, runtime, sdk};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, StatusCode};
use worker::Context;
use worker::web_sys::{Headers, Response};

/// Answers a read that was admitted. `headers`: those of [`crate::engine::READ_HEADERS`].
pub async fn read(
    isolate: &Isolate,
    context: &Context,
    key: &ObjectKey,
    head: bool,
    headers: &HeaderMap,
) -> Response {
    let media = MediaClient {
        isolate,
        context,
        key,
        url: isolate.media_url(key),
    };
    match media.read(head, headers).await {
        Ok(response) => response,
        Err(reason) => {
            log::media_failed(key.as_str(), &reason);
            respond::plain(StatusCode::BAD_GATEWAY)
        }
    }
}

/// The media entry behind the platform's cache, for one object.
struct MediaClient<'a> {
    isolate: &'a Isolate,
    context: &'a Context,
    key: &'a ObjectKey,
    url: String,
}

impl MediaClient<'_> {
    async fn read(&self, head: bool, headers: &HeaderMap) -> Result<Response, String> {
        match request_at_once(head, headers) {
            Some(request) => self.fetch(&request, head, headers, None).await,
            None => self.evaluate_and_fetch(head, headers).await,
        }
    }

    /// Evaluates the reader's conditions and range on the object's headers, then fetches what they ask for.
    async fn evaluate_and_fetch(
        &self,
        head: bool,
        headers: &HeaderMap,
    ) -> Result<Response, String> {
        let mut request = HeaderMap::new();
        let object = self.ask(&request, true).await?;
        let status = object.found.status();
        if status.is_client_error() || status.is_server_error() {
            return Ok(object.into_error(head));
        }
        let stored = object.found.selected_headers();
        if status == StatusCode::OK {
            match shape(headers, &stored) {
                Shape::NotModified => return Ok(object.into_not_modified()),
                Shape::PreconditionFailed => return Ok(respond::precondition_failed()),
                Shape::Unsatisfiable { length } => return Ok(object.unsatisfiable(length)),
                Shape::Part { range, length } if head => {
                    return Ok(object.into_part_without_body(range, length));
                }
                Shape::Whole if head => return Ok(object.into_response(true)),
                Shape::Part { range, .. } => _ = request.insert(RANGE, value(&range.header())),
                Shape::Whole => {}
            }
        }
        let evaluated = Some((&object, &stored));
        self.fetch(&request, head, headers, evaluated).await
    }

    /// Fetches the object or one part, and the whole object where that part cannot be the answer. `evaluated`:
    /// the response to the HEAD before it, and its headers.
    async fn fetch(
        &self,
        request: &HeaderMap,
        head: bool,
        headers: &HeaderMap,
        evaluated: Option<(&MediaResponse, &HeaderMap)>,
    ) -> Result<Response, String> {
        let mut answer = self.ask(request, head).await?;
        let needs_whole = match (answer.found.status(), evaluated) {
            (StatusCode::RANGE_NOT_SATISFIABLE, _) if let Some(length) = answer.length_in_416() => {
                match range::plan(text(request, RANGE), Some(length)) {
                    // It has no validator, so `If-Range` cannot be evaluated.
                    RangePlan::Unsatisfiable if headers.contains_key(IF_RANGE) => true,
                    RangePlan::Unsatisfiable => return Ok(answer.unsatisfiable(length)),
                    // An empty object has no parts and is answered whole.
                    RangePlan::Whole | RangePlan::Part(_) => true,
                }
            }
            // A part of another version than the one whose headers were evaluated.
            (StatusCode::PARTIAL_CONTENT, Some((_, stored))) => {
                !same_version(&answer.found.selected_headers(), stored)
            }
            (StatusCode::PARTIAL_CONTENT, None) => {
                headers.contains_key(IF_RANGE)
                    && !if_range_holds(headers, &answer.found.selected_headers())
            }
            _ => false,
        };
        if needs_whole {
            let part = answer;
            answer = self.ask(&HeaderMap::new(), false).await?;
            answer.add_earlier(&part);
            let stored = answer.found.selected_headers();
            if let Shape::Unsatisfiable { length } = shape(headers, &stored) {
                return Ok(answer.unsatisfiable(length));
            }
        }
        if let Some((object, _)) = evaluated {
            answer.add_earlier(object);
        }
        Ok(answer.into_response(head))
    }

    /// Asks once. `Err` where the media entry cannot be reached, with the reason.
    async fn ask(&self, request: &HeaderMap, head: bool) -> Result<MediaResponse, String> {
        let began = runtime::now();
        let answer = sdk::fetch_media(self.context, &self.url, request, head).await;
        let found = CachedResponse::new(answer.map_err(|error| sdk::error_text(&error))?);
        let status = found.header(CF_CACHE_STATUS.as_str());
        if status.is_none() {
            self.isolate.log_missing_cache_status();
        }
        let cache_status = CacheStatus::from_platform(status.as_deref().unwrap_or_default());
        let now = runtime::now();
        if cache_status == CacheStatus::Stale {
            log::stale_served(self.key, now);
        }
        Ok(MediaResponse {
            found,
            cache_status,
            waited: now.0.saturating_sub(began.0),
            is_new: false,
        })
    }
}

/// The headers to ask with, where no condition must be evaluated first: the reader wants the object as it is,
/// or one part that every cache cuts alike, with `If-Range` or without.
fn request_at_once(head: bool, headers: &HeaderMap) -> Option<HeaderMap> {
    if headers.is_empty() {
        return Some(HeaderMap::new());
    }
    let range = headers.get(RANGE)?;
    let is_plain = !head
        && text(headers, RANGE).is_some_and(range::is_plain)
        && headers
            .keys()
            .all(|name| *name == RANGE || *name == IF_RANGE);
    is_plain.then(|| HeaderMap::from_iter([(RANGE, range.clone())]))
}

/// A response of the media entry, from the platform's cache or through it.
struct MediaResponse {
    found: CachedResponse,
    cache_status: CacheStatus,
    /// How long it took, in milliseconds.
    waited: u64,
    /// Whether this very read has filled the cache: the answer has no age then.
    is_new: bool,
}

impl MediaResponse {
    /// The length of the whole object in a 416.
    fn length_in_416(&self) -> Option<u64> {
        let text = self.found.header(CONTENT_RANGE.as_str())?;
        headers::digits(text.strip_prefix("bytes */")?)
    }

    /// Adds the time of an earlier response in the same read, and takes its cache status where the bucket was
    /// asked then.
    fn add_earlier(&mut self, earlier: &Self) {
        if earlier.cache_status.has_asked() {
            self.cache_status = earlier.cache_status;
            self.is_new = earlier.cache_status == CacheStatus::Miss;
        }
        self.waited += earlier.waited;
    }

    fn into_response(self, head: bool) -> Response {
        let (status, cache_status, waited) = (self.found.status(), self.cache_status, self.waited);
        let is_new = self.is_new;
        let response = self.found.into_response(!head);
        let headers = response.headers();
        // A 416 is the bucket's own here, and an error like the others.
        let is_error = status == StatusCode::RANGE_NOT_SATISFIABLE;
        let has_status = headers::has_added_headers(status) && !is_error;
        finish(&headers, has_status.then_some(cache_status), waited);
        if is_new {
            _ = headers.delete(AGE.as_str());
        }
        response
    }

    /// The answer where this response to a HEAD is an error.
    fn into_error(self, head: bool) -> Response {
        let status = self.found.status();
        let response = self.into_response(true);
        match head {
            true => response,
            false => respond::error_with_headers(status, &response.headers()),
        }
    }

    fn into_not_modified(self) -> Response {
        let (cache_status, waited) = (self.cache_status, self.waited);
        let response = self.found.into_not_modified();
        finish(&response.headers(), Some(cache_status), waited);
        response
    }

    fn unsatisfiable(&self, length: u64) -> Response {
        let mut headers = headers::for_unsatisfiable(length, self.cache_status, runtime::now());
        headers::set_server_timing(&mut headers, Some(self.waited));
        respond::from_parts(StatusCode::RANGE_NOT_SATISFIABLE, &headers, None)
    }

    fn into_part_without_body(self, range: ByteRange, length: u64) -> Response {
        let (cache_status, waited) = (self.cache_status, self.waited);
        let whole = self.found.into_response(false);
        let headers = whole.headers();
        let (content_range, part) = (range.content_range(length), range.len().to_string());
        _ = headers.set(CONTENT_RANGE.as_str(), &content_range);
        _ = headers.set(CONTENT_LENGTH.as_str(), &part);
        finish(&headers, Some(cache_status), waited);
        sdk::response(StatusCode::PARTIAL_CONTENT.as_u16(), &headers, None)
    }
}

/// Removes the headers between the cache and the gateway, and sets the cache status.
fn finish(headers: &Headers, cache_status: Option<CacheStatus>, waited: u64) {
    for name in [CF_CACHE_STATUS, CDN_CACHE_CONTROL, CACHE_TAG] {
        _ = headers.delete(name.as_str());
    }
    if let Some(cache_status) = cache_status {
        let timing = cache_status.server_timing(Some(waited));
        _ = headers.set(X_CACHE_STATUS.as_str(), cache_status.as_str());
        _ = headers.set(SERVER_TIMING.as_str(), &timing);
    }
}
