//! Platform mode: the calls between the gateway and the media entry, with the platform's own cache
//! in between. It cannot be had locally, so this part is kept small.

use crate::admission::{self, Admitted, ObjectKey};
use crate::bridge::{Context, Env};
use crate::engine::{Origin, Read};
use crate::gateway::Asked;
use crate::origin::Bucket;
use crate::policy::conditional::{self, Conditions, Evaluated, Validators};
use crate::policy::fields::Fields;
use crate::policy::headers;
use crate::policy::status::CacheStatus;
use crate::site::Site;
use crate::store::Stream;
use crate::{bridge, respond, runtime, task};
use wasm_bindgen::JsCast;
use web_sys::{Request, Response};

/// The host of requests to the media entry: never looked up.
const MEDIA_HOST: &str = "https://media.invalid";

/// The header in which the media entry states the rule for keeping its answer.
const RULE: &str = "Cloudflare-CDN-Cache-Control";

/// The header in which it says what a purge is to name.
const TAG: &str = "Cache-Tag";

/// The longest cache tag that the platform takes, in bytes.
const LONGEST_TAG: usize = 1024;

/// Reads through the platform's cache.
pub async fn read(context: &Context, read: Read<'_>, head: bool) -> Response {
    let url = format!("{MEDIA_HOST}{}", read.path);
    let fields: Fields = [
        ("Range", read.range),
        ("If-Range", read.if_range),
        ("If-None-Match", read.conditions.if_none_match),
        ("If-Modified-Since", read.conditions.if_modified_since),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let answer = task::settled(&bridge::ask_media(context, &url, &fields, head)).await;
    let response: Response = match answer {
        Ok(response) => response.unchecked_into(),
        Err(error) => {
            let message = bridge::error_text(&error);
            bridge::log_error(&format!("the media entry gave no answer: {message}"));
            return respond::plain(502);
        }
    };
    if !holds(&read, &response) {
        // As the engine answers it. Nobody will read the body.
        drop(Stream::of(&response));
        return respond::made(412, Fields::new(), None);
    }
    let word = bridge::platform_status(&response).unwrap_or_default();
    let status = CacheStatus::from_platform(&word);
    let dressed = headers::is_dressed(response.status());
    let answer = bridge::stored(&response, dressed.then(|| status.as_str()), head);
    for name in [RULE, TAG] {
        // A copy's headers may be changed.
        let _ = answer.headers().delete(name);
    }
    answer
}

/// Whether `If-Match` and `If-Unmodified-Since` let the answer stand. The platform's cache knows
/// neither, so they stay here.
fn holds(read: &Read<'_>, response: &Response) -> bool {
    let conditions = Conditions {
        if_match: read.conditions.if_match,
        if_unmodified_since: read.conditions.if_unmodified_since,
        ..Conditions::default()
    };
    if conditions == Conditions::default() || !matches!(response.status(), 200 | 206 | 304) {
        return true;
    }
    let fields = bridge::fields_of(response);
    let evaluated = conditional::evaluate(&conditions, &Validators::of(&fields));
    evaluated != Evaluated::PreconditionFailed
}

/// A read in platform mode: the platform's cache has no answer and asks for one. The bucket is
/// asked, under the reader's or the cache's own conditions, and the rule for keeping the answer is
/// stated in its headers.
pub async fn fetch(request: Request, env: Env) -> Response {
    let Some(site) = Site::of(&env) else {
        return uncached(respond::plain(500));
    };
    let text = bridge::request_text(&request, &site.read_headers, &site.secret_header);
    let asked = Asked::of(&text);
    let key = match admission::admit("GET", path_of(asked.target), false, &site.canonical) {
        Ok(Admitted::Read { key, .. }) => key,
        _ => return uncached(respond::plain(400)),
    };
    let answer = Bucket::new(site.settings.clone())
        .fetch(&key, &asked.revalidation())
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(cause) => return uncached(respond::failure(cause)),
    };
    let now = runtime::now();
    let mut fields: Fields =
        headers::for_client(answer.status, &answer.fields, CacheStatus::Miss, now);
    let rule = headers::platform_cache_control(
        answer.status,
        &answer.fields,
        &site.settings.freshness,
        now,
    );
    fields.set(RULE, rule);
    fields.set(TAG, tag_of(&key));
    respond::made(answer.status, fields, answer.body)
}

/// An error of our own: without a word the platform's cache would keep it for minutes.
fn uncached(response: Response) -> Response {
    // It fails for headers that may not be changed, and these are ours.
    let _ = response.headers().set(RULE, "no-store");
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
