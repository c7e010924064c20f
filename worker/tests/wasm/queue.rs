//! The consumer of queued purges: which messages are acknowledged, and which are retried.

use crate::platform::{context_with_purge, json, property, run, texts};
use edge_worker::purge;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;
use worker::{MessageBatch, worker_sys};

/// A batch of messages with these bodies, in JavaScript, sent `seconds_ago`. Each has its result in `end`.
fn batch(bodies: &str, seconds_ago: u32) -> JsValue {
    run(&format!(
        r#"({{
            queue: "medialift-purges",
            messages: {bodies}.map((body) => ({{
                body,
                timestamp: new Date(Date.now() - {seconds_ago} * 1000),
                ack() {{ this.end = "acknowledged"; }},
                retry(options) {{ this.end = `again after ${{options.delaySeconds}} s`; }},
            }})),
        }})"#
    ))
}

/// Consumes a batch with a platform whose method is `purge`. Returns the messages' results, and the tags of
/// the calls to the platform.
async fn consume(bodies: &str, purge: &str) -> (Vec<String>, String) {
    pass_a_minute();
    consume_at_once(&batch(bodies, 0), purge).await
}

/// Sets the clock forward, past the pause after the last call.
fn pass_a_minute() {
    run("{ const { now } = Date; Date.now = () => now() + 60_000; }");
}

async fn consume_at_once(batch: &JsValue, purge: &str) -> (Vec<String>, String) {
    let calls = run("globalThis.calls = []");
    let (context, _object) = context_with_purge(purge);
    let messages: worker_sys::MessageBatch = batch.clone().unchecked_into();
    purge::consume(MessageBatch::from(messages), &context).await;
    let ends = run("(batch) => batch.messages.map((message) => message.end)");
    let ends: worker::js_sys::Function = ends.unchecked_into();
    let ends = ends.call1(&JsValue::UNDEFINED, batch).unwrap();
    assert_eq!(
        property(&ends, "length"),
        property(batch, "messages.length")
    );
    (texts(&ends), json(&calls))
}

const TAKEN: &str = "async (tags) => { calls.push(tags); return null; }";
const REFUSED: &str = r#"async (tags) => { calls.push(tags); return "10000 too many"; }"#;
const BROKEN: &str = r#"async () => { throw new Error("no network"); }"#;

#[wasm_bindgen_test]
async fn a_batch_that_the_platform_takes_is_acknowledged_and_is_one_call() {
    let (ends, calls) = consume(r#"["/a", "/b"]"#, TAKEN).await;
    assert_eq!(ends, ["acknowledged", "acknowledged"]);
    assert_eq!(calls, r#"[["/a","/b"]]"#);
}

#[wasm_bindgen_test]
async fn a_tag_is_sent_once_whatever_its_case() {
    let (ends, calls) = consume(r#"["/a", "/b", "/a", "/B"]"#, TAKEN).await;
    assert_eq!(ends, ["acknowledged"; 4]);
    assert_eq!(calls, r#"[["/a","/b"]]"#);
}

#[wasm_bindgen_test]
async fn a_batch_that_it_refuses_is_retried_a_minute_later() {
    for purge in [REFUSED, BROKEN] {
        let (ends, _) = consume(r#"["/a", "/b"]"#, purge).await;
        assert_eq!(ends, ["again after 60 s", "again after 60 s"], "{purge}");
    }
}

#[wasm_bindgen_test]
async fn a_retry_waits_as_long_as_the_purge_has_waited_at_most_fifteen_minutes() {
    for (seconds_ago, expected) in [(30, 60), (200, 200), (86_400, 900)] {
        pass_a_minute();
        let (ends, _) = consume_at_once(&batch(r#"["/a"]"#, seconds_ago), REFUSED).await;
        assert_eq!(ends, [format!("again after {expected} s")]);
    }
}

#[wasm_bindgen_test]
async fn the_next_call_waits_until_twelve_seconds_after_the_last() {
    let (ends, _) = consume(r#"["/a"]"#, TAKEN).await;
    assert_eq!(ends, ["acknowledged"]);
    run(
        "globalThis.waits = [];
         globalThis.timer = setTimeout;
         globalThis.setTimeout = (work, wait) => { waits.push(wait); return Number(timer(work, 0)); }",
    );
    let (ends, calls) = consume_at_once(&batch(r#"["/b"]"#, 0), TAKEN).await;
    run("globalThis.setTimeout = timer");
    assert_eq!(ends, ["acknowledged"]);
    assert_eq!(calls, r#"[["/b"]]"#);
    let waited = run("waits[0]").as_f64().unwrap();
    assert!((11_000.0..=12_000.0).contains(&waited), "{waited}");
    assert_eq!(run("waits.length").as_f64(), Some(1.0));
}

#[wasm_bindgen_test]
async fn a_message_that_is_no_purge_is_retried_and_delays_no_other() {
    let (ends, calls) = consume(r#"[{ not: "a text" }, "/b"]"#, TAKEN).await;
    assert_eq!(ends, ["again after 60 s", "acknowledged"]);
    assert_eq!(calls, r#"[["/b"]]"#);

    let (ends, calls) = consume("[1]", TAKEN).await;
    assert_eq!(ends, ["again after 60 s"]);
    assert_eq!(calls, "[]");
}
