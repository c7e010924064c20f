//! The public entry: admits the request, asks the media entry, finishes the response.
//!
//! It always runs and is never cached. What the media entry and its cache see of a request is
//! canonical: one spelling of the key, no query, no header but those that a read needs.

use crate::admission::{self, Admitted};
use crate::bridge::{Context, Env};
use crate::engine::Read;
use crate::policy::conditional::Conditions;
use crate::policy::fields::Fields;
use crate::settings::CacheMode;
use crate::site::Site;
use crate::{bridge, media, platform, purge, respond, task};
use std::rc::Rc;
use wasm_bindgen::JsValue;
use web_sys::{Request, Response};

/// Answers a request from outside: a response, or a promise of it. A refusal waits for nothing.
pub fn handle(request: &Request, env: Env, context: Context) -> JsValue {
    let Some(site) = Site::of(&env) else {
        return respond::plain(500).into();
    };
    let text = bridge::request_text(request, &site.read_headers, &site.secret_header);
    let asked = Asked::of(&text);
    let purging = asked.purge_secret.is_some();
    match admission::admit(asked.method, asked.target, purging, &site.settings) {
        Err(refusal) => respond::refusal(refusal).into(),
        Ok(admitted) => task::start(async move {
            let asked = Asked::of(&text);
            answer(&site, &env, context, &asked, admitted).await.into()
        }),
    }
}

/// Answers a request that was let in.
async fn answer(
    site: &Rc<Site>,
    env: &Env,
    context: Context,
    asked: &Asked<'_>,
    admitted: Admitted,
) -> Response {
    if site.test_hooks
        && let Some(response) = asked.run_test_hook().await
    {
        return response;
    }
    match admitted {
        Admitted::Purge { key } => purge::handle(site, env, context, asked, &key).await,
        Admitted::Read { key, head, index } => {
            let path = key.s3_path();
            let read = asked.read(&key, &path);
            let response = match site.settings.cache_mode {
                CacheMode::Engine => media::read(site, Rc::new(context), read, head).await,
                CacheMode::Platform => platform::read(&context, read, head).await,
            };
            if index && response.status() == 404 {
                respond::plain(403)
            } else {
                response
            }
        }
    }
}

/// What is read of a request: it crosses from JavaScript as one text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    method: &'a str,
    /// The URL.
    pub target: &'a str,
    range: Option<&'a str>,
    if_range: Option<&'a str>,
    conditions: Conditions<'a>,
    /// The value of the header that carries the purge secret.
    pub purge_secret: Option<&'a str>,
    test_hook: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// Reads the text of [`bridge::request_text`]; the order is that of [`Site::read_headers`].
    #[must_use]
    pub fn of(text: &'a str) -> Self {
        let mut lines = text.split('\n');
        let mut line = || lines.next().unwrap_or_default();
        let (method, target) = (line(), line());
        let mut field = || Some(line()).filter(|value| !value.is_empty());
        let is_read = matches!(method, "GET" | "HEAD");
        let purge_secret = if is_read { None } else { field() };
        Self {
            method,
            target,
            purge_secret,
            range: field(),
            if_range: field(),
            conditions: Conditions {
                if_none_match: field(),
                if_modified_since: field(),
                if_match: field(),
                if_unmodified_since: field(),
            },
            test_hook: field(),
        }
    }

    /// The read that is asked for.
    #[must_use]
    pub fn read(&self, key: &'a admission::ObjectKey, path: &'a str) -> Read<'a> {
        Read {
            key,
            path,
            range: self.range,
            if_range: self.if_range,
            conditions: self.conditions,
        }
    }

    /// The conditions on which a copy is still good, for the bucket.
    #[must_use]
    pub fn revalidation(&self) -> Vec<(&'static str, String)> {
        let conditions = [
            ("If-None-Match", self.conditions.if_none_match),
            ("If-Modified-Since", self.conditions.if_modified_since),
        ];
        conditions
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?.to_owned())))
            .collect()
    }

    /// What only tests ask for: a panic, at once or after the runtime has been waited for; or how
    /// many bytes WebAssembly's memory has.
    async fn run_test_hook(&self) -> Option<Response> {
        match self.test_hook? {
            "panic" => panic!("a test asked for a panic"),
            "panic-later" => {
                task::pause(5).await;
                panic!("a test asked for a panic after waiting");
            }
            "memory" => {
                let told = Fields::from_iter([("X-Memory", memory_bytes().to_string())]);
                Some(respond::made(200, told, None))
            }
            _ => None,
        }
    }
}

/// How large WebAssembly's memory is.
fn memory_bytes() -> usize {
    #[cfg(target_arch = "wasm32")]
    let pages = core::arch::wasm32::memory_size(0);
    #[cfg(not(target_arch = "wasm32"))]
    let pages = 0;
    pages * 65_536
}
