//! What only WebAssembly has: conversions, the store over a stub of the Cache API, the queue. In
//! Node.js, by `wasm-pack test --node worker --test wasm`, which `cargo xtask test` does.
//!
//! A panic, which ends an instance of the module, is shown in workerd: `tests/tests/edge/crowds.rs`.

#![cfg(target_arch = "wasm32")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod analytics;
mod conversions;
mod platform;
mod queue;
mod store;
