//! The JavaScript calls of `bridge.js`, typed. Nothing here decides anything.

use crate::engine::Wanted;
use crate::policy::fields::Fields;
use crate::policy::headers;
use js_sys::JsString;
use std::cell::RefCell;
use std::ptr;
use wasm_bindgen::prelude::*;
use web_sys::{ReadableStream, Request, Response};

/// What is bound to the worker, as the runtime gives it.
pub type Env = JsValue;

#[wasm_bindgen(module = "/src/bridge.js")]
extern "C" {
    /// Of a GET or HEAD: method, URL, and the values of the headers in `names`, a line each. Of any
    /// other request the method, and where it carries a purge secret, the URL and the secret.
    #[wasm_bindgen(js_name = requestText)]
    pub fn request_text(
        request: &Request,
        names: &js_sys::Array,
        secret_header: &JsString,
    ) -> String;

    #[wasm_bindgen(js_name = outlineText)]
    fn outline_text(response: &Response) -> String;

    #[wasm_bindgen(js_name = fieldsText)]
    fn fields_text(response: &Response) -> String;

    /// What stands in the header that holds the stored record, and on a second line how long the
    /// whole of the stored body is, where that is told; a 304 has no such line.
    #[wasm_bindgen(js_name = recordOf)]
    pub fn record_of(response: &Response) -> Option<String>;

    #[wasm_bindgen(js_name = stored)]
    fn stored_with(response: &Response, status: Option<&JsString>, head: bool) -> Response;

    #[wasm_bindgen(js_name = notModified)]
    fn not_modified_with(response: &Response, status: &JsString) -> Response;

    #[wasm_bindgen(catch)]
    fn made(
        body: Option<&ReadableStream>,
        status: u16,
        text: &str,
        cached: Option<&str>,
    ) -> Result<Response, JsValue>;

    #[wasm_bindgen(js_name = find)]
    fn find_with(url: &str, name: Option<&JsString>, value: Option<&str>) -> js_sys::Promise;

    fn put(
        url: &str,
        status: u16,
        text: &str,
        cached: Option<&str>,
        body: Option<&ReadableStream>,
        length: Option<f64>,
        like: Option<&Response>,
    ) -> js_sys::Promise;

    /// Removes a URL from the Cache API.
    pub fn remove(url: &str) -> js_sys::Promise;

    #[wasm_bindgen(js_name = fetchOrigin)]
    fn fetch_origin(url: &str, text: &str, milliseconds: u32) -> js_sys::Promise;

    /// Tells a stream that nobody will read it.
    pub fn cancel(stream: &ReadableStream);

    /// Tells a response's body that nobody will read it.
    pub fn discard(response: &Response);

    #[wasm_bindgen(js_name = askMedia)]
    fn ask_media_entry(context: &Context, url: &str, text: &str, head: bool) -> js_sys::Promise;

    /// What the platform's cache says of a response.
    #[wasm_bindgen(js_name = platformStatus)]
    pub fn platform_status(response: &Response) -> Option<String>;

    /// Puts a purge into the queue, or where none is bound, has it done at once.
    #[wasm_bindgen(js_name = queuePurge)]
    pub fn queue_purge(env: &Env, context: &Context, tag: &str) -> js_sys::Promise;

    #[wasm_bindgen(js_name = plainText)]
    fn plain_text_with(status: u16, text: &JsString) -> Response;

    /// Of a body the `length` bytes after the first `skip`, as a stream of that length.
    pub fn part(body: &ReadableStream, skip: f64, length: f64) -> ReadableStream;

    /// A promise of what a body begins with, as text: of up to `limit` bytes, or of what came before it
    /// broke off.
    pub fn beginning(body: &ReadableStream, limit: u32) -> js_sys::Promise;

    /// What an error calls itself, and what it says.
    #[wasm_bindgen(js_name = errorText)]
    pub fn error_text(error: &JsValue) -> String;

    /// Has `settle` called with `id`, whether the promise was fulfilled, and its value.
    pub fn listen(promise: &JsValue, id: u32, settle: &Settle);

    /// As [`listen`], after so many milliseconds. What is returned stops the timer.
    #[wasm_bindgen(js_name = startTimer)]
    pub fn start_timer(milliseconds: u32, id: u32, settle: &Settle) -> f64;

    #[wasm_bindgen(js_name = stopTimer)]
    pub fn stop_timer(timer: f64);

    /// A promise that is not settled, and the means to fulfil it.
    pub fn pending() -> JsValue;

    /// The promise of [`pending`].
    #[wasm_bindgen(js_name = promiseOf)]
    pub fn promise_of(pending: &JsValue) -> JsValue;

    /// Fulfils the promise of [`pending`].
    pub fn fulfil(pending: &JsValue, value: &JsValue);
}

#[wasm_bindgen]
extern "C" {
    /// What the runtime gives with each request to keep it alive.
    #[derive(Clone, Debug)]
    pub type Context;

    /// Keeps the request alive until the promise is settled; throws where it is over already.
    #[wasm_bindgen(method, catch, js_name = waitUntil)]
    pub fn wait_until(this: &Context, promise: &JsValue) -> Result<(), JsValue>;

    /// Logs an error.
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn log_error(message: &str);

    /// Logs a warning.
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    pub fn log_warning(message: &str);
}

/// What is called when a promise is settled.
pub type Settle = Closure<dyn Fn(u32, bool, JsValue)>;

/// A copy of a stored response that says `status`, or has no such header.
pub fn stored(response: &Response, status: Option<&'static str>, head: bool) -> Response {
    match status {
        Some(status) => with_word(status, |word| stored_with(response, Some(word), head)),
        None => stored_with(response, None, head),
    }
}

/// A 304 made of a stored response, without what describes a body; `status` as above.
pub fn not_modified(response: &Response, status: &'static str) -> Response {
    with_word(status, |word| not_modified_with(response, word))
}

/// A short answer of our own, as plain text.
pub fn plain_text(status: u16, text: &'static str) -> Response {
    with_word(text, |text| plain_text_with(status, text))
}

/// Every header field of a response.
pub fn fields_of(response: &Response) -> Fields {
    Fields::of_text(fields_text(response))
}

/// Of a response's header fields those that conditions and ranges are about.
pub fn outline_of(response: &Response) -> Fields {
    let names = ["ETag", "Last-Modified", "Content-Length", "Content-Range"];
    let text = outline_text(response);
    let lines = names.into_iter().zip(text.split('\n'));
    lines.filter(|(_, value)| !value.is_empty()).collect()
}

/// Looks a URL up in the Cache API.
pub fn find(url: &str, wanted: Wanted<'_>) -> js_sys::Promise {
    let with = |name, value| with_word(name, |name| find_with(url, Some(name), Some(value)));
    match wanted {
        Wanted::Whole => find_with(url, None, None),
        Wanted::Part(range) => with("Range", range),
        Wanted::UnlessMatch(tags) => with("If-None-Match", tags),
        Wanted::UnlessModified(date) => with("If-Modified-Since", date),
    }
}

/// A response made from its parts; `None` where the runtime refuses them.
pub fn response(status: u16, fields: &Fields, body: Option<&ReadableStream>) -> Option<Response> {
    let (text, cached) = text_and_status_of(fields);
    made(body, status, text, cached).ok()
}

/// A response that was made, and of what. Whoever changes its headers afterwards changes what is copied
/// from it.
#[derive(Debug)]
pub struct Made {
    /// The response.
    pub response: Response,
    /// Its status.
    pub status: u16,
    /// Its fields.
    pub fields: Fields,
}

/// Stores a response; the promise settles when its body has ended, and fails where it broke off.
///
/// `made`: one that is likely to be the same but for its cache status. To copy that costs a fraction
/// of what it costs to set every field anew.
pub fn store(
    url: &str,
    status: u16,
    fields: &Fields,
    body: Option<&ReadableStream>,
    made: Option<&Made>,
) -> js_sys::Promise {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a length beyond 2^53 cannot be stored anyway"
    )]
    let length = fields.content_length().map(|length| length as f64);
    let (text, cached) = text_and_status_of(fields);
    let same = |made: &&Made| {
        // Both must have a status, or the copy would keep the other's.
        let (other, its) = text_and_status_of(&made.fields);
        made.status == status && other == text && its.is_some() && cached.is_some()
    };
    let like = made.filter(same).map(|made| &made.response);
    let text = if like.is_some() { "" } else { text };
    put(url, status, text, cached, body, length, like)
}

/// Asks the origin; the promise settles when its headers have come.
pub fn ask_origin(url: &str, fields: &Fields, milliseconds: u32) -> js_sys::Promise {
    fetch_origin(url, fields.text(), milliseconds)
}

/// Asks the media entry; the promise settles when its headers have come.
pub fn ask_media(context: &Context, url: &str, fields: &Fields, head: bool) -> js_sys::Promise {
    ask_media_entry(context, url, fields.text(), head)
}

/// A word as JavaScript has it. Each is made once: to make one anew costs more than a hit has to
/// spare. They are few, so they are looked for one by one, and by where they lie.
fn with_word<T>(word: &'static str, act: impl FnOnce(&JsString) -> T) -> T {
    thread_local! {
        static WORDS: RefCell<Vec<(&'static str, JsString)>> = const { RefCell::new(Vec::new()) };
    }
    WORDS.with_borrow_mut(|words| {
        let known = words.iter().position(|(other, _)| ptr::eq(*other, word));
        let at = known.unwrap_or_else(|| {
            words.push((word, JsString::from(word)));
            words.len() - 1
        });
        act(&words[at].1)
    })
}

/// All fields but the cache status, as one text, and that. It is nearly always the
/// last field; elsewhere it goes out within the text.
fn text_and_status_of(fields: &Fields) -> (&str, Option<&str>) {
    match fields.split_last() {
        Some((text, (headers::CACHE_STATUS, cached))) => (text, Some(cached)),
        _ => (fields.text(), None),
    }
}
