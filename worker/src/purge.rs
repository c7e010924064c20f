//! The cache buster's protocol: one request per media URL, with a shared secret in a header. And in
//! platform mode the queue in which purges wait until the platform takes them.

use crate::admission::ObjectKey;
use crate::settings::CacheMode;
use crate::site::Site;
use crate::{log, platform, respond, sdk, serve};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use subtle::ConstantTimeEq;
use worker::web_sys::{Headers, Response};
use worker::{Context, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder};

/// The queue's binding in `wrangler.toml`.
const QUEUE: &str = "PURGES";

/// How many seconds a purge waits that the platform has refused: it allows five calls a minute
/// (developers.cloudflare.com/workers/cache/purge).
const RETRY_SECONDS: u32 = 60;

/// A purge that waits in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeMessage {
    /// The cache tag of the object.
    pub tag: String,
}

/// Drops an object from the cache: 200 when it was there, 404 when it was not, 403 without the
/// right secret. In platform mode 200 says that the purge was taken on.
pub async fn handle(
    site: &Site,
    env: &Env,
    context: Context,
    url: &str,
    headers: &Headers,
    key: &ObjectKey,
) -> Response {
    let is_allowed = site.settings.purge.as_ref().is_some_and(|purge| {
        let given = sdk::header(headers, &purge.header);
        is_secret(purge.secret.expose(), given.as_deref())
    });
    if !is_allowed {
        return respond::plain(StatusCode::FORBIDDEN);
    }
    match site.settings.cache_mode {
        CacheMode::Engine => {
            let engine = serve::engine(site, Rc::new(context));
            let status = match engine.purge(&site.cache_key(url, key)).await {
                true => StatusCode::OK,
                false => StatusCode::NOT_FOUND,
            };
            respond::plain(status)
        }
        CacheMode::Platform => {
            let tag = platform::tag_of(key);
            match enqueue(env, &context, tag).await {
                Ok(()) => respond::plain(StatusCode::OK),
                Err(reason) => {
                    log::purge_failed(key.as_str(), &reason);
                    respond::plain(StatusCode::BAD_GATEWAY)
                }
            }
        }
    }
}

/// Puts a purge into the queue, or where none is bound, has it done at once.
async fn enqueue(env: &Env, context: &Context, tag: String) -> Result<(), String> {
    if let Ok(queue) = env.queue(QUEUE) {
        let sent = queue.send(PurgeMessage { tag }).await;
        return sent.map_err(|error| error.to_string());
    }
    match sdk::purge_media(context, &[tag]).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the platform refused the purge".to_owned()),
        Err(error) => Err(sdk::error_text(&error)),
    }
}

/// Carries a batch of purges out, in one call: all are acknowledged, or all come again.
pub async fn consume(batch: MessageBatch<PurgeMessage>, context: &Context) {
    let mut messages = Vec::new();
    for raw in batch.raw_iter() {
        match serde_wasm_bindgen::from_value::<PurgeMessage>(raw.body()) {
            Ok(message) => messages.push((raw, message)),
            Err(error) => {
                log::message_dropped(error.to_string());
                raw.ack();
            }
        }
    }
    if messages.is_empty() {
        return;
    }
    let tags: Vec<String> = messages
        .iter()
        .map(|(_, message)| message.tag.clone())
        .collect();
    let refusal = match sdk::purge_media(context, &tags).await {
        Ok(true) => None,
        Ok(false) => Some("the platform refused the purge".to_owned()),
        Err(error) => Some(sdk::error_text(&error)),
    };
    for (raw, message) in messages {
        match &refusal {
            None => raw.ack(),
            Some(reason) => {
                log::purge_failed(&message.tag, reason);
                let options = QueueRetryOptionsBuilder::new().with_delay_seconds(RETRY_SECONDS);
                raw.retry_with_options(&options.build());
            }
        }
    }
}

/// Whether a secret is the configured one. The comparison's time tells nothing but the length.
fn is_secret(configured: &str, given: Option<&str>) -> bool {
    given.is_some_and(|given| configured.as_bytes().ct_eq(given.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::is_secret;

    #[track_caller]
    fn check(configured: &str, given: Option<&str>, expected: bool) {
        assert_eq!(is_secret(configured, given), expected);
    }

    #[test]
    fn only_the_very_secret_is_right() {
        check("abc", Some("abc"), true);
        check("abc", Some("abd"), false);
        check("abc", Some("ab"), false);
        check("abc", Some("abcd"), false);
        check("abc", None, false);
    }
}
