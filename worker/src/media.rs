//! The media entry, in platform mode: the platform's cache asks it for what it does not have.
//!
//! It keeps nothing. It asks the bucket, under the cache's own conditions where the cache has a copy. Each
//! answer states for how long it may be kept ([`crate::policy::platform_cache`]), and the tag that a purge names. A
//! reader's range and conditions never come here: see [`crate::platform`].

use crate::admission::{ObjectKey, raw_path};
use crate::engine::{LONGEST_WAIT_MILLISECONDS, Origin};
use crate::isolate::Isolate;
use crate::policy::conditional;
use crate::policy::headers::{self, X_CACHE_STATUS, value};
use crate::policy::origin_error::OriginError;
use crate::policy::platform_cache::{self, CACHE_TAG, CDN_CACHE_CONTROL};
use crate::policy::status::CacheStatus;
use crate::{log, respond, runtime, sdk};
use futures_util::future::{Either, select};
use http::StatusCode;
use http::header::{AGE, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use std::pin::pin;
use std::time::Duration;
use worker::web_sys::{Request, Response};
use worker::{Delay, Env};

/// The longest cache tag that the platform takes, in bytes.
const MAX_TAG_BYTES: usize = 1024;

/// The cache tag of an object: its encoded path, which is printable ASCII without spaces and commas. A tag
/// that is too long is cut: a purge of it reaches other objects too, each of which costs one fetch.
pub fn tag_of(key: &ObjectKey) -> String {
    let mut tag = key.s3_path();
    tag.truncate(MAX_TAG_BYTES);
    tag
}

/// Answers the platform's cache, for a URL of [`Isolate::media_url`].
pub async fn fetch(request: Request, env: Env) -> Response {
    let Ok(isolate) = Isolate::of(&env) else {
        return respond::plain(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let Some(key) = ObjectKey::from_s3_path(raw_path(&request.url())) else {
        let refused = respond::plain(StatusCode::BAD_REQUEST);
        _ = refused
            .headers()
            .set(CDN_CACHE_CONTROL.as_str(), "no-store");
        return refused;
    };
    let names = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
    let of_the_cache = sdk::selected_headers(&request.headers(), &names);
    let conditions = conditional::revalidation_for_cache(&of_the_cache);
    let fetch = pin!(isolate.origin.fetch(&key, &conditions));
    let answer = if conditions.is_empty() {
        fetch.await
    } else {
        // The cache has a copy. After a timeout it serves that.
        let timeout = Delay::from(Duration::from_millis(LONGEST_WAIT_MILLISECONDS));
        match select(fetch, timeout).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(OriginError::Timeout),
        }
    };
    let rule = &isolate.settings.freshness;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            log::origin_failed(&key, error, None);
            let response = respond::origin_error(platform_cache::as_reported(error, rule));
            let headers = response.headers();
            // The cache states the age. The tag lets a purge drop the mark of a missing object.
            _ = headers.delete(AGE.as_str());
            _ = headers.set(CACHE_TAG.as_str(), &tag_of(&key));
            if let Some(cache_control) = platform_cache::cache_control_of_error(error, rule) {
                _ = headers.set(CDN_CACHE_CONTROL.as_str(), &cache_control);
            }
            return response;
        }
    };
    let (status, now) = (answer.status, runtime::now());
    let cache_control = platform_cache::cache_control_of_answer(status, &answer.headers, rule, now);
    let mut headers = headers::for_client(status, &answer.headers, CacheStatus::Miss, now);
    // The gateway states the cache status for each reader, and the cache the age.
    headers.remove(X_CACHE_STATUS);
    headers.remove(AGE);
    if status == StatusCode::NOT_MODIFIED {
        headers = headers::for_not_modified(headers);
    }
    headers.insert(CDN_CACHE_CONTROL, value(&cache_control));
    headers.insert(CACHE_TAG, value(&tag_of(&key)));
    respond::from_parts(status, &headers, answer.body)
}
