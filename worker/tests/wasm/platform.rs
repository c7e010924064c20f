//! Stubs of what the Workers runtime has and Node.js does not.

use wasm_bindgen::{JsCast, JsValue};
use worker::js_sys::{self, Array, Object, Reflect};
use worker::{Context, worker_sys};

/// Runs JavaScript, and returns the value of the last expression.
#[track_caller]
pub(crate) fn run(code: &str) -> JsValue {
    js_sys::eval(code).expect("the code of a test throws nothing")
}

/// A property, by a path of names with dots.
#[track_caller]
pub(crate) fn property(value: &JsValue, path: &str) -> JsValue {
    path.split('.').fold(value.clone(), |value, name| {
        Reflect::get(&value, &name.into()).expect("an object")
    })
}

/// `FixedLengthStream`, and timers that are numbers.
const RUNTIME: &str = r#"
    globalThis.FixedLengthStream = class extends TransformStream {
        constructor(length) {
            let left = Number(length);
            super({
                transform(chunk, controller) {
                    left -= chunk.byteLength;
                    controller.enqueue(chunk);
                },
                flush() {
                    if (left !== 0) throw new TypeError(`${left} bytes are missing`);
                },
            });
        }
    };
    {
        const { setTimeout } = globalThis;
        globalThis.setTimeout = (...given) => Number(setTimeout(...given));
    }
    const install = (cache) => {
        Object.defineProperty(globalThis, "caches", { value: { default: cache }, configurable: true });
        return cache;
    };
"#;

/// Installs a Cache API that works. `asked` has the headers of each look-up.
pub(crate) fn install_cache() -> JsValue {
    run(&[
        "(() => {",
        RUNTIME,
        r#"
            const entries = new Map();
            const url = (request) => typeof request === "string" ? request : request.url;
            const asked = [];
            return install({
                asked,
                async match(request) {
                    asked.push(typeof request === "string" ? {} : Object.fromEntries(request.headers));
                    return entries.get(url(request))?.clone();
                },
                async put(request, response) {
                    const body = await response.arrayBuffer();
                    entries.set(url(request), new Response(body, response));
                },
                async delete(request) {
                    return entries.delete(url(request));
                },
            });
        })()"#,
    ]
    .concat())
}

/// Installs a Cache API that has an endless body under every key. `cancelled` counts the bodies that were
/// cancelled.
pub(crate) fn install_endless_cache() -> JsValue {
    run(&[
        "(() => {",
        RUNTIME,
        r#"
            const cache = install({
                cancelled: 0,
                async match() {
                    const body = new ReadableStream({
                        pull(controller) { controller.enqueue(new Uint8Array(1024)); },
                        cancel() { cache.cancelled += 1; },
                    });
                    const headers = { "Content-Type": "image/png", ETag: '"a"', "CF-Cache-Status": "HIT" };
                    return new Response(body, { headers });
                },
            });
            return cache;
        })()"#,
    ]
    .concat())
}

/// Installs a Cache API whose calls fail: at once, or by their promises.
pub(crate) fn install_broken_cache(at_once: bool) {
    run(&[
        "(() => {",
        RUNTIME,
        "const fail = ",
        if at_once { "" } else { "async " },
        r#"() => { throw new Error("no cache today"); };
            install({ match: fail, put: fail, delete: fail });
        })()"#,
    ]
    .concat());
}

/// A context whose media entry has the method `purge`, a function in JavaScript; and its object.
pub(crate) fn context_with_purge(purge: &str) -> (Context, JsValue) {
    let object = run(&format!(
        "({{ waitUntil() {{}}, exports: {{ Media: {{ purge: {purge} }} }} }})"
    ));
    let context: worker_sys::Context = object.clone().unchecked_into();
    (Context::new(context), object)
}

/// The texts of an array.
pub(crate) fn texts(array: &JsValue) -> Vec<String> {
    let array: &Array = array.unchecked_ref();
    array.iter().filter_map(|text| text.as_string()).collect()
}

/// A JavaScript value as JSON.
pub(crate) fn json(value: &JsValue) -> String {
    let object: &Object = value.unchecked_ref();
    js_sys::JSON::stringify(object).map_or_else(|_| String::new(), String::from)
}
