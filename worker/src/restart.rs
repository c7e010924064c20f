//! How a module that has panicked is set up anew.
//!
//! A panic ends the instance, and nothing of it may be called again. The glue around the module sees
//! that, and makes a new instance before the next call. Requests of the old one that still wait fail
//! with it.

use crate::bridge;
use wasm_bindgen::handler::{schedule_reinit, set_on_abort};
use wasm_bindgen::prelude::wasm_bindgen;

/// Runs once for each instance of the module.
#[wasm_bindgen(start, private)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        bridge::log_error(&panic.to_string());
    }));
    set_on_abort(schedule_reinit);
}
