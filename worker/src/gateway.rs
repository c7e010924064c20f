//! The public entry: admits the request, has it served, and answers it.
//!
//! It always runs and is never cached. What comes behind it sees a canonical request: one spelling
//! of the key, no query, no header but those that a read heeds.

use crate::admission::{Admitted, Asked, HEALTH, admit, raw_path};
use crate::engine::{READ_HEADERS, Read};
use crate::settings::{CacheMode, Settings};
use crate::site::Site;
use crate::{analytics, health, platform, purge, respond, sdk, serve};
use http::{Method, StatusCode};
use std::rc::Rc;
use worker::web_sys::{Headers, Request, Response};
use worker::{Context, Env};

/// Answers a request from outside. The SDK's own `Request` takes every unknown method for a GET.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let (method, url) = (request.method(), request.url());
    let site = match Site::of(&env) {
        Ok(site) => site,
        Err(faults) if matches!(method.as_str(), "GET" | "HEAD") && raw_path(&url) == HEALTH => {
            return health::respond_faulty(&faults, method == "HEAD");
        }
        Err(_) => return respond::plain(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let headers = request.headers();
    let method = Method::from_bytes(method.as_bytes()).ok();
    let asked = asked(method.as_ref(), &url, &headers, &site.settings);
    let admitted = admit(&asked, &site.settings);
    #[cfg(feature = "test-hooks")]
    if let Some(response) = crate::test_hooks::run(&headers).await {
        return response;
    }
    match admitted {
        Err(refusal) => respond::refusal(refusal),
        Ok(Admitted::Preflight) => {
            let requested = sdk::header(&headers, "access-control-request-headers");
            respond::preflight(&requested.unwrap_or_default())
        }
        Ok(Admitted::Health { probe, head }) => {
            let is_allowed = purge::is_allowed(&site.settings, &headers);
            health::respond(&site, &context, is_allowed, &probe, head).await
        }
        Ok(Admitted::Purge { .. } | Admitted::PurgeEverything)
            if !purge::is_allowed(&site.settings, &headers) =>
        {
            respond::plain(StatusCode::FORBIDDEN)
        }
        Ok(Admitted::PurgeEverything) => purge::handle_everything(&site, &context).await,
        Ok(Admitted::Purge { key }) => purge::handle(&site, &env, context, &url, &key).await,
        Ok(Admitted::Read { key, head, index }) => {
            let read = Read {
                cache_key: site.cache_key(&url, &key),
                key,
                head,
                headers: sdk::selected_headers(&headers, &READ_HEADERS),
            };
            let key_for_analytics = site.has_analytics.then(|| read.key.clone());
            let response = match site.cache_mode(&context).await {
                CacheMode::Engine => serve::respond(&site, Rc::new(context), read).await,
                CacheMode::Platform => platform::read(&context, &read).await,
            };
            if let Some(key) = key_for_analytics {
                analytics::record(&env, &key, &response);
            }
            if index && response.status() == StatusCode::NOT_FOUND {
                respond::plain(StatusCode::FORBIDDEN)
            } else {
                response
            }
        }
    }
}

/// What admission looks at. Each look at a header costs: a read is not asked for those of others.
fn asked<'a>(
    method: Option<&'a Method>,
    target: &'a str,
    headers: &Headers,
    settings: &Settings,
) -> Asked<'a> {
    let has = |name: &str| headers.has(name).unwrap_or_default();
    let is_read = matches!(method, Some(&Method::GET | &Method::HEAD));
    let purge = settings.purge.as_ref().filter(|_| !is_read);
    Asked {
        method,
        target,
        has_purge_header: purge.is_some_and(|purge| has(&purge.header)),
        is_preflight: method == Some(&Method::OPTIONS)
            && has("origin")
            && has("access-control-request-method"),
    }
}
