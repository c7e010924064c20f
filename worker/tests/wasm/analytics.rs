//! The data point of a read.

use crate::platform::{json, property, run};
use edge_worker::analytics;
use wasm_bindgen::JsCast;
use wasm_bindgen_test::wasm_bindgen_test;
use worker::Env;
use worker::web_sys::Response;

/// The point of an answer, which is an expression in JavaScript.
fn point(path: &str, head: bool, answer: &str) -> String {
    let object = run("({ ANALYTICS: { writeDataPoint(point) { globalThis.point = point; } } })");
    let env: Env = object.unchecked_into();
    assert!(analytics::is_bound(&env));
    let answer: Response = run(answer).unchecked_into();
    analytics::write_point(&env, path, head, &answer);
    json(&property(&run("globalThis"), "point"))
}

#[wasm_bindgen_test]
fn a_hit_has_its_kind_its_status_and_its_bytes() {
    let answer = r#"new Response("abc", { headers: {
        "Content-Length": "3", "X-Cache-Status": "HIT", "Server-Timing": "cache;desc=HIT" } })"#;
    assert_eq!(
        point("accounts/avatars/1.png", false, answer),
        r#"{"indexes":["HIT"],"doubles":[3,0,0],"blobs":["HIT","accounts","200"]}"#
    );
    assert_eq!(
        point("index.html", true, answer),
        r#"{"indexes":["HIT"],"doubles":[0,0,0],"blobs":["HIT","-","200"]}"#
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
        point("cache/a.png", false, &answer(200, "MISS")),
        r#"{"indexes":["MISS"],"doubles":[0,83,0],"blobs":["MISS","cache","200"]}"#
    );
    assert_eq!(
        point("cache/a.png", false, &answer(200, "STALE")),
        r#"{"indexes":["STALE"],"doubles":[0,83,1],"blobs":["STALE","cache","200"]}"#
    );
    for (status, failed) in [(404, 0), (502, 1)] {
        let bare = format!("new Response(null, {{ status: {status} }})");
        assert_eq!(
            point("cache/a.png", false, &bare),
            format!(
                r#"{{"indexes":["NONE"],"doubles":[0,0,{failed}],"blobs":["NONE","cache","{status}"]}}"#
            )
        );
    }
}

#[wasm_bindgen_test]
fn without_a_dataset_there_are_no_points() {
    let env: Env = run("({})").unchecked_into();
    assert!(!analytics::is_bound(&env));
}
