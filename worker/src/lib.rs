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
pub mod task;

pub mod bridge;
pub mod platform;
pub mod purge;
pub mod respond;
pub mod restart;

/// In place of the standard one, whose code is several times as long and compiled at every start of
/// an isolate.
#[cfg(target_arch = "wasm32")]
#[global_allocator]
static ALLOCATOR: rlsf::SmallGlobalTlsf = rlsf::SmallGlobalTlsf::new();

use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// The gateway's requests: a response, or a promise of it. The attribute that the SDK has for this
/// makes a promise of every answer, a refusal's too.
#[wasm_bindgen]
pub fn fetch(request: web_sys::Request, env: bridge::Env, context: bridge::Context) -> JsValue {
    gateway::handle(&request, env, context)
}

/// The media entry's requests, in platform mode; `entry.mjs` calls it.
#[wasm_bindgen]
pub fn media(request: web_sys::Request, env: bridge::Env, _context: bridge::Context) -> JsValue {
    task::start(async move { platform::fetch(request, env).await.into() })
}
