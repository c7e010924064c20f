//! What the SDK does not have, or has in a form that can end the isolate: each with the reason, and
//! what of the SDK would replace it. Nothing here decides anything.
//!
//! Every call that can throw returns a `Result`: an exception that crosses Rust frames unseen leaves
//! the instance unusable for all its requests.

use http::{HeaderMap, HeaderName, HeaderValue};
use worker::js_sys::{self, Array, Promise};
use worker::wasm_bindgen::{self, JsCast, JsValue, prelude::wasm_bindgen};
use worker::wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::web_sys::{self, ReadableStream, Request, Response};
use worker::{Context, Env, Headers};

#[wasm_bindgen]
extern "C" {
    /// A `ReadableStream`, with the calls that `web_sys` declares as never throwing: they do where the
    /// stream is locked.
    type Throwing;

    #[wasm_bindgen(method, catch)]
    fn tee(this: &Throwing) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn cancel(this: &Throwing) -> Result<Promise, JsValue>;

    /// The execution context, with what the SDK's `Context` lacks: `exports` and `cache` came with
    /// Workers Cache in 2026 (developers.cloudflare.com/workers/cache).
    type Platform;

    #[wasm_bindgen(method, getter, catch)]
    fn exports(this: &Platform) -> Result<Exports, JsValue>;

    type Exports;

    #[wasm_bindgen(method, getter, catch, js_name = Media)]
    fn media(this: &Exports) -> Result<MediaEntry, JsValue>;

    /// The loopback to the media entry. The SDK's `Fetcher` would do for `fetch`, but it cannot be
    /// made of anything but a binding, and has no way to call a method by RPC.
    type MediaEntry;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &MediaEntry, request: &Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn purge(this: &MediaEntry, tags: Array) -> Result<Promise, JsValue>;
}

/// The headers as a map. The SDK's conversion panics on a value that is not ASCII; the runtime hands
/// values over as text, which is kept here as its UTF-8 bytes.
pub fn header_map(headers: &Headers) -> HeaderMap {
    headers
        .entries()
        .filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
        })
        .collect()
}

/// The map as headers of the runtime; see [`header_map`].
pub fn headers(map: &HeaderMap) -> Headers {
    let headers = Headers::new();
    for (name, value) in map {
        if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
            // It refuses what is no header value, and a header map holds none.
            _ = headers.append(name.as_str(), text);
        }
    }
    headers
}

/// The headers of a request or a response. The SDK's `Headers` cannot be made of them.
pub fn raw(headers: &Headers) -> &web_sys::Headers {
    let headers: &JsValue = headers.as_ref();
    headers.unchecked_ref()
}

/// One header, if it is there and not empty.
pub fn header(headers: &web_sys::Headers, name: &str) -> Option<String> {
    let value = headers.get(name).ok().flatten();
    value.filter(|value| !value.is_empty())
}

/// The same bytes for two readers; `Err` where the stream is locked.
pub fn tee(stream: &ReadableStream) -> Result<(ReadableStream, ReadableStream), JsValue> {
    let branches = stream.unchecked_ref::<Throwing>().tee()?;
    Ok((
        branches.get(0).unchecked_into(),
        branches.get(1).unchecked_into(),
    ))
}

/// Tells a stream that nobody will read it.
pub fn cancel(stream: &ReadableStream) {
    if let Ok(promise) = stream.unchecked_ref::<Throwing>().cancel() {
        // A failure means that it has ended already.
        spawn_local(async move { _ = JsFuture::from(promise).await });
    }
}

/// Keeps the request alive until `work` has ended. The SDK's `wait_until` panics where the request is
/// over already; `work` has begun then all the same.
pub fn wait_until(context: &Context, work: impl Future<Output = ()> + 'static) {
    let promise = worker::wasm_bindgen_futures::future_to_promise(async {
        work.await;
        Ok(JsValue::UNDEFINED)
    });
    _ = context.as_ref().wait_until(&promise);
}

/// Asks the media entry, through the platform's cache.
pub async fn fetch_media(context: &Context, request: &Request) -> Result<Response, JsValue> {
    let media = context
        .as_ref()
        .unchecked_ref::<Platform>()
        .exports()?
        .media()?;
    Ok(JsFuture::from(media.fetch(request)?)
        .await?
        .unchecked_into())
}

/// Has the media entry purge tags from its cache: a purge reaches only the cache of the entry that
/// asks. False where the platform refused.
pub async fn purge_media(context: &Context, tags: &[String]) -> Result<bool, JsValue> {
    let tags = tags.iter().map(|tag| JsValue::from_str(tag)).collect();
    let media = context
        .as_ref()
        .unchecked_ref::<Platform>()
        .exports()?
        .media()?;
    Ok(JsFuture::from(media.purge(tags)?).await?.is_truthy())
}

/// The value of everything that is bound to the worker, for `serde`. The SDK reads bindings one by one.
pub fn bindings<T: serde::de::DeserializeOwned>(env: &Env) -> Result<T, JsValue> {
    let env: &JsValue = env.as_ref();
    Ok(serde_wasm_bindgen::from_value(env.clone())?)
}

/// What an error calls itself, and what it says.
pub fn error_text(error: &JsValue) -> String {
    let text = error
        .dyn_ref::<js_sys::Error>()
        .map(js_sys::Error::to_string);
    text.map_or_else(|| format!("{error:?}"), String::from)
}
