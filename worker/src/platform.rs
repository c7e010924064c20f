//! Platform mode: the calls between the gateway and the media entry, with the platform's own cache
//! in between. It cannot be had locally, so this part is kept small.

use crate::admission::{Admitted, Asked, ObjectKey, admit};
use crate::engine::{Origin, READ_HEADERS, Read};
use crate::origin::Bucket;
use crate::policy::conditional::{self, Evaluated};
use crate::policy::headers::{self, X_CACHE_STATUS};
use crate::policy::status::CacheStatus;
use crate::site::Site;
use crate::store::{OF_THE_CACHE, Stream};
use crate::{log, respond, runtime, sdk};
use http::header::{IF_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use worker::web_sys::{Request, Response};
use worker::{Context, Env, Response as SdkResponse};

/// The host of requests to the media entry: never looked up.
const MEDIA_HOST: &str = "https://media.invalid";

/// The header in which the media entry states the rule for keeping its answer.
const RULE: HeaderName = HeaderName::from_static("cloudflare-cdn-cache-control");

/// The header in which it says what a purge is to name.
const TAG: HeaderName = HeaderName::from_static("cache-tag");

/// The longest cache tag that the platform takes, in bytes.
const LONGEST_TAG: usize = 1024;

/// Reads through the platform's cache.
pub async fn read(context: &Context, read: &Read) -> Response {
    let path = read.key.s3_path();
    let answer = match ask_media(context, read, &path).await {
        Ok(answer) => answer,
        Err(reason) => {
            log::media_failed(&path, &reason);
            return respond::plain(StatusCode::BAD_GATEWAY);
        }
    };
    let status = StatusCode::from_u16(answer.status()).unwrap_or_default();
    let answer = SdkResponse::from(answer);
    let mut headers = sdk::header_map(&answer.headers().0);
    let body = Stream::of(&answer);
    if !holds(read, status, &headers) {
        return respond::made(StatusCode::PRECONDITION_FAILED, &headers::secured(), None);
    }
    let cache =
        CacheStatus::from_platform(headers::text(&headers, "cf-cache-status").unwrap_or_default());
    for name in OF_THE_CACHE {
        headers.remove(name);
    }
    headers.remove(RULE);
    headers.remove(TAG);
    headers.remove(X_CACHE_STATUS);
    if headers::has_added_headers(status) {
        headers.insert(X_CACHE_STATUS, HeaderValue::from_static(cache.as_str()));
    }
    respond::made(status, &headers, body.filter(|_| !read.head))
}

async fn ask_media(context: &Context, read: &Read, path: &str) -> Result<Response, String> {
    let mut asked = read.headers.clone();
    asked.remove(IF_MATCH);
    asked.remove(IF_UNMODIFIED_SINCE);
    // The platform answers HEAD from a GET (developers.cloudflare.com/workers/cache).
    let answer = match sdk::get(&[MEDIA_HOST, path].concat(), &asked, false) {
        Ok(request) => sdk::fetch_media(context, &request).await,
        Err(error) => Err(error),
    };
    answer.map_err(|error| sdk::error_text(&error))
}

/// Whether `If-Match` and `If-Unmodified-Since` let the answer stand. The platform's cache knows
/// neither, so they stay here.
fn holds(read: &Read, status: StatusCode, from_media: &HeaderMap) -> bool {
    let kept = [IF_MATCH, IF_UNMODIFIED_SINCE];
    let conditions: HeaderMap = kept
        .into_iter()
        .filter_map(|name| Some((name.clone(), read.headers.get(&name)?.clone())))
        .collect();
    if conditions.is_empty() || !matches!(status.as_u16(), 200 | 206 | 304) {
        return true;
    }
    let evaluated = conditional::evaluate(&conditions, from_media);
    evaluated != Evaluated::PreconditionFailed
}

/// A read in platform mode: the platform's cache has no answer and asks for one. The bucket is
/// asked, under the reader's or the cache's own conditions, and the rule for keeping the answer is
/// stated in its headers.
pub async fn fetch(request: Request, env: Env) -> Response {
    let Some(site) = Site::of(&env) else {
        return uncached(respond::plain(StatusCode::INTERNAL_SERVER_ERROR));
    };
    let url = request.url();
    let asked = Asked {
        method: Some(&Method::GET),
        target: path_of(&url),
        has_purge_header: false,
        is_preflight: false,
    };
    let Ok(Admitted::Read { key, .. }) = admit(&asked, &site.canonical) else {
        return uncached(respond::plain(StatusCode::BAD_REQUEST));
    };
    let mut conditions = sdk::selected_headers(&request.headers(), &READ_HEADERS);
    for name in [RANGE, IF_RANGE, IF_MATCH, IF_UNMODIFIED_SINCE] {
        conditions.remove(name);
    }
    let answer = Bucket::new(site.settings.clone())
        .fetch(&key, &conditions)
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            log::origin_failed(&key, error, false);
            return uncached(respond::origin_error(error));
        }
    };
    let now = runtime::now();
    let mut headers = headers::for_client(answer.status, &answer.headers, CacheStatus::Miss, now);
    let rule = headers::platform_cache_control(
        answer.status,
        &answer.headers,
        &site.settings.freshness,
        now,
    );
    for (name, text) in [(RULE, rule), (TAG, tag_of(&key))] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
    respond::made(answer.status, &headers, answer.body)
}

/// An error of our own: without a rule the platform's cache would keep it for minutes.
fn uncached(response: Response) -> Response {
    // It fails for headers that may not be changed, and these are ours.
    _ = response.headers().set(RULE.as_str(), "no-store");
    response
}

/// The path in the URL of a request that [`read`] has made.
#[must_use]
pub fn path_of(url: &str) -> &str {
    url.strip_prefix(MEDIA_HOST).unwrap_or(url)
}

/// The cache tag of an object: its encoded path, which is printable ASCII without spaces. One that
/// is too long is cut: a purge then reaches its neighbours too, which costs them one fetch.
#[must_use]
pub fn tag_of(key: &ObjectKey) -> String {
    let mut tag = key.s3_path().replace(',', "%2C");
    tag.truncate(LONGEST_TAG);
    tag
}
