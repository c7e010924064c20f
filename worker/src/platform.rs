//! The gateway's side of platform mode: a read through the platform's cache, which stands in front of
//! the media entry.
//!
//! The cache is asked for the object, whole or one plain part of it, and for nothing else: what it makes
//! of a reader's conditions, or of a `Range` in another form, is not documented
//! (developers.cloudflare.com/workers/cache). So those are evaluated here, by the engine's own rules, on
//! the headers of the object: a HEAD fetches them, and fills the cache as a GET would.

use crate::engine::shape::{Shape, shape};
use crate::engine::{Found, Read};
use crate::policy::conditional::same_version;
use crate::policy::headers::{self, ABOUT_THE_BODY, SERVER_TIMING, X_CACHE_STATUS, text, value};
use crate::policy::platform::{RULE, TAG};
use crate::policy::range::{self, ByteRange, RangePlan};
use crate::policy::status::CacheStatus;
use crate::store::CachedResponse;
use crate::{log, media, respond, runtime, sdk};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, StatusCode};
use worker::Context;
use worker::web_sys::{Headers, Response};

/// The header in which the cache says how it came by an answer
/// (developers.cloudflare.com/workers/cache/debugging).
const CF_CACHE_STATUS: &str = "cf-cache-status";

/// Reads through the platform's cache.
pub async fn read(context: &Context, read: &Read) -> Response {
    read_through(context, read).await.unwrap_or_else(|reason| {
        log::media_failed(read.key.as_str(), &reason);
        respond::plain(StatusCode::BAD_GATEWAY)
    })
}

async fn read_through(context: &Context, read: &Read) -> Result<Response, String> {
    let whole = HeaderMap::new();
    let (mut request, mut about) = (read.headers.clone(), None);
    if !read.is_plain() {
        request = HeaderMap::new();
        let object = Answer::of(context, read, &whole, true).await?;
        let status = object.found.status();
        if status.is_client_error() || status.is_server_error() {
            return Ok(object.into_error(read.head));
        }
        let headers = object.found.selected_headers();
        if status == StatusCode::OK {
            match shape(&read.headers, &headers) {
                Shape::NotModified => return Ok(object.not_modified()),
                Shape::PreconditionFailed => return Ok(respond::precondition_failed()),
                Shape::Unsatisfiable(length) => return Ok(object.unsatisfiable(length)),
                Shape::Part(range, length) if read.head => {
                    return Ok(object.part_without_body(range, length));
                }
                Shape::Whole if read.head => return Ok(object.into_response(true)),
                Shape::Part(range, _) => _ = request.insert(RANGE, value(&range.header())),
                Shape::Whole => {}
            }
        }
        about = Some((object, headers));
    }
    let mut answer = Answer::of(context, read, &request, read.head).await?;
    let is_no_answer = match (answer.found.status(), &about) {
        (StatusCode::RANGE_NOT_SATISFIABLE, _) if let Some(length) = answer.length_of_whole() => {
            match range::plan(text(&request, RANGE), Some(length)) {
                RangePlan::Unsatisfiable => return Ok(answer.unsatisfiable(length)),
                // An empty object has no part at all, and is answered whole.
                RangePlan::Whole | RangePlan::Part(_) => true,
            }
        }
        // It was replaced meanwhile, and the reader has asked for a part of the other.
        (StatusCode::PARTIAL_CONTENT, Some((_, headers))) => {
            !same_version(&answer.found.selected_headers(), headers)
        }
        _ => false,
    };
    if is_no_answer {
        answer = Answer::of(context, read, &whole, false).await?;
    }
    if let Some((object, _)) = &about {
        answer.follows(object);
    }
    Ok(answer.into_response(read.head))
}

/// What came through the cache.
struct Answer {
    found: CachedResponse,
    cache: CacheStatus,
    /// How long the cache was waited for, in milliseconds.
    waited: u64,
    /// Whether the cache has it for this read alone so far: it has no age then.
    is_new: bool,
}

impl Answer {
    async fn of(
        context: &Context,
        read: &Read,
        request: &HeaderMap,
        head: bool,
    ) -> Result<Self, String> {
        let url = media::url_of(&read.key);
        let began = runtime::now();
        let answer = sdk::fetch_media(context, &url, request, head).await;
        let found = CachedResponse::new(answer.map_err(|error| sdk::error_text(&error))?);
        let word = found.header(CF_CACHE_STATUS);
        let cache = CacheStatus::from_platform(word.as_deref().unwrap_or_default());
        if cache == CacheStatus::Stale {
            log::stale_served(&read.key);
        }
        Ok(Self {
            found,
            cache,
            waited: runtime::now().0.saturating_sub(began.0),
            is_new: false,
        })
    }

    /// The length that a 416 tells.
    fn length_of_whole(&self) -> Option<u64> {
        let text = self.found.header(CONTENT_RANGE.as_str())?;
        headers::digits(text.strip_prefix("bytes */")?)
    }

    /// Takes the word of the look that came before it, where that one has had the bucket asked: to the
    /// reader it is one read.
    fn follows(&mut self, first: &Self) {
        if first.cache.has_asked() {
            self.cache = first.cache;
            self.is_new = first.cache == CacheStatus::Miss;
        }
        self.waited += first.waited;
    }

    fn into_response(self, head: bool) -> Response {
        let (status, cache, waited) = (self.found.status(), self.cache, self.waited);
        let is_new = self.is_new;
        let response = self.found.into_response(!head);
        let headers = response.headers();
        // A 416 of the bucket's own is an error like any.
        let is_error = status == StatusCode::RANGE_NOT_SATISFIABLE;
        let has_status = headers::has_added_headers(status) && !is_error;
        finish(&headers, has_status.then_some(cache), waited);
        if is_new {
            _ = headers.delete(AGE.as_str());
        }
        response
    }

    /// The answer to a GET of an error that a HEAD has brought.
    fn into_error(self, head: bool) -> Response {
        let status = self.found.status();
        let response = self.into_response(true);
        match head {
            true => response,
            false => respond::error_like(status, &response.headers()),
        }
    }

    fn not_modified(self) -> Response {
        let (cache, waited) = (self.cache, self.waited);
        let response = self.found.into_not_modified();
        let headers = response.headers();
        for name in ABOUT_THE_BODY {
            _ = headers.delete(name.as_str());
        }
        finish(&headers, Some(cache), waited);
        response
    }

    fn unsatisfiable(&self, length: u64) -> Response {
        let mut headers = headers::for_unsatisfiable(length, self.cache, runtime::now());
        headers::tell_timing(&mut headers, Some(self.waited));
        respond::made(StatusCode::RANGE_NOT_SATISFIABLE, &headers, None)
    }

    fn part_without_body(self, range: ByteRange, length: u64) -> Response {
        let (cache, waited) = (self.cache, self.waited);
        let whole = self.found.into_response(false);
        let headers = whole.headers();
        let (content_range, part) = (range.content_range(length), range.len().to_string());
        _ = headers.set(CONTENT_RANGE.as_str(), &content_range);
        _ = headers.set(CONTENT_LENGTH.as_str(), &part);
        finish(&headers, Some(cache), waited);
        sdk::response(StatusCode::PARTIAL_CONTENT.as_u16(), &headers, None)
    }
}

/// Takes away what is between the cache and us, and says how the cache came by the answer.
fn finish(headers: &Headers, cache: Option<CacheStatus>, waited: u64) {
    for name in [CF_CACHE_STATUS, RULE.as_str(), TAG.as_str()] {
        _ = headers.delete(name);
    }
    if let Some(cache) = cache {
        _ = headers.set(X_CACHE_STATUS.as_str(), cache.as_str());
        _ = headers.set(SERVER_TIMING.as_str(), &cache.server_timing(Some(waited)));
    }
}
