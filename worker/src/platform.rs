//! Platform mode: the calls between the gateway and the media entry, with the platform's own cache
//! in between. It cannot be had locally, so this part is kept small.

use crate::admission::ObjectKey;
use crate::bridge::Context;
use crate::engine::Read;
use crate::policy::fields::Fields;
use crate::policy::headers;
use crate::policy::status::CacheStatus;
use crate::{bridge, respond, task};
use wasm_bindgen::JsCast;
use worker_sys::console_error;
use worker_sys::web_sys::Response;

/// The host of requests to the media entry: never looked up.
const MEDIA_HOST: &str = "https://media.invalid";

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
            console_error!(
                "the media entry gave no answer: {}",
                bridge::message_of(&error)
            );
            return respond::plain(502);
        }
    };
    let word = bridge::platform_status(&response).unwrap_or_default();
    let status = CacheStatus::from_platform(&word);
    bridge::stored(
        &response,
        headers::is_dressed(response.status()).then(|| status.as_str()),
        head,
    )
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
