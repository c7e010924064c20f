//! The gateway's side of platform mode: a read through the platform's cache, which stands in front of
//! the media entry.
//!
//! The cache is asked for the object, whole or one plain part of it, and for nothing else: what it makes
//! of a reader's conditions, or of a `Range` in another form, is not documented
//! (developers.cloudflare.com/workers/cache). So those are evaluated here, by the engine's own rules, on
//! the headers of the object: a HEAD fetches them, and fills the cache as a GET would. `If-Range` is
//! evaluated on the part itself, since videos are read so, and each call is billed.

use crate::engine::shape::{Shape, shape};
use crate::engine::{Found, Read};
use crate::policy::conditional::{if_range_holds, same_version};
use crate::policy::headers::{self, ABOUT_THE_BODY, SERVER_TIMING, X_CACHE_STATUS, text, value};
use crate::policy::platform::{RULE, TAG};
use crate::policy::range::{self, ByteRange, RangePlan};
use crate::policy::status::CacheStatus;
use crate::site::Site;
use crate::store::CachedResponse;
use crate::{log, respond, runtime, sdk};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use http::{HeaderMap, StatusCode};
use worker::Context;
use worker::web_sys::{Headers, Response};

/// The header in which the cache says how it came by an answer
/// (developers.cloudflare.com/workers/cache/debugging).
const CF_CACHE_STATUS: &str = "cf-cache-status";

/// Reads through the platform's cache.
pub async fn read(site: &Site, context: &Context, read: &Read) -> Response {
    read_through(site, context, read)
        .await
        .unwrap_or_else(|reason| {
            log::media_failed(read.key.as_str(), &reason);
            respond::plain(StatusCode::BAD_GATEWAY)
        })
}

async fn read_through(site: &Site, context: &Context, read: &Read) -> Result<Response, String> {
    let whole = HeaderMap::new();
    let (mut request, mut about) = (HeaderMap::new(), None);
    if let Some(range) = read.plain_range() {
        request.extend(range.map(|range| (RANGE, range.clone())));
    } else {
        let object = Answer::of(site, context, read, &whole, true).await?;
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
    let mut answer = Answer::of(site, context, read, &request, read.head).await?;
    let must_ask_for_whole = match (answer.found.status(), &about) {
        (StatusCode::RANGE_NOT_SATISFIABLE, _) if let Some(length) = answer.length_of_whole() => {
            match range::plan(text(&request, RANGE), Some(length)) {
                // It does not say of which version it is.
                RangePlan::Unsatisfiable if read.headers.contains_key(IF_RANGE) => true,
                RangePlan::Unsatisfiable => return Ok(answer.unsatisfiable(length)),
                // An empty object has no part at all, and is answered whole.
                RangePlan::Whole | RangePlan::Part(_) => true,
            }
        }
        // It was replaced meanwhile, and the reader has asked for a part of the other.
        (StatusCode::PARTIAL_CONTENT, Some((_, headers))) => {
            !same_version(&answer.found.selected_headers(), headers)
        }
        (StatusCode::PARTIAL_CONTENT, None) => {
            read.headers.contains_key(IF_RANGE)
                && !if_range_holds(&read.headers, &answer.found.selected_headers())
        }
        _ => false,
    };
    if must_ask_for_whole {
        let part = answer;
        answer = Answer::of(site, context, read, &whole, false).await?;
        answer.keep_status_of(&part);
        if let Shape::Unsatisfiable(length) = shape(&read.headers, &answer.found.selected_headers())
        {
            return Ok(answer.unsatisfiable(length));
        }
    }
    if let Some((object, _)) = &about {
        answer.keep_status_of(object);
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
        site: &Site,
        context: &Context,
        read: &Read,
        request: &HeaderMap,
        head: bool,
    ) -> Result<Self, String> {
        let began = runtime::now();
        let answer = sdk::fetch_media(context, &read.cache_key, request, head).await;
        let found = CachedResponse::new(answer.map_err(|error| sdk::error_text(&error))?);
        let status = found.header(CF_CACHE_STATUS);
        if status.is_none() {
            site.note_missing_cache_status();
        }
        let cache = CacheStatus::from_platform(status.as_deref().unwrap_or_default());
        let now = runtime::now();
        if cache == CacheStatus::Stale {
            log::stale_served(&read.key, now);
        }
        Ok(Self {
            found,
            cache,
            waited: now.0.saturating_sub(began.0),
            is_new: false,
        })
    }

    /// The length that a 416 tells.
    fn length_of_whole(&self) -> Option<u64> {
        let text = self.found.header(CONTENT_RANGE.as_str())?;
        headers::digits(text.strip_prefix("bytes */")?)
    }

    /// Takes over the cache status of the answer before it, where the bucket was asked then: to the
    /// reader both are one read.
    fn keep_status_of(&mut self, first: &Self) {
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
        headers::set_server_timing(&mut headers, Some(self.waited));
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

/// Removes the headers that are between the cache and the gateway, and adds the cache status.
fn finish(headers: &Headers, cache: Option<CacheStatus>, waited: u64) {
    for name in [CF_CACHE_STATUS, RULE.as_str(), TAG.as_str()] {
        _ = headers.delete(name);
    }
    if let Some(cache) = cache {
        _ = headers.set(X_CACHE_STATUS.as_str(), cache.as_str());
        _ = headers.set(SERVER_TIMING.as_str(), &cache.server_timing(Some(waited)));
    }
}
