//! The handler of queued purges: which messages it acknowledges, and which come again.

use crate::platform::{context_with_purge, json, property, run, texts};
use edge_worker::purge;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_test::wasm_bindgen_test;
use worker::{MessageBatch, worker_sys};

/// A batch of messages with these bodies, in JavaScript; each notes in `end` what became of it.
fn batch(bodies: &str) -> JsValue {
    run(&format!(
        r#"({{
            queue: "medialift-purges",
            messages: {bodies}.map((body) => ({{
                body,
                ack() {{ this.end = "acknowledged"; }},
                retry(options) {{ this.end = `again after ${{options.delaySeconds}} s`; }},
            }})),
        }})"#
    ))
}

/// Consumes a batch with a platform whose purge is `purge`. What became of the messages, and the tags
/// of the calls to the platform.
async fn consume(bodies: &str, purge: &str) -> (Vec<String>, String) {
    let batch = batch(bodies);
    let calls = run("globalThis.calls = []");
    let (context, _object) = context_with_purge(purge);
    let messages: worker_sys::MessageBatch = batch.clone().unchecked_into();
    purge::consume(MessageBatch::from(messages), &context).await;
    let ends = run("(batch) => batch.messages.map((message) => message.end)");
    let ends: worker::js_sys::Function = ends.unchecked_into();
    let ends = ends.call1(&JsValue::UNDEFINED, &batch).unwrap();
    assert_eq!(
        property(&ends, "length"),
        property(&batch, "messages.length")
    );
    (texts(&ends), json(&calls))
}

const TAKEN: &str = "async (tags) => { calls.push(tags); return true; }";
const REFUSED: &str = "async (tags) => { calls.push(tags); return false; }";
const BROKEN: &str = r#"async () => { throw new Error("no network"); }"#;

#[wasm_bindgen_test]
async fn a_batch_that_the_platform_takes_is_acknowledged_and_is_one_call() {
    let (ends, calls) = consume(r#"["/a", "/b"]"#, TAKEN).await;
    assert_eq!(ends, ["acknowledged", "acknowledged"]);
    assert_eq!(calls, r#"[["/a","/b"]]"#);
}

#[wasm_bindgen_test]
async fn a_batch_that_it_refuses_comes_again_a_minute_later() {
    for purge in [REFUSED, BROKEN] {
        let (ends, _) = consume(r#"["/a", "/b"]"#, purge).await;
        assert_eq!(ends, ["again after 60 s", "again after 60 s"], "{purge}");
    }
}

#[wasm_bindgen_test]
async fn a_message_that_is_no_purge_is_dropped_and_keeps_nobody_waiting() {
    let (ends, calls) = consume(r#"[{ not: "a text" }, "/b"]"#, REFUSED).await;
    assert_eq!(ends, ["acknowledged", "again after 60 s"]);
    assert_eq!(calls, r#"[["/b"]]"#);

    let (ends, calls) = consume("[1]", TAKEN).await;
    assert_eq!(ends, ["acknowledged"]);
    assert_eq!(calls, "[]");
}
