//! The edge worker: serves a files domain from a bucket, with nginx's cache rules.
//!
//! Modules in reading order: a request comes in at [`gateway`], [`admission`] turns it into a key,
//! and a read goes its way in [`serve`], by the steps of [`engine`], to [`respond`]; or in platform mode
//! in [`platform`], and where the platform's cache has no answer, in [`mod@media`]. [`policy`] decides;
//! [`store`], [`origin`] and [`runtime`] each know one thing outside.

pub mod gateway;

pub mod admission;
pub mod settings;
pub mod site;

pub mod serve;

pub mod engine;
pub mod policy;

pub mod log;
pub mod origin;
pub mod runtime;
pub mod sdk;
pub mod signing;
pub mod store;

pub mod media;
pub mod platform;

pub mod analytics;
pub mod health;
pub mod purge;
pub mod respond;
#[cfg(feature = "test-hooks")]
mod test_hooks;

use purge::PurgeMessage;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::web_sys::{Request, Response};
use worker::{Context, Env, MessageBatch, event};

/// Requests to the files domain.
#[event(fetch)]
async fn fetch(request: Request, env: Env, context: Context) -> worker::Result<Response> {
    Ok(gateway::handle(request, env, context).await)
}

/// Requests to the media entry, in platform mode; `entry.mjs` hands them on.
#[wasm_bindgen(js_sys = worker::js_sys)]
pub async fn media(request: Request, env: Env) -> Response {
    media::fetch(request, env).await
}

/// Purges that were queued, in platform mode.
#[event(queue)]
async fn queue(
    batch: MessageBatch<PurgeMessage>,
    _env: Env,
    context: Context,
) -> worker::Result<()> {
    purge::consume(batch, &context).await;
    Ok(())
}
