//! Conversions of requests, responses and headers between the runtime's types and those of `http`.

use crate::platform::run;
use edge_worker::body::BodyStream;
use edge_worker::engine::{Body, READ_HEADERS};
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::range::{RangePlan, plan};
use edge_worker::{respond, sdk};
use http::header::{CONTENT_TYPE, RANGE, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::web_sys::{self, RequestCache, RequestRedirect, Response};

async fn text(response: &Response) -> String {
    let text = JsFuture::from(response.text().unwrap()).await.unwrap();
    text.as_string().unwrap()
}

fn header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).unwrap()
}

#[wasm_bindgen_test]
fn every_value_of_a_header_survives_both_ways() {
    let mut map = HeaderMap::new();
    map.append(SET_COOKIE, HeaderValue::from_static("a=1"));
    map.append(SET_COOKIE, HeaderValue::from_static("b=2"));
    map.insert(CONTENT_TYPE, HeaderValue::from_static("image/png"));
    assert_eq!(sdk::header_map(&sdk::headers(&map).0), map);
}

#[wasm_bindgen_test]
fn a_value_that_the_runtime_could_not_read_is_left_out() {
    let headers: web_sys::Headers =
        run(r#"new Map([["etag", "\"a\""], ["x-name", "a\uFFFDb"]])"#).unchecked_into();
    let map = sdk::header_map(&headers);
    assert_eq!(map.len(), 1);
    assert_eq!(map["etag"], "\"a\"");
}

#[wasm_bindgen_test]
fn of_a_request_only_the_headers_of_a_read_are_taken() {
    let request: web_sys::Request = run(r#"new Request("https://files.example.com/a", {
            headers: { Range: "bytes=0-1", "If-None-Match": "\"a\"", Authorization: "secret", Accept: "*/*" },
        })"#)
    .unchecked_into();
    let map = sdk::selected_headers(&request.headers(), &READ_HEADERS);
    assert_eq!(map.len(), 2, "{map:?}");
    assert_eq!(map["range"], "bytes=0-1");
    assert_eq!(map["if-none-match"], "\"a\"");
}

#[wasm_bindgen_test]
fn requests_to_the_origin_bypass_the_cdn_and_do_not_follow_redirects() {
    let map = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]);
    let raw = sdk::origin_request("https://bucket.example/a", &map).unwrap();
    assert_eq!(raw.method(), "GET");
    assert_eq!(raw.cache(), RequestCache::NoStore);
    assert_eq!(raw.redirect(), RequestRedirect::Manual);
    assert_eq!(raw.headers().get("range").unwrap().unwrap(), "bytes=0-1");
    assert!(sdk::origin_request("no URL", &map).is_err());
}

#[wasm_bindgen_test]
async fn a_response_has_the_status_headers_and_body_it_was_made_of() {
    let map = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("image/png"))]);
    let body = BodyStream::of(&worker::Response::from(
        run(r#"new Response("the body")"#).unchecked_into::<Response>(),
    ));
    let made = respond::from_parts(StatusCode::PARTIAL_CONTENT, &map, body);
    assert_eq!(made.status(), 206);
    assert_eq!(header(&made, "content-type").unwrap(), "image/png");
    assert_eq!(text(&made).await, "the body");

    let empty = respond::from_parts(StatusCode::NOT_MODIFIED, &map, None);
    assert_eq!(empty.status(), 304);
    assert!(empty.body().is_none());
}

#[wasm_bindgen_test]
async fn an_error_is_a_short_text_of_the_workers_own() {
    let refused = respond::plain(StatusCode::FORBIDDEN);
    assert_eq!(
        header(&refused, "x-content-type-options").unwrap(),
        "nosniff"
    );
    assert_eq!(text(&refused).await, "403 Forbidden\n");

    let slow = respond::origin_error(OriginError::SlowDown {
        status: 503,
        retry_after: Some(7),
    });
    assert_eq!(slow.status(), 503);
    assert_eq!(header(&slow, "retry-after").unwrap(), "7");
}

#[wasm_bindgen_test]
async fn a_range_is_cut_out_of_the_chunks_of_a_body() {
    crate::platform::install_cache();
    let whole = r#"new Response(new ReadableStream({
        start(controller) {
            for (const part of ["abc", "def", "ghi"]) controller.enqueue(new TextEncoder().encode(part));
            controller.close();
        },
    }))"#;
    for (range, expected) in [
        ("bytes=0-8", "abcdefghi"),
        ("bytes=2-6", "cdefg"),
        ("bytes=4-4", "e"),
        ("bytes=-3", "ghi"),
    ] {
        let whole = worker::Response::from(run(whole).unchecked_into::<Response>());
        let RangePlan::Part(part) = plan(Some(range), Some(9)) else {
            panic!("{range} is no range");
        };
        let part = BodyStream::of(&whole).unwrap().slice(part);
        let part = respond::from_parts(StatusCode::PARTIAL_CONTENT, &HeaderMap::new(), Some(part));
        assert_eq!(text(&part).await, expected, "{range}");
    }
}

#[wasm_bindgen_test]
async fn a_locked_stream_is_an_error_and_no_exception() {
    let response: Response = run(r#"new Response("the body")"#).unchecked_into();
    let stream = response.body().unwrap();
    let reader = stream.get_reader();
    assert!(sdk::tee(&stream).is_err());
    sdk::cancel(&stream);
    drop(reader);
}
