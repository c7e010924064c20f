//! The store over a stub of the Cache API.

use crate::platform::{
    install_broken_cache, install_cache, install_endless_cache, json, property, run,
};
use edge_worker::body::BodyStream;
use edge_worker::engine::{Answer, Found, Store, StoredCopy};
use edge_worker::policy::record::Record;
use edge_worker::policy::status::CacheStatus;
use edge_worker::policy::time::UnixMillis;
use edge_worker::respond;
use edge_worker::store::EdgeCache;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::js_sys::{Function, Promise};
use worker::web_sys::Response;

const KEY: &str = "https://files.example.com/0123/a.png";

fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("image/png")),
        (CONTENT_LENGTH, HeaderValue::from_static("8")),
        (ETAG, HeaderValue::from_static("\"a\"")),
    ])
}

fn body() -> Option<BodyStream> {
    let response: Response = run(r#"new Response("the body")"#).unchecked_into();
    BodyStream::of(&worker::Response::from(response))
}

#[wasm_bindgen_test]
async fn what_was_put_is_found_whole_until_it_is_deleted() {
    install_cache();
    let none = HeaderMap::new();
    assert!(EdgeCache.find(KEY, &none).await.is_none());
    assert!(!EdgeCache.delete(KEY).await);

    assert!(EdgeCache.put(KEY, StatusCode::OK, headers(), body()).await);
    let found = EdgeCache.find(KEY, &none).await.unwrap();
    assert_eq!(found.status(), StatusCode::OK);
    let selected = found.selected_headers();
    assert_eq!(selected["etag"], "\"a\"");
    assert_eq!(selected["content-length"], "8");
    assert!(!selected.contains_key(CONTENT_TYPE));
    assert!(found.record().is_none(), "there is no record in it");
    let (all, body) = found.into_parts();
    assert_eq!(all["content-type"], "image/png");
    let response = edge_worker::respond::from_parts(StatusCode::OK, &all, body);
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
async fn a_cache_that_fails_is_an_empty_one() {
    for at_once in [false, true] {
        install_broken_cache(at_once);
        assert!(!EdgeCache.put(KEY, StatusCode::OK, headers(), body()).await);
        assert!(EdgeCache.find(KEY, &HeaderMap::new()).await.is_none());
        assert!(!EdgeCache.delete(KEY).await);
    }
}

/// How many bodies were cancelled.
async fn cancelled(cache: &wasm_bindgen::JsValue) -> String {
    JsFuture::from(run("new Promise((done) => setTimeout(done, 10))").unchecked_into::<Promise>())
        .await
        .unwrap();
    json(&property(cache, "cancelled"))
}

#[wasm_bindgen_test]
async fn a_stored_body_that_nobody_reads_is_cancelled() {
    let cache = install_endless_cache();
    let find = || async { EdgeCache.find(KEY, &HeaderMap::new()).await.unwrap() };
    let record = Record {
        status: 200,
        asked_at: UnixMillis(0),
        generated_at: UnixMillis(0),
        fresh_until: UnixMillis(u64::MAX),
        stale_until: UnixMillis(u64::MAX),
    };
    drop(find().await);
    assert_eq!(cancelled(&cache).await, "1");

    let found = find().await;
    let head = Answer::Stored(StoredCopy { found, record }, CacheStatus::Hit);
    let head = respond::answer(Ok(head), true, UnixMillis(0));
    assert_eq!((head.status(), head.body().is_none()), (200, true));
    assert_eq!(
        head.headers().get("content-type").unwrap().unwrap(),
        "image/png"
    );
    assert_eq!(
        head.headers().get("x-cache-status").unwrap().unwrap(),
        "HIT"
    );
    assert_eq!(cancelled(&cache).await, "2");

    let found = find().await;
    let known = Answer::NotModified(StoredCopy { found, record }, CacheStatus::Hit);
    let known = respond::answer(Ok(known), false, UnixMillis(0));
    assert_eq!((known.status(), known.body().is_none()), (304, true));
    assert_eq!(known.headers().get("etag").unwrap().unwrap(), "\"a\"");
    assert!(known.headers().get("content-type").unwrap().is_none());
    assert!(known.headers().get("cf-cache-status").unwrap().is_none());
    assert_eq!(cancelled(&cache).await, "3");

    let found = find().await;
    let whole = Answer::Stored(StoredCopy { found, record }, CacheStatus::Hit);
    let whole = respond::answer(Ok(whole), false, UnixMillis(0));
    assert!(whole.body().is_some());
    assert_eq!(cancelled(&cache).await, "3");
}

#[wasm_bindgen_test]
async fn a_timer_that_is_no_longer_needed_is_cleared() {
    install_cache();
    let timers = run(r#"(() => {
        const timers = { set: 0, cleared: 0 };
        const { setTimeout, clearTimeout } = globalThis;
        globalThis.setTimeout = (...given) => { timers.set += 1; return setTimeout(...given); };
        globalThis.clearTimeout = (timer) => { timers.cleared += 1; clearTimeout(timer); };
        timers.restore = () => Object.assign(globalThis, { setTimeout, clearTimeout });
        return timers;
    })()"#);
    // A body that is stored has a time limit.
    EdgeCache.put(KEY, StatusCode::OK, headers(), body()).await;
    assert_eq!(json(&property(&timers, "set")), "1");
    assert_eq!(json(&property(&timers, "cleared")), "1");
    let restore: Function = property(&timers, "restore").unchecked_into();
    restore.call0(&timers).unwrap();
}
