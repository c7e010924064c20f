//! The cache buster's protocol: one request per media URL, with a shared secret in a header.

use crate::admission::ObjectKey;
use crate::bridge::{Context, Env};
use crate::engine::NotStored;
use crate::gateway::Asked;
use crate::settings::CacheMode;
use crate::site::Site;
use crate::{bridge, media, platform, respond, task};
use std::rc::Rc;
use subtle::ConstantTimeEq;
use web_sys::Response;

/// Drops an object from the cache: 200 when it was there, 404 when it was not, 403 without the
/// right secret. In platform mode a purge is queued, and 200 says that it was taken on.
pub async fn handle(
    site: &Rc<Site>,
    env: &Env,
    context: Context,
    asked: &Asked<'_>,
    key: &ObjectKey,
) -> Response {
    let secret = site
        .settings
        .purge
        .as_ref()
        .map(|purge| purge.secret.expose());
    if !is_allowed(secret, asked.purge_secret) {
        return respond::plain(403);
    }
    match site.settings.cache_mode {
        CacheMode::Engine => {
            let was_there = media::engine(site, Rc::new(context))
                .purge(&key.s3_path())
                .await;
            match was_there {
                Ok(true) => respond::plain(200),
                Ok(false) => respond::plain(404),
                Err(NotStored) => {
                    let key = key.as_str();
                    bridge::log_error(&format!("purge of `{key}` could not be noted"));
                    respond::plain(503)
                }
            }
        }
        CacheMode::Platform => {
            let purge = bridge::queue_purge(env, &context, &platform::tag_of(key));
            match task::settled(&purge).await {
                Ok(_) => respond::plain(200),
                Err(error) => {
                    let message = bridge::error_text(&error);
                    let key = key.as_str();
                    bridge::log_error(&format!("purge of `{key}` was not taken on: {message}"));
                    respond::plain(502)
                }
            }
        }
    }
}

/// Whether the secret is right; never where none is configured. The comparison's time tells nothing
/// but the length.
fn is_allowed(configured: Option<&str>, given: Option<&str>) -> bool {
    let (Some(configured), Some(given)) = (configured, given) else {
        return false;
    };
    configured.as_bytes().ct_eq(given.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::is_allowed;

    #[track_caller]
    fn check(configured: Option<&str>, given: Option<&str>, expected: bool) {
        assert_eq!(is_allowed(configured, given), expected);
    }

    #[test]
    fn only_the_very_secret_is_right() {
        check(Some("abc"), Some("abc"), true);
        check(Some("abc"), Some("abd"), false);
        check(Some("abc"), Some("ab"), false);
        check(Some("abc"), Some("abcd"), false);
        check(Some("abc"), None, false);
    }

    #[test]
    fn without_a_configured_secret_nothing_is_right() {
        check(None, Some("abc"), false);
        check(None, None, false);
    }
}
