//! The media entry, in platform mode: what the platform's cache asks where it has no answer of its own.
//!
//! It keeps nothing. The bucket is asked, under the cache's own conditions where it has a copy, and each
//! answer says for how long it may be kept ([`crate::policy::platform`]) and by which tag a purge names
//! it. What readers ask beyond the object itself, a part or a condition, never comes here: see
//! [`crate::platform`].

use crate::admission::{Admitted, Asked, ObjectKey, admit};
use crate::engine::Origin;
use crate::policy::conditional;
use crate::policy::headers::{self, X_CACHE_STATUS, value};
use crate::policy::origin_error::OriginError;
use crate::policy::platform::{self, RULE, TAG};
use crate::policy::status::CacheStatus;
use crate::serve::LONGEST_WAIT_MILLISECONDS;
use crate::site::{MEDIA_HOST, Site};
use crate::{log, respond, runtime, sdk};
use futures_util::future::{Either, select};
use http::header::{AGE, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{Method, StatusCode};
use std::pin::pin;
use std::time::Duration;
use worker::Delay;
use worker::Env;
use worker::web_sys::{Request, Response};

/// The longest cache tag that the platform takes, in bytes.
const LONGEST_TAG: usize = 1024;

/// The cache tag of an object: its encoded path, which is printable ASCII without spaces. One that
/// is too long is cut: a purge then reaches its neighbours too, which costs them one fetch.
#[must_use]
pub fn tag_of(key: &ObjectKey) -> String {
    // A comma, which would end it, is encoded there.
    let mut tag = key.s3_path();
    tag.truncate(LONGEST_TAG);
    tag
}

/// Answers the platform's cache.
pub async fn fetch(request: Request, env: Env) -> Response {
    let Ok(site) = Site::of(&env) else {
        return respond::plain(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let Some(key) = key_of(&request.url(), &site) else {
        return ruled(respond::plain(StatusCode::BAD_REQUEST), Some("no-store"));
    };
    let names = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
    let asked = sdk::selected_headers(&request.headers(), &names);
    let conditions = conditional::passed_on(&asked);
    let fetch = pin!(site.bucket.fetch(&key, &conditions));
    let answer = if conditions.is_empty() {
        fetch.await
    } else {
        // The cache has a copy, and serves it where this takes too long.
        let patience = Delay::from(Duration::from_millis(LONGEST_WAIT_MILLISECONDS));
        match select(fetch, patience).await {
            Either::Left((answer, _)) => answer,
            Either::Right(_) => Err(OriginError::Timeout),
        }
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return failed(&site, &key, error),
    };
    let now = runtime::now();
    let rule = platform::rule_for_answer(
        answer.status,
        &answer.headers,
        &site.settings.freshness,
        now,
    );
    let mut headers = headers::for_client(answer.status, &answer.headers, CacheStatus::Miss, now);
    // The gateway's to say, for each reader; and the cache's, from the moment when it got the answer.
    headers.remove(X_CACHE_STATUS);
    headers.remove(AGE);
    if answer.status == StatusCode::NOT_MODIFIED {
        headers = headers::for_not_modified(headers);
    }
    headers.insert(RULE, value(&rule));
    headers.insert(TAG, value(&tag_of(&key)));
    respond::made(answer.status, &headers, answer.body)
}

/// The key in a URL of [`Site::media_url`].
fn key_of(url: &str, site: &Site) -> Option<ObjectKey> {
    let asked = Asked {
        method: Some(&Method::GET),
        target: url.strip_prefix(MEDIA_HOST).unwrap_or(url),
        has_purge_header: false,
        is_preflight: false,
    };
    match admit(&asked, &site.canonical) {
        // The gateway has let it in, under another spelling.
        Ok(Admitted::Read { key, .. } | Admitted::Health { probe: key, .. }) => Some(key),
        _ => None,
    }
}

/// The bucket has not given the object.
fn failed(site: &Site, key: &ObjectKey, error: OriginError) -> Response {
    log::origin_failed(key, error, None);
    let rule = &site.settings.freshness;
    let answer = respond::origin_error(platform::as_reported(error, rule));
    // The cache tells it, from the moment when it got the answer.
    _ = answer.headers().delete(AGE.as_str());
    // A purge drops what is remembered of a missing object, too.
    _ = answer.headers().set(TAG.as_str(), &tag_of(key));
    ruled(answer, platform::rule_for_error(error, rule).as_deref())
}

/// The answer with its rule, if it has one.
fn ruled(answer: Response, rule: Option<&str>) -> Response {
    if let Some(rule) = rule {
        // It fails for headers that may not be changed, and these are ours.
        _ = answer.headers().set(RULE.as_str(), rule);
    }
    answer
}
