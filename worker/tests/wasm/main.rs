//! Tests that run as WebAssembly in Node.js, by `cargo xtask test wasm`: conversions, the store over a stub
//! of the Cache API, and the queue.
//!
//! A panic, which ends an instance, is tested in workerd: `tests/tests/edge/crowds.rs`.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod analytics;
mod conversions;
mod platform;
mod queue;
mod store;
