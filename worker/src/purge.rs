//! Purges: the protocol of Mastodon's cache buster, one request for each media URL with a shared secret in a
//! header. In platform mode they wait in a queue until the platform takes them.

use crate::admission::ObjectKey;
use crate::isolate::Isolate;
use crate::policy::time::UnixMillis;
use crate::settings::{CacheMode, Settings};
use crate::{log, media, respond, runtime, sdk};
use http::StatusCode;
use serde::Serialize;
use std::cell::Cell;
use std::time::Duration;
use subtle::ConstantTimeEq;
use worker::web_sys::{Headers, Response};
use worker::{Context, Delay, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder};

/// The queue's binding in `wrangler.toml`.
const QUEUE: &str = "PURGES";

/// The time between two calls of this isolate, in milliseconds. The platform takes five calls a minute from
/// an account, of a hundred tags each (developers.cloudflare.com/workers/cache/purge); a batch of the queue
/// is one call. Calls of other isolates are not counted: `max_concurrency = 1` makes the queue use one at a
/// time, and purges that the platform refuses are retried.
const BETWEEN_CALLS_MILLISECONDS: u64 = 12_000;

/// The shortest and the longest wait of a purge that the platform has refused, in seconds. Between them it is
/// as long as the purge has waited so far.
const SHORTEST_RETRY_SECONDS: u64 = 60;
const LONGEST_RETRY_SECONDS: u64 = 900;

thread_local! {
    /// The time of this isolate's last call, which may lie in the future.
    static LAST_CALL: Cell<UnixMillis> = const { Cell::new(UnixMillis(0)) };
}

/// A purge in the queue: the cache tag of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PurgeMessage(String);

/// Whether a request has the purge secret.
pub fn is_allowed(settings: &Settings, headers: &Headers) -> bool {
    settings.purge.as_ref().is_some_and(|purge| {
        let given = sdk::header(headers, &purge.header);
        is_secret(purge.secret.expose(), given.as_deref())
    })
}

/// Drops an object from the cache: 200 where it was there, 404 where it was not. In platform mode 200 means
/// that the purge is queued or done.
pub async fn handle(
    isolate: &Isolate,
    env: &Env,
    context: Context,
    url: &str,
    key: &ObjectKey,
) -> Response {
    let status = match isolate.cache_mode(&context).await {
        CacheMode::Engine => {
            let cache_key = isolate.cache_key(url, key);
            match isolate.engine(context).purge(&cache_key).await {
                true => {
                    log::purged(key.as_str());
                    StatusCode::OK
                }
                false => StatusCode::NOT_FOUND,
            }
        }
        CacheMode::Platform => match enqueue_or_purge(env, &context, media::tag_of(key)).await {
            Ok(()) => StatusCode::OK,
            Err(reason) => {
                log::purge_failed(key.as_str(), &reason);
                StatusCode::BAD_GATEWAY
            }
        },
    };
    respond::plain(status)
}

/// Drops everything from the platform's cache, at once. In engine mode 501: the Cache API cannot list its
/// copies.
pub async fn handle_everything(isolate: &Isolate, context: &Context) -> Response {
    if isolate.cache_mode(context).await == CacheMode::Engine {
        return respond::plain(StatusCode::NOT_IMPLEMENTED);
    }
    match sdk::purge_media(context, None).await {
        Ok(()) => {
            log::purged("everything");
            respond::plain(StatusCode::OK)
        }
        Err(reason) => {
            log::purge_failed("everything", &reason);
            respond::busy(SHORTEST_RETRY_SECONDS)
        }
    }
}

/// Puts a purge into the queue. Without a queue, or where it fails twice, the purge is done at once: Mastodon
/// does not retry.
async fn enqueue_or_purge(env: &Env, context: &Context, tag: String) -> Result<(), String> {
    let message = PurgeMessage(tag);
    match env.queue(QUEUE) {
        Ok(queue) => {
            for _ in 0..2 {
                match queue.send(&message).await {
                    Ok(()) => return Ok(()),
                    Err(error) => log::queue_failed(QUEUE, &error.to_string()),
                }
            }
        }
        Err(_) => log::queue_failed(QUEUE, "no queue is bound"),
    }
    sdk::purge_media(context, Some(&[message.0])).await
}

/// Carries out a batch of purges in one call. All are acknowledged, or all are retried.
///
/// The wait comes before the call, so that purges are acknowledged right after it: a consumer that ends while
/// it waits has done nothing that a retry would repeat.
pub async fn consume(batch: MessageBatch<PurgeMessage>, context: &Context) {
    let mut purges = Vec::new();
    let mut tags: Vec<String> = Vec::new();
    for message in batch.raw_iter() {
        match message.body().as_string() {
            Some(tag) => {
                purges.push(message);
                // Tags are case-insensitive.
                if !tags.iter().any(|other| other.eq_ignore_ascii_case(&tag)) {
                    tags.push(tag);
                }
            }
            None => {
                log::message_refused(QUEUE, "it is no text");
                retry(&message);
            }
        }
    }
    if purges.is_empty() {
        return;
    }
    let now = runtime::now();
    let earliest = LAST_CALL.get().plus_millis(BETWEEN_CALLS_MILLISECONDS);
    let call_at = earliest.max(now);
    LAST_CALL.set(call_at);
    if call_at > now {
        Delay::from(Duration::from_millis(call_at.0 - now.0)).await;
    }
    match sdk::purge_media(context, Some(&tags)).await {
        Ok(()) => {
            purges.iter().for_each(MessageExt::ack);
            log::purged(&summary(&tags));
        }
        Err(reason) => {
            log::purge_failed(&summary(&tags), &reason);
            purges.iter().for_each(retry);
        }
    }
}

/// The tags of one call, in short, for the log.
fn summary(tags: &[String]) -> String {
    let first = tags.first().map_or("", String::as_str);
    match tags.len() {
        1 => first.to_owned(),
        count => format!("{first} and {} more", count - 1),
    }
}

/// Makes the queue deliver a message once more, each time after a longer wait.
fn retry(message: &impl MessageExt) {
    let waited = runtime::now()
        .0
        .saturating_sub(message.timestamp().as_millis());
    let seconds = (waited / 1000).clamp(SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let options = QueueRetryOptionsBuilder::new().with_delay_seconds(seconds);
    message.retry_with_options(&options.build());
}

/// Whether a secret is the configured one. The time of the comparison depends on the length only.
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
    fn only_the_configured_secret_is_accepted() {
        check("abc", Some("abc"), true);
        check("abc", Some("abd"), false);
        check("abc", Some("ab"), false);
        check("abc", Some("abcd"), false);
        check("abc", None, false);
    }
}
