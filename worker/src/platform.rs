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
use crate::policy::shape::{Shape, shape_for};
use crate::policy::status::CacheStatus;
use crate::store::CachedResponse;
use crate::{log, respond, runtime, sdk};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, StatusCode};
use worker::Context;
use worker::web_sys::{Headers, Response};

/// Answers a read that was admitted. `read_headers`: those of [`crate::engine::READ_HEADERS`].
pub async fn read(
    isolate: &Isolate,
    context: &Context,
    key: &ObjectKey,
    head: bool,
    read_headers: &HeaderMap,
) -> Response {
    let media = MediaClient {
        isolate,
        context,
        key,
        url: isolate.media_url(key),
    };
    match media.read(head, read_headers).await {
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
    async fn read(&self, head: bool, read_headers: &HeaderMap) -> Result<Response, String> {
        match headers_to_ask_at_once(head, read_headers) {
            Some(ask_headers) => self.fetch(&ask_headers, head, read_headers, None).await,
            None => self.evaluate_and_fetch(head, read_headers).await,
        }
    }

    /// Evaluates the reader's conditions and range on the object's headers, then fetches what they ask for.
    async fn evaluate_and_fetch(
        &self,
        head: bool,
        read_headers: &HeaderMap,
    ) -> Result<Response, String> {
        let mut ask_headers = HeaderMap::new();
        let object = self.ask(&ask_headers, true).await?;
        let status = object.response.status();
        if status.is_client_error() || status.is_server_error() {
            return Ok(object.into_error(head));
        }
        let object_headers = object.response.selected_headers();
        if status == StatusCode::OK {
            match shape_for(read_headers, &object_headers) {
                Shape::NotModified => return Ok(object.into_not_modified()),
                Shape::PreconditionFailed => return Ok(respond::precondition_failed()),
                Shape::Unsatisfiable { length } => return Ok(object.unsatisfiable(length)),
                Shape::Part { range, length } if head => {
                    return Ok(object.into_part_without_body(range, length));
                }
                Shape::Whole if head => return Ok(object.into_response(true)),
                Shape::Part { range, .. } => _ = ask_headers.insert(RANGE, value(&range.header())),
                Shape::Whole => {}
            }
        }
        let evaluated = Some((&object, &object_headers));
        self.fetch(&ask_headers, head, read_headers, evaluated)
            .await
    }

    /// Fetches the object or one part, and the whole object where that part cannot be the answer. `evaluated`:
    /// the response to the HEAD before it, and its headers.
    async fn fetch(
        &self,
        ask_headers: &HeaderMap,
        head: bool,
        read_headers: &HeaderMap,
        evaluated: Option<(&MediaResponse, &HeaderMap)>,
    ) -> Result<Response, String> {
        let mut answer = self.ask(ask_headers, head).await?;
        let evaluated_headers = evaluated.map(|(_, headers)| headers);
        match answer.usability(ask_headers, read_headers, evaluated_headers) {
            Usability::Answer => {}
            Usability::Unsatisfiable { length } => return Ok(answer.unsatisfiable(length)),
            Usability::NeedsWhole => {
                let part = answer;
                answer = self.ask(&HeaderMap::new(), false).await?;
                answer.add_earlier(&part);
                let whole_headers = answer.response.selected_headers();
                if let Shape::Unsatisfiable { length } = shape_for(read_headers, &whole_headers) {
                    return Ok(answer.unsatisfiable(length));
                }
            }
        }
        if let Some((object, _)) = evaluated {
            answer.add_earlier(object);
        }
        Ok(answer.into_response(head))
    }

    /// Asks once. `Err` where the media entry cannot be reached, with the reason.
    async fn ask(&self, ask_headers: &HeaderMap, head: bool) -> Result<MediaResponse, String> {
        let began = runtime::now();
        let answer = sdk::fetch_media(self.context, &self.url, ask_headers, head).await;
        let response = CachedResponse::new(answer.map_err(|error| sdk::error_text(&error))?);
        let status = response.header(CF_CACHE_STATUS.as_str());
        if status.is_none() {
            self.isolate.log_missing_cache_status();
        }
        let cache_status = CacheStatus::parse(status.as_deref().unwrap_or_default());
        let now = runtime::now();
        if cache_status == CacheStatus::Stale {
            log::stale_served(self.key, now);
        }
        Ok(MediaResponse {
            response,
            cache_status,
            waited: now.0.saturating_sub(began.0),
            is_new: false,
        })
    }
}

/// The headers to ask with, where no condition must be evaluated first: the reader wants the object as it is,
/// or one part that every cache cuts alike, with `If-Range` or without.
fn headers_to_ask_at_once(head: bool, read_headers: &HeaderMap) -> Option<HeaderMap> {
    if read_headers.is_empty() {
        return Some(HeaderMap::new());
    }
    let range = read_headers.get(RANGE)?;
    let is_plain = !head
        && text(read_headers, RANGE).is_some_and(range::is_plain)
        && read_headers
            .keys()
            .all(|name| *name == RANGE || *name == IF_RANGE);
    is_plain.then(|| HeaderMap::from_iter([(RANGE, range.clone())]))
}

/// A response of the media entry, from the platform's cache or through it.
struct MediaResponse {
    response: CachedResponse,
    cache_status: CacheStatus,
    /// How long the gateway has waited for it, and for the earlier ones of the same read, in milliseconds.
    waited: u64,
    /// Whether an earlier request of this read has filled the cache. To the reader the answer is new then: it
    /// has no age.
    is_new: bool,
}

/// What the first response to a read is good for.
enum Usability {
    /// It is the answer.
    Answer,
    /// 416 is the answer.
    Unsatisfiable { length: u64 },
    /// Only the whole object can be the answer.
    NeedsWhole,
}

impl MediaResponse {
    /// What this response is good for, which was asked for with `ask_headers`. `evaluated_headers`: those of
    /// the object on which the reader's conditions and range were evaluated before.
    fn usability(
        &self,
        ask_headers: &HeaderMap,
        read_headers: &HeaderMap,
        evaluated_headers: Option<&HeaderMap>,
    ) -> Usability {
        let needs_whole = match (self.response.status(), evaluated_headers) {
            (StatusCode::RANGE_NOT_SATISFIABLE, _) if let Some(length) = self.length_in_416() => {
                match range::plan(text(ask_headers, RANGE), Some(length)) {
                    // It has no validator, so `If-Range` cannot be evaluated.
                    RangePlan::Unsatisfiable if read_headers.contains_key(IF_RANGE) => true,
                    RangePlan::Unsatisfiable => return Usability::Unsatisfiable { length },
                    // An empty object has no parts and is answered whole.
                    RangePlan::Whole | RangePlan::Part(_) => true,
                }
            }
            // A part of another version than the one whose headers were evaluated.
            (StatusCode::PARTIAL_CONTENT, Some(evaluated_headers)) => {
                !same_version(&self.response.selected_headers(), evaluated_headers)
            }
            (StatusCode::PARTIAL_CONTENT, None) => {
                read_headers.contains_key(IF_RANGE)
                    && !if_range_holds(read_headers, &self.response.selected_headers())
            }
            _ => false,
        };
        match needs_whole {
            true => Usability::NeedsWhole,
            false => Usability::Answer,
        }
    }

    /// The length of the whole object in a 416.
    fn length_in_416(&self) -> Option<u64> {
        let text = self.response.header(CONTENT_RANGE.as_str())?;
        headers::parse_number(text.strip_prefix("bytes */")?)
    }

    /// Adds the time of an earlier response in the same read, and takes its cache status where the bucket was
    /// asked then.
    fn add_earlier(&mut self, earlier: &Self) {
        if earlier.cache_status.has_asked_bucket() {
            self.cache_status = earlier.cache_status;
            self.is_new = earlier.cache_status == CacheStatus::Miss;
        }
        self.waited += earlier.waited;
    }

    fn into_response(self, head: bool) -> Response {
        let (status, cache_status, waited) =
            (self.response.status(), self.cache_status, self.waited);
        let is_new = self.is_new;
        let response = self.response.into_response(!head);
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
        let status = self.response.status();
        let response = self.into_response(true);
        match head {
            true => response,
            false => respond::error_with_headers(status, &response.headers()),
        }
    }

    fn into_not_modified(self) -> Response {
        let (cache_status, waited) = (self.cache_status, self.waited);
        let response = self.response.into_not_modified();
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
        let whole = self.response.into_response(false);
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
