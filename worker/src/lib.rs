//! The edge worker: serves a files domain from a bucket, with nginx's cache rules.
//!
//! Modules in reading order: a request comes in at [`gateway`], and a read goes its way in
//! [`media`]. [`policy`] decides; [`engine`] carries out; the others each know one thing outside.

pub mod settings;
pub mod site;

pub mod admission;
pub mod gateway;
pub mod media;
pub mod policy;

pub mod engine;
pub mod origin;
pub mod runtime;
pub mod signing;
pub mod store;

pub mod bridge;
pub mod platform;
pub mod purge;
pub mod respond;

use wasm_bindgen::prelude::wasm_bindgen;
use worker::worker_sys::{self, web_sys};

/// The gateway's requests.
#[worker::event(fetch)]
async fn fetch(
    request: web_sys::Request,
    env: worker::Env,
    context: worker::Context,
) -> worker::Result<web_sys::Response> {
    Ok(gateway::handle(request, env, context).await)
}

/// The media entry's requests, in platform mode; `entry.mjs` calls it.
#[wasm_bindgen]
pub async fn media(
    request: web_sys::Request,
    env: worker::Env,
    _context: worker_sys::Context,
) -> web_sys::Response {
    platform::fetch(request, env).await
}
