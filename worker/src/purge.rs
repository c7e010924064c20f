//! The cache buster's protocol: one request per media URL, with a shared secret in a header. And in
//! platform mode the queue in which purges wait until the platform takes them.

use crate::admission::ObjectKey;
use crate::settings::CacheMode;
use crate::site::Site;
use crate::{log, platform, respond, sdk, serve};
use http::StatusCode;
use serde::Serialize;
use std::rc::Rc;
use subtle::ConstantTimeEq;
use worker::web_sys::{Headers, Response};
use worker::{Context, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder};

/// The queue's binding in `wrangler.toml`.
const QUEUE: &str = "PURGES";

/// How many seconds a purge waits that the platform has refused: it allows five calls a minute
/// (developers.cloudflare.com/workers/cache/purge).
const RETRY_SECONDS: u32 = 60;

/// A purge that waits in the queue: the cache tag of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PurgeMessage(String);

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
        let sent = queue.send(PurgeMessage(tag)).await;
        return sent.map_err(|error| error.to_string());
    }
    match sdk::purge_media(context, &[&tag]).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the platform refused the purge".to_owned()),
        Err(error) => Err(sdk::error_text(&error)),
    }
}

/// Carries a batch of purges out, in one call: all are acknowledged, or all come again.
pub async fn consume(batch: MessageBatch<PurgeMessage>, context: &Context) {
    let mut purges = Vec::new();
    for message in batch.raw_iter() {
        match message.body().as_string() {
            Some(tag) => purges.push((message, tag)),
            None => {
                log::message_dropped(QUEUE, "it is no text");
                message.ack();
            }
        }
    }
    if purges.is_empty() {
        return;
    }
    let tags: Vec<&str> = purges.iter().map(|(_, tag)| tag.as_str()).collect();
    let refusal = match sdk::purge_media(context, &tags).await {
        Ok(true) => None,
        Ok(false) => Some("the platform refused the purge".to_owned()),
        Err(error) => Some(sdk::error_text(&error)),
    };
    for (message, tag) in &purges {
        match &refusal {
            None => message.ack(),
            Some(reason) => {
                log::purge_failed(tag, reason);
                let options = QueueRetryOptionsBuilder::new().with_delay_seconds(RETRY_SECONDS);
                message.retry_with_options(&options.build());
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
