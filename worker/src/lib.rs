//! The edge worker: serves a files domain from a bucket, with nginx's cache rules.
//!
//! The modules are in reading order. [`gateway`] takes a request, [`isolate`] has what requests share, and
//! [`admission`] turns a request into a key. In engine mode [`engine`] reads the object and [`respond`] makes the
//! response. In platform mode [`platform`] asks the platform's cache, and [`mod@media`] is what that cache asks.
//! [`policy`] decides. [`store`], [`body`], [`origin`] and [`runtime`] connect the engine to the Workers runtime.

pub mod gateway;

pub mod isolate;
pub mod settings;

pub mod admission;

pub mod engine;
pub mod policy;

pub mod body;
pub mod store;

pub mod origin;
pub mod signing;

pub mod runtime;

pub mod respond;

pub mod platform;

pub mod media;

pub mod purge;

pub mod analytics;
pub mod health;
pub mod log;

pub mod sdk;
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

/// Requests to the media entry, in platform mode. `entry.mjs` calls it.
#[wasm_bindgen(js_sys = worker::js_sys)]
pub async fn media(request: Request, env: Env) -> Response {
    media::fetch(request, env).await
}

/// Queued purges, in platform mode.
#[event(queue)]
async fn queue(
    batch: MessageBatch<PurgeMessage>,
    _env: Env,
    context: Context,
) -> worker::Result<()> {
    purge::consume(batch, &context).await;
    Ok(())
}
