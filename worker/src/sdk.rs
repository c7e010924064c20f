//! Calls into JavaScript that the SDK does not have, or has in a form that can end the isolate or costs more.
//! Each states the reason. Nothing here decides anything.
//!
//! Every call that can throw returns a `Result`: an uncaught exception makes the WebAssembly instance
//! unusable for all its requests.

use futures_util::future::LocalBoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use wasm_bindgen::{JsCast, JsValue, prelude::wasm_bindgen};
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};
use worker::js_sys::{self, Array, Promise};
use worker::web_sys::{
    self, ReadableStream, Request, RequestCache, RequestInit, RequestRedirect, Response,
    ResponseInit,
};
use worker::{Context, Env, Headers};

#[wasm_bindgen]
extern "C" {
    /// A `ReadableStream`. These calls throw where the stream is locked; `web_sys` declares that they never
    /// do.
    type ThrowingStream;

    #[wasm_bindgen(method, catch)]
    fn tee(this: &ThrowingStream) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn cancel(this: &ThrowingStream) -> Result<Promise, JsValue>;

    /// The global object, with the Cache API. The SDK's `Cache` uses the calls of `web_sys`, which are
    /// declared as never throwing, and makes a stream of the body of every response that it finds.
    type Global;

    #[wasm_bindgen(method, getter, catch)]
    fn caches(this: &Global) -> Result<Caches, JsValue>;

    type Caches;

    #[wasm_bindgen(method, getter, catch, js_name = default)]
    fn default_cache(this: &Caches) -> Result<DefaultCache, JsValue>;

    type DefaultCache;

    #[wasm_bindgen(method, catch, js_name = match)]
    fn find(this: &DefaultCache, request: &JsValue) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &DefaultCache, url: &str, response: &Response) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn delete(this: &DefaultCache, url: &str) -> Result<Promise, JsValue>;

    /// `Headers`, with one call for each pair. The SDK's iterator takes seven.
    type HeaderPairs;

    #[wasm_bindgen(method, catch, js_name = forEach)]
    fn for_each(this: &HeaderPairs, each: &mut dyn FnMut(String, String)) -> Result<(), JsValue>;

    /// The execution context. The SDK's `Context` does not have `exports`, which came with Workers Cache in
    /// 2026 (developers.cloudflare.com/workers/cache).
    type PlatformContext;

    #[wasm_bindgen(method, getter, catch)]
    fn exports(this: &PlatformContext) -> Result<Exports, JsValue>;

    type Exports;

    #[wasm_bindgen(method, getter, catch, js_name = Media)]
    fn media(this: &Exports) -> Result<MediaEntry, JsValue>;

    /// The loopback to the media entry. The SDK's `Fetcher` can be made from a binding only, and cannot call
    /// a method by RPC.
    type MediaEntry;

    #[wasm_bindgen(method, catch)]
    fn fetch(this: &MediaEntry, request: &Request) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = hasCache)]
    fn has_cache(this: &MediaEntry) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn purge(this: &MediaEntry, tags: Option<Array>) -> Result<Promise, JsValue>;
}

/// The headers as a map, with values in UTF-8. The SDK's conversion panics on a value that is not ASCII. A
/// value that is not UTF-8 arrives with replacement characters and is left out: no value is better than a
/// wrong one.
pub fn header_map(headers: &web_sys::Headers) -> HeaderMap {
    let mut map = HeaderMap::new();
    let each = &mut |value: String, name: String| {
        if !value.contains(char::REPLACEMENT_CHARACTER)
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
            && let Ok(value) = HeaderValue::try_from(value)
        {
            map.append(name, value);
        }
    };
    // It fails only for another object than `Headers`.
    _ = headers.unchecked_ref::<HeaderPairs>().for_each(each);
    map
}

/// The map as the runtime's headers; see [`header_map`].
pub fn headers(map: &HeaderMap) -> Headers {
    let headers = Headers::new();
    for (name, value) in map {
        if let Ok(text) = std::str::from_utf8(value.as_bytes()) {
            // It fails for an invalid value, and a header map has none.
            _ = headers.append(name.as_str(), text);
        }
    }
    headers
}

/// One header; `None` where it is missing or empty.
pub fn header(headers: &web_sys::Headers, name: &str) -> Option<String> {
    let value = headers.get(name).ok().flatten();
    value.filter(|value| !value.is_empty())
}

/// The headers with these names.
pub fn selected_headers(headers: &web_sys::Headers, names: &[HeaderName]) -> HeaderMap {
    let selected = |name: &HeaderName| {
        let value = header(headers, name.as_str())?;
        Some((
            name.clone(),
            HeaderValue::from_bytes(value.as_bytes()).ok()?,
        ))
    };
    names.iter().filter_map(selected).collect()
}

/// A GET of the origin with these headers; `Err` where the runtime refuses the URL. Redirects are not followed.
/// `no-store` bypasses Cloudflare's CDN, which would drop a `Range` for the file names that it caches, and so
/// break signatures.
pub fn origin_request(url: &str, request_headers: &HeaderMap) -> Result<Request, JsValue> {
    let init = init_with(request_headers);
    init.set_redirect(RequestRedirect::Manual);
    init.set_cache(RequestCache::NoStore);
    Request::new_with_str_and_init(url, &init)
}

/// The parameters of a GET with these headers. The SDK's `RequestInit` always includes Cloudflare's properties
/// of a request, whose code would be a tenth of this worker's.
fn init_with(request_headers: &HeaderMap) -> RequestInit {
    let init = RequestInit::new();
    if !request_headers.is_empty() {
        init.set_headers(headers(request_headers).as_ref());
    }
    init
}

/// The response in the Cache API under a key. `request_headers` has a range or a condition for it.
pub async fn cache_find(
    cache_key: &str,
    request_headers: &HeaderMap,
) -> Result<Option<Response>, JsValue> {
    let key = match request_headers.is_empty() {
        true => JsValue::from_str(cache_key),
        false => Request::new_with_str_and_init(cache_key, &init_with(request_headers))?.into(),
    };
    let found = JsFuture::from(cache()?.find(&key)?).await?;
    Ok((!found.is_undefined()).then(|| found.unchecked_into()))
}

/// Puts a response into the Cache API.
pub async fn cache_put(cache_key: &str, response: &Response) -> Result<(), JsValue> {
    JsFuture::from(cache()?.put(cache_key, response)?).await?;
    Ok(())
}

/// Removes a response from the Cache API. True where there was one.
pub async fn cache_delete(cache_key: &str) -> Result<bool, JsValue> {
    let deleted = JsFuture::from(cache()?.delete(cache_key)?).await?;
    Ok(deleted.is_truthy())
}

fn cache() -> Result<DefaultCache, JsValue> {
    let global = js_sys::global().unchecked_into::<Global>();
    global.caches()?.default_cache()
}

/// A response. The SDK's builder makes a second set of headers.
pub fn response(
    status: u16,
    headers: &web_sys::Headers,
    body: Option<&ReadableStream>,
) -> Response {
    let init = response_init(status, headers);
    let made = match body {
        Some(stream) => Response::new_with_opt_readable_stream_and_init(Some(stream), &init),
        None => Response::new_with_opt_str_and_init(None, &init),
    };
    made.unwrap_or_else(|_| Response::error())
}

/// A response with a text, for which the runtime sets `Content-Type`. The SDK takes bytes, which are copied
/// twice.
pub fn text_response(status: u16, headers: &web_sys::Headers, text: &str) -> Response {
    let made = Response::new_with_opt_str_and_init(Some(text), &response_init(status, headers));
    made.unwrap_or_else(|_| Response::error())
}

fn response_init(status: u16, headers: &web_sys::Headers) -> ResponseInit {
    let init = ResponseInit::new();
    init.set_status(status);
    init.set_headers(headers);
    init
}

/// A response with the same status, headers that can be changed, and this body. The SDK copies headers twice.
pub fn mutable_copy(response: &Response, body: Option<&ReadableStream>) -> Response {
    let made = Response::new_with_opt_readable_stream_and_init(body, response.unchecked_ref());
    made.unwrap_or_else(|_| Response::error())
}

/// Two streams with the same bytes; `Err` where the stream is locked.
pub fn tee(stream: &ReadableStream) -> Result<(ReadableStream, ReadableStream), JsValue> {
    let branches = stream.unchecked_ref::<ThrowingStream>().tee()?;
    Ok((
        branches.get(0).unchecked_into(),
        branches.get(1).unchecked_into(),
    ))
}

/// Cancels a stream that nobody will read.
pub fn cancel(stream: &ReadableStream) {
    if let Ok(promise) = stream.unchecked_ref::<ThrowingStream>().cancel() {
        // It fails where the stream has ended already.
        spawn_local(async move { _ = JsFuture::from(promise).await });
    }
}

/// Keeps the request alive until `work` has ended. The SDK's `wait_until` panics where the request has
/// already ended; here `work` is started then too.
pub fn wait_until(context: &Context, work: LocalBoxFuture<'static, ()>) {
    let promise = future_to_promise(async {
        work.await;
        Ok(JsValue::UNDEFINED)
    });
    _ = context.as_ref().wait_until(&promise);
}

/// Asks the media entry, through the platform's cache. `Err` where either fails.
pub async fn fetch_media(
    context: &Context,
    url: &str,
    request_headers: &HeaderMap,
    head: bool,
) -> Result<Response, JsValue> {
    let init = init_with(request_headers);
    if head {
        init.set_method("HEAD");
    }
    let request = Request::new_with_str_and_init(url, &init)?;
    let answer = JsFuture::from(media(context)?.fetch(&request)?).await?;
    Ok(answer.unchecked_into())
}

/// Whether the platform has a cache in front of the media entry.
pub async fn has_media_cache(context: &Context) -> Result<bool, JsValue> {
    let exports = context
        .as_ref()
        .unchecked_ref::<PlatformContext>()
        .exports()?;
    // An older runtime has no loopbacks.
    if exports.is_undefined() || exports.media()?.is_undefined() {
        return Ok(false);
    }
    let answer = JsFuture::from(exports.media()?.has_cache()?).await?;
    Ok(answer.is_truthy())
}

/// Makes the media entry purge tags, or without tags everything, from the platform's cache: a purge reaches
/// only the cache of the entry that calls it. `Err`: why the platform has refused.
pub async fn purge_media(context: &Context, tags: Option<&[String]>) -> Result<(), String> {
    let tags = tags.map(|tags| tags.iter().map(|tag| JsValue::from_str(tag)).collect());
    let purge = async { JsFuture::from(media(context)?.purge(tags)?).await };
    match purge.await {
        Ok(refusal) => refusal.as_string().map_or(Ok(()), Err),
        Err(error) => Err(error_text(&error)),
    }
}

fn media(context: &Context) -> Result<MediaEntry, JsValue> {
    let platform = context.as_ref().unchecked_ref::<PlatformContext>();
    platform.exports()?.media()
}

/// The text of a variable. The SDK's `Env::var` treats a number, which `wrangler.toml` may have, as a missing
/// variable.
pub fn variable(env: &Env, name: &str) -> Option<String> {
    let value = js_sys::Reflect::get(env, &JsValue::from_str(name)).ok()?;
    let json = || js_sys::JSON::stringify(&value).ok()?.as_string();
    value.as_string().or_else(json)
}

/// The name and the message of an error.
pub fn error_text(error: &JsValue) -> String {
    let object = error.dyn_ref::<js_sys::Object>();
    let text = object.map(|object| String::from(object.to_string()));
    text.or_else(|| error.as_string()).unwrap_or_default()
}
