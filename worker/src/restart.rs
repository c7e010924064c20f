//! How a module that has panicked is set up anew: what the shim of `worker-build` asks of it.
//!
//! The SDK's main crate has the same, and six classes besides that this worker has no use for: each
//! is exported for ever once that crate is linked, and an isolate takes longer to start.

use crate::bridge;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once for each instance of the module.
#[wasm_bindgen(start, private)]
fn start() {
    std::panic::set_hook(Box::new(|panic| bridge::panicked(&panic.to_string())));
    bridge::count_start();
    wasm_bindgen::handler::set_on_abort(wasm_bindgen::handler::schedule_reinit);
}

/// What the shim looks at before each request.
#[wasm_bindgen(js_name = "__worker_init_state")]
#[must_use]
pub fn shim_state() -> JsValue {
    bridge::shim_state()
}
