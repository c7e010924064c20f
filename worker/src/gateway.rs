//! The public entry: admits a request, has it answered, and finishes the answer.
//!
//! It runs for every request and is never cached. Behind it a request is canonical: one spelling of the
//! key, no query, and no headers but those in [`READ_HEADERS`].

use crate::admission::{Admitted, HEALTH_PATH, admit, raw_path};
use crate::engine::{READ_HEADERS, Read};
use crate::isolate::Isolate;
use crate::settings::CacheMode;
use crate::{analytics, health, platform, purge, respond, runtime, sdk};
use http::StatusCode;
use std::rc::Rc;
use worker::web_sys::{Request, Response};
use worker::{Context, Env};

/// Answers a client's request. It is the runtime's `Request`, because the SDK's takes every unknown method, and
/// so PURGE, for a GET.
pub async fn handle(request: Request, env: Env, context: Context) -> Response {
    let (method, url) = (request.method(), request.url());
    let isolate = match Isolate::of(&env) {
        Ok(isolate) => isolate,
        Err(faults)
            if matches!(method.as_str(), "GET" | "HEAD") && raw_path(&url) == HEALTH_PATH =>
        {
            return health::respond_faulty(&faults, method == "HEAD");
        }
        Err(_) => return respond::plain(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let headers = request.headers();
    #[cfg(feature = "test-hooks")]
    if let Some(response) = crate::test_hooks::run(&headers).await {
        return response;
    }
    let has_header = |name: &str| headers.has(name).unwrap_or_default();
    let admitted = match admit(&method, &url, &has_header, &isolate.settings) {
        Ok(admitted) => admitted,
        Err(refusal) => return respond::plain(refusal.status()),
    };
    match admitted {
        Admitted::Preflight => {
            let requested = sdk::header(&headers, "access-control-request-headers");
            respond::preflight(&requested.unwrap_or_default())
        }
        Admitted::Health { probe, head } => {
            let may_probe = purge::is_allowed(&isolate.settings, &headers);
            health::respond(&isolate, &context, may_probe, &probe, head).await
        }
        Admitted::Purge { .. } | Admitted::PurgeEverything
            if !purge::is_allowed(&isolate.settings, &headers) =>
        {
            respond::plain(StatusCode::FORBIDDEN)
        }
        Admitted::PurgeEverything => purge::handle_everything(&isolate, &context).await,
        Admitted::Purge { key } => purge::handle(&isolate, &env, context, &url, &key).await,
        Admitted::Read {
            key,
            head,
            when_missing,
        } => {
            let read_headers = sdk::selected_headers(&headers, &READ_HEADERS);
            let mut response = match isolate.cache_mode(&context).await {
                CacheMode::Engine => {
                    let read = Rc::new(Read {
                        cache_key: isolate.cache_key(&url, &key),
                        key: key.clone(),
                        head,
                        headers: read_headers,
                    });
                    let began = runtime::now();
                    let answer = isolate.engine(context).read(&read).await;
                    respond::answer(answer, head, began)
                }
                CacheMode::Platform => {
                    platform::read(&isolate, &context, &key, head, &read_headers).await
                }
            };
            if when_missing != StatusCode::NOT_FOUND && response.status() == StatusCode::NOT_FOUND {
                response = respond::plain(when_missing);
            }
            if isolate.has_analytics {
                let path = key.without_prefix(&isolate.settings.key_prefix);
                analytics::write_point(&env, path, head, &response);
            }
            response
        }
    }
}
