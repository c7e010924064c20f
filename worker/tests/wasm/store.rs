//! The store over a stub of the Cache API.

use crate::platform::{install_broken_cache, install_cache, json, property, run};
use edge_worker::engine::{Found, Store};
use edge_worker::store::{EdgeCache, Stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::web_sys::Response;

const KEY: &str = "https://files.example.com/0123/a.png";

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("image/png")),
        (CONTENT_LENGTH, HeaderValue::from_static("8")),
        (ETAG, HeaderValue::from_static("\"a\"")),
    ])
}

fn body() -> Option<Stream> {
    let response: Response = run(r#"new Response("the body")"#).unchecked_into();
    Stream::of(&worker::Response::from(response))
}

#[wasm_bindgen_test]
async fn what_was_put_is_found_whole_until_it_is_deleted() {
    install_cache();
    let none = HeaderMap::new();
    assert!(EdgeCache.find(KEY, &none).await.is_none());
    assert!(!EdgeCache.delete(KEY).await);

    EdgeCache.put(KEY, StatusCode::OK, headers(), body()).await;
    let found = EdgeCache.find(KEY, &none).await.unwrap();
    assert_eq!(found.status(), StatusCode::OK);
    let selected = found.selected_headers();
    assert_eq!(selected["etag"], "\"a\"");
    assert_eq!(selected["content-length"], "8");
    assert!(!selected.contains_key(CONTENT_TYPE));
    assert!(found.entry().is_none(), "there is no record in it");
    let (all, body) = found.into_parts();
    assert_eq!(all["content-type"], "image/png");
    let response = edge_worker::respond::made(StatusCode::OK, &all, body);
    let text = JsFuture::from(response.text().unwrap()).await.unwrap();
    assert_eq!(text.as_string().unwrap(), "the body");

    assert!(EdgeCache.delete(KEY).await);
    assert!(EdgeCache.find(KEY, &none).await.is_none());
}

#[wasm_bindgen_test]
async fn a_range_or_a_condition_goes_to_the_cache_and_nothing_else() {
    let cache = install_cache();
    for (name, value) in [(RANGE, "bytes=0-1"), (IF_NONE_MATCH, "\"a\"")] {
        let request = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        EdgeCache.find(KEY, &request).await;
    }
    EdgeCache.find(KEY, &HeaderMap::new()).await;
    assert_eq!(
        json(&property(&cache, "asked")),
        r#"[{"range":"bytes=0-1"},{"if-none-match":"\"a\""},{}]"#
    );
}

#[wasm_bindgen_test]
async fn a_cache_that_fails_stores_nothing_and_ends_nothing() {
    install_broken_cache();
    EdgeCache.put(KEY, StatusCode::OK, headers(), body()).await;
    assert!(EdgeCache.find(KEY, &HeaderMap::new()).await.is_none());
    assert!(!EdgeCache.delete(KEY).await);
}
