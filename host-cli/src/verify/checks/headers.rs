//! The headers of a plain read.

use super::super::probe::CONTENT_TYPE;
use super::A_DAY;
use crate::findings::Finding;
use crate::web::Answer;

pub(super) fn content_type(first: &Answer) -> Finding {
    let check = "content-type";
    match first.header("content-type").as_deref() {
        Some(CONTENT_TYPE) => Finding::passed(check, "passed on as it is in the bucket"),
        other => Finding::failed(
            check,
            format!("`{CONTENT_TYPE}` became `{}`", other.unwrap_or("nothing")),
            "browsers would not show media: nothing on the way may set a type of its own",
        ),
    }
}

pub(super) fn cors(first: &Answer) -> Finding {
    let check = "cors";
    match first.header("access-control-allow-origin").as_deref() {
        Some("*") => Finding::passed(check, "pages of any site may read media"),
        other => Finding::failed(
            check,
            format!(
                "`Access-Control-Allow-Origin` is {}, not `*`",
                quoted(other)
            ),
            "the web client could not read media: exactly one `*` must be sent, once",
        ),
    }
}

pub(super) fn quoted(value: Option<&str>) -> String {
    value.map_or("missing".to_owned(), |v| format!("`{v}`"))
}

pub(super) fn max_age(answer: &Answer) -> Option<u64> {
    answer
        .header("cache-control")?
        .split(',')
        .filter_map(|part| part.trim().strip_prefix("max-age="))
        .find_map(|seconds| seconds.parse().ok())
}

pub(super) fn caching(first: &Answer) -> Finding {
    let check = "caching";
    let said = first.header("cache-control");
    let refuses = said
        .as_deref()
        .is_some_and(|s| s.contains("no-store") || s.contains("no-cache") || s.contains("private"));
    match max_age(first) {
        Some(seconds) if seconds >= A_DAY && !refuses => Finding::passed(
            check,
            format!("browsers keep media for {} days", seconds / A_DAY),
        ),
        _ => Finding::failed(
            check,
            format!("`Cache-Control` is {}", quoted(said.as_deref())),
            "browsers would load every picture again: `public, max-age=31536000` must be sent",
        ),
    }
}

pub(super) fn stripped_headers(first: &Answer) -> Finding {
    let check = "stripped-headers";
    let tells = |name: &str| {
        name.starts_with("x-amz-")
            || name.starts_with("x-amzn-")
            || name.starts_with("x-bz-")
            || name == "set-cookie"
            || (name.starts_with("access-control-") && name != "access-control-allow-origin")
    };
    let mut left: Vec<&str> = first
        .headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| tells(name))
        .collect();
    left.sort_unstable();
    if left.is_empty() {
        Finding::passed(check, "the bucket's own headers do not show")
    } else {
        Finding::failed(
            check,
            format!("the bucket's headers show: `{}`", left.join("`, `")),
            "they name the service and its versions: the proxy must remove them",
        )
    }
}

pub(super) fn hardening(first: &Answer) -> Finding {
    let check = "hardening";
    let nosniff = first.header("x-content-type-options").as_deref() == Some("nosniff");
    let policy = first
        .header("content-security-policy")
        .is_some_and(|policy| policy.contains("default-src 'none'"));
    if nosniff && policy {
        return Finding::passed(check, "an uploaded file cannot act as a page");
    }
    let mut lacks = Vec::new();
    if !nosniff {
        lacks.push("`X-Content-Type-Options: nosniff`");
    }
    if !policy {
        lacks.push("`Content-Security-Policy: default-src 'none'`");
    }
    Finding::warned(
        check,
        format!("{} not sent", lacks.join(" and ")),
        "Mastodon's documentation asks for both, so that an uploaded file cannot act as a page",
    )
}
