//! The figures of a read.

use crate::platform::{json, property, run};
use edge_worker::admission::{Admitted, Asked, ObjectKey, admit};
use edge_worker::analytics;
use edge_worker::settings::Settings;
use http::Method;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::Env;
use worker::web_sys::Response;

fn key(path: &str) -> ObjectKey {
    let raw = serde_json::from_str(r#"{ "ORIGIN_URL": "http://127.0.0.1:9/media" }"#).unwrap();
    let asked = Asked {
        method: Some(&Method::GET),
        target: path,
        has_purge_header: false,
        is_preflight: false,
    };
    match admit(&asked, &Settings::parse(&raw).unwrap()) {
        Ok(Admitted::Read { key, .. }) => key,
        other => panic!("no read: {other:?}"),
    }
}

/// The point that is written of an answer, an expression in JavaScript.
fn point(path: &str, answer: &str) -> String {
    let object =
        run("({ points: [], ANALYTICS: { writeDataPoint(point) { globalThis.point = point; } } })");
    let env: Env = object.unchecked_into();
    assert!(analytics::is_bound(&env));
    let answer: Response = run(answer).unchecked_into();
    analytics::record(&env, &key(path), &answer);
    json(&property(&run("globalThis"), "point"))
}

#[wasm_bindgen_test]
fn a_hit_has_its_kind_its_status_and_its_bytes() {
    let answer = r#"new Response("abc", { headers: {
        "Content-Length": "3", "X-Cache-Status": "HIT", "Server-Timing": "cache;desc=HIT" } })"#;
    assert_eq!(
        point("/accounts/avatars/1.png", answer),
        r#"{"indexes":["HIT"],"doubles":[3,0,0],"blobs":["HIT","accounts","200"]}"#
    );
}

#[wasm_bindgen_test]
fn what_asked_the_bucket_has_its_time_and_whether_it_failed() {
    let answer = |status: u16, cache: &str| {
        format!(
            r#"new Response(null, {{ status: {status}, headers: {{
                "X-Cache-Status": "{cache}", "Server-Timing": "cache;desc={cache}, origin;dur=83" }} }})"#
        )
    };
    assert_eq!(
        point("/cache/a.png", &answer(200, "MISS")),
        r#"{"indexes":["MISS"],"doubles":[0,83,0],"blobs":["MISS","cache","200"]}"#
    );
    assert_eq!(
        point("/cache/a.png", &answer(200, "STALE")),
        r#"{"indexes":["STALE"],"doubles":[0,83,1],"blobs":["STALE","cache","200"]}"#
    );
    for (status, failed) in [(404, 0), (502, 1)] {
        let bare = format!("new Response(null, {{ status: {status} }})");
        assert_eq!(
            point("/a.png", &bare),
            format!(
                r#"{{"indexes":["NONE"],"doubles":[0,0,{failed}],"blobs":["NONE","a.png","{status}"]}}"#
            )
        );
    }
}

#[wasm_bindgen_test]
fn where_nobody_wants_figures_there_are_none() {
    let env: Env = run("({})").unchecked_into();
    assert!(!analytics::is_bound(&env));
}
