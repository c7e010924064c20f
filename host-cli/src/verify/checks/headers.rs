//! Checks of the headers of a read.

use super::super::probe::CONTENT_TYPE;
use super::A_DAY;
use crate::findings::Finding;
use crate::web::HttpResponse;

pub(super) fn content_type(first: &HttpResponse) -> Finding {
    let check = "content-type";
    match first.header("content-type").as_deref() {
        Some(CONTENT_TYPE) => {
            Finding::passed(check, format!("`{CONTENT_TYPE}` is passed on unchanged"))
        }
        other => Finding::failed(
            check,
            format!("`{CONTENT_TYPE}` became `{}`", other.unwrap_or("nothing")),
            "browsers would not show media: no proxy may change the type",
        ),
    }
}

pub(super) fn cors(first: &HttpResponse) -> Finding {
    let check = "cors";
    match first.header("access-control-allow-origin").as_deref() {
        Some("*") => Finding::passed(check, "pages of every site may read media"),
        other => Finding::failed(
            check,
            format!(
                "`Access-Control-Allow-Origin` is {}, not `*`",
                quoted(other)
            ),
            "the web client could not read media: the header must be sent once, with the value `*`",
        ),
    }
}

pub(super) fn quoted(value: Option<&str>) -> String {
    value.map_or("missing".to_owned(), |v| format!("`{v}`"))
}

pub(super) fn max_age(response: &HttpResponse) -> Option<u64> {
    response
        .header("cache-control")?
        .split(',')
        .filter_map(|part| part.trim().strip_prefix("max-age="))
        .find_map(|seconds| seconds.parse().ok())
}

pub(super) fn caching(first: &HttpResponse) -> Finding {
    let check = "caching";
    let value = first.header("cache-control");
    let uncacheable = value
        .as_deref()
        .is_some_and(|v| v.contains("no-store") || v.contains("no-cache") || v.contains("private"));
    match max_age(first) {
        Some(seconds) if seconds >= A_DAY && !uncacheable => Finding::passed(
            check,
            format!("browsers keep media for {} days", seconds / A_DAY),
        ),
        _ => Finding::failed(
            check,
            format!("`Cache-Control` is {}", quoted(value.as_deref())),
            "browsers would load every picture again: `public, max-age=31536000` must be sent",
        ),
    }
}

pub(super) fn stripped_headers(first: &HttpResponse) -> Finding {
    let check = "stripped-headers";
    let is_of_bucket = |name: &str| {
        name.starts_with("x-amz-")
            || name.starts_with("x-amzn-")
            || name.starts_with("x-bz-")
            || name == "set-cookie"
            || (name.starts_with("access-control-") && name != "access-control-allow-origin")
    };
    let mut remaining: Vec<&str> = first
        .headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| is_of_bucket(name))
        .collect();
    remaining.sort_unstable();
    if remaining.is_empty() {
        Finding::passed(check, "headers of the bucket are removed")
    } else {
        Finding::failed(
            check,
            format!(
                "headers of the bucket are sent: `{}`",
                remaining.join("`, `")
            ),
            "they identify the service and versions of objects: the proxy must remove them",
        )
    }
}

pub(super) fn hardening(first: &HttpResponse) -> Finding {
    let check = "hardening";
    let nosniff = first.header("x-content-type-options").as_deref() == Some("nosniff");
    let policy = first
        .header("content-security-policy")
        .is_some_and(|policy| policy.contains("default-src 'none'"));
    if nosniff && policy {
        return Finding::passed(check, "browsers do not run an uploaded file as a page");
    }
    let mut missing = Vec::new();
    if !nosniff {
        missing.push("`X-Content-Type-Options: nosniff`");
    }
    if !policy {
        missing.push("`Content-Security-Policy: default-src 'none'`");
    }
    Finding::warned(
        check,
        format!("{} not sent", missing.join(" and ")),
        "Mastodon's documentation requires both, so that browsers do not run an uploaded file as a page",
    )
}
