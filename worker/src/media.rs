//! The media entry: the whole way of a read, from the admitted request to the response.

use crate::admission::{self, Admitted};
use crate::bridge::{Context, Env};
use crate::engine::{Engine, Origin, Read};
use crate::gateway::Asked;
use crate::origin::Bucket;
use crate::policy::fields::Fields;
use crate::policy::headers;
use crate::policy::status::CacheStatus;
use crate::runtime::{self, RequestRuntime};
use crate::site::Site;
use crate::store::{EdgeCache, Stream};
use crate::{bridge, platform, respond};
use std::rc::Rc;
use worker_sys::console_error;
use worker_sys::web_sys::{Request, Response};

/// A read in engine mode: the store is looked at, waited for, filled or refreshed, as
/// [`Engine::read`] tells, and its answer becomes the response.
pub async fn read(site: &Rc<Site>, context: Rc<Context>, read: Read<'_>, head: bool) -> Response {
    let answer = engine(site, context).read(read).await;
    answer.map_or_else(
        |cause| {
            console_error!("no answer for `{}`: {}", read.path, cause.as_str());
            respond::failure(cause)
        },
        |answer| respond::answer(answer, head),
    )
}

/// The engine of one request.
pub fn engine(site: &Rc<Site>, context: Rc<Context>) -> Engine<EdgeCache, Bucket, RequestRuntime> {
    Engine {
        store: EdgeCache,
        origin: Bucket::new(site.settings.clone()),
        runtime: RequestRuntime::new(context),
        fills: site.fills.clone(),
        rule: site.settings.freshness,
    }
}

/// A read in platform mode: the platform's cache has no answer and asks for one. The bucket is
/// asked, under the reader's or the cache's own conditions, and the rule for keeping the answer is
/// stated in its headers.
pub async fn fetch(request: Request, env: Env) -> Response {
    let Some(site) = Site::of(&env) else {
        return respond::plain(500);
    };
    let text = bridge::request_text(&request, &site.read_headers, &site.change_headers);
    let asked = Asked::of(&text);
    let key = match admission::admit(
        "GET",
        platform::path_of(asked.target),
        false,
        &site.canonical,
    ) {
        Ok(Admitted::Read { key, .. }) => key,
        _ => return respond::plain(400),
    };
    let answer = Bucket::new(site.settings.clone())
        .fetch(&key, &asked.revalidation())
        .await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(cause) => return respond::failure(cause),
    };
    let now = runtime::now();
    let mut fields: Fields =
        headers::for_client(answer.status, &answer.fields, CacheStatus::Miss, now);
    let rule = headers::platform_cache_control(
        answer.status,
        &answer.fields,
        &site.settings.freshness,
        now,
    );
    fields.push("Cloudflare-CDN-Cache-Control", rule);
    fields.push("Cache-Tag", platform::tag_of(&key));
    bridge::response(
        answer.status,
        &fields,
        answer.body.and_then(Stream::take).as_ref(),
    )
}
