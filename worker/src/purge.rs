//! The cache buster's protocol: one request per media URL, with a shared secret in a header. And in
//! platform mode the queue in which purges wait until the platform takes them.

use crate::admission::ObjectKey;
use crate::policy::time::UnixMillis;
use crate::settings::{CacheMode, Settings};
use crate::site::Site;
use crate::{log, media, respond, runtime, sdk, serve};
use http::StatusCode;
use serde::Serialize;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use worker::web_sys::{Headers, Response};
use worker::{Context, Delay, Env, MessageBatch, MessageExt, QueueRetryOptionsBuilder};

/// The queue's binding in `wrangler.toml`.
const QUEUE: &str = "PURGES";

/// Between two calls of this isolate, in milliseconds: the platform takes five a minute, of a hundred
/// tags each (developers.cloudflare.com/workers/cache/purge). A batch of the queue is one call.
const BETWEEN_CALLS_MILLISECONDS: u64 = 12_000;

/// How long a purge waits that the platform has refused, in seconds: as long again as it has waited
/// already, from the shortest to the longest.
const SHORTEST_RETRY_SECONDS: u64 = 60;
const LONGEST_RETRY_SECONDS: u64 = 900;

thread_local! {
    /// When this isolate has called the platform last.
    static LAST_CALL: Cell<UnixMillis> = const { Cell::new(UnixMillis(0)) };
}

/// A purge that waits in the queue: the cache tag of the object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PurgeMessage(String);

/// Whether a request carries the secret that lets it purge.
#[must_use]
pub fn is_allowed(settings: &Settings, headers: &Headers) -> bool {
    settings.purge.as_ref().is_some_and(|purge| {
        let given = sdk::header(headers, &purge.header);
        is_secret(purge.secret.expose(), given.as_deref())
    })
}

/// Drops an object from the cache: 200 when it was there, 404 when it was not. In platform mode 200
/// says that the purge was taken on.
pub async fn handle(
    site: &Site,
    env: &Env,
    context: Context,
    url: &str,
    key: &ObjectKey,
) -> Response {
    let status = match site.cache_mode(&context).await {
        CacheMode::Engine => {
            let engine = serve::engine(site, Rc::new(context));
            log::purged(key.as_str());
            match engine.purge(&site.cache_key(url, key)).await {
                true => StatusCode::OK,
                false => StatusCode::NOT_FOUND,
            }
        }
        CacheMode::Platform => match take_on(env, &context, media::tag_of(key)).await {
            Ok(()) => StatusCode::OK,
            Err(reason) => {
                log::purge_failed(key.as_str(), &reason);
                StatusCode::BAD_GATEWAY
            }
        },
    };
    respond::plain(status)
}

/// Drops everything from the cache, at once. The engine cannot: its copies lie in each data centre, and
/// nothing lists them.
pub async fn handle_everything(site: &Site, context: &Context) -> Response {
    if site.cache_mode(context).await == CacheMode::Engine {
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

/// Puts a purge into the queue, or where none is bound, has it done at once.
async fn take_on(env: &Env, context: &Context, tag: String) -> Result<(), String> {
    match env.queue(QUEUE) {
        Ok(queue) => {
            let sent = queue.send(PurgeMessage(tag)).await;
            sent.map_err(|error| error.to_string())
        }
        Err(_) => sdk::purge_media(context, Some(&[tag])).await,
    }
}

/// Carries a batch of purges out, in one call: all are acknowledged, or all come again.
///
/// Acknowledged is what the platform has taken, right after it has: who is ended while waiting for the
/// next call's turn has nothing to repeat.
pub async fn consume(batch: MessageBatch<PurgeMessage>, context: &Context) {
    let mut purges = Vec::new();
    let mut tags: Vec<String> = Vec::new();
    for message in batch.raw_iter() {
        match message.body().as_string() {
            Some(tag) => {
                purges.push(message);
                // The platform does not tell capitals from small letters.
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
    let earliest = LAST_CALL.get().plus_millis(BETWEEN_CALLS_MILLISECONDS);
    let wait = earliest.0.saturating_sub(runtime::now().0);
    if wait > 0 {
        Delay::from(Duration::from_millis(wait)).await;
    }
    LAST_CALL.set(runtime::now());
    match sdk::purge_media(context, Some(&tags)).await {
        Ok(()) => {
            purges.iter().for_each(MessageExt::ack);
            log::purged(&[&tags.len().to_string(), " tags"].concat());
        }
        Err(reason) => {
            for tag in &tags {
                log::purge_failed(tag, &reason);
            }
            purges.iter().for_each(retry);
        }
    }
}

/// Has the queue deliver a message once more, later each time.
fn retry(message: &impl MessageExt) {
    let waited = runtime::now()
        .0
        .saturating_sub(message.timestamp().as_millis());
    let seconds = (waited / 1000).clamp(SHORTEST_RETRY_SECONDS, LONGEST_RETRY_SECONDS);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    let options = QueueRetryOptionsBuilder::new().with_delay_seconds(seconds);
    message.retry_with_options(&options.build());
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
