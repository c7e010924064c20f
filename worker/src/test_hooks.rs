//! Answers to a header that only tests send, in builds with the feature `test-hooks`: a panic, at once or
//! after an `await`, or the size of WebAssembly's memory.

use crate::{respond, sdk};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::time::Duration;
use worker::Delay;
use worker::web_sys::{Headers, Response};

pub(crate) async fn run(headers: &Headers) -> Option<Response> {
    match sdk::header(headers, "x-medialift-test")?.as_str() {
        "panic" => panic!("a test asked for a panic"),
        "panic-later" => {
            Delay::from(Duration::from_millis(5)).await;
            panic!("a test asked for a panic after waiting");
        }
        "memory" => {
            let bytes = HeaderValue::from_str(&memory_bytes().to_string()).ok()?;
            let headers = HeaderMap::from_iter([(HeaderName::from_static("x-memory"), bytes)]);
            Some(respond::from_parts(StatusCode::OK, &headers, None))
        }
        _ => None,
    }
}

/// The size of WebAssembly's memory.
fn memory_bytes() -> usize {
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0;
    pages * 65_536
}
