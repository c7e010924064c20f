//! The answer to a preflight: a script of another site may read any object, by GET or HEAD, whole or in part.

use super::headers::value;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// How long a browser may keep the answer, in seconds: a day. Chromium keeps it for at most two hours
/// (developer.mozilla.org, `Access-Control-Max-Age`).
const MAX_AGE_SECONDS: &str = "86400";

/// The headers of the answer to a preflight with `requested` as `Access-Control-Request-Headers`. Of these
/// the names in `allowed` are allowed.
pub fn preflight(requested: &str, allowed: &[HeaderName]) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([
        (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
        (
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, HEAD"),
        ),
        (
            ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(MAX_AGE_SECONDS),
        ),
    ]);
    let is_requested = |name: &&str| {
        let mut names = requested.split(',').map(str::trim);
        names.any(|other| other.eq_ignore_ascii_case(name))
    };
    let names = allowed.iter().map(HeaderName::as_str);
    let names: Vec<&str> = names.filter(is_requested).collect();
    if !names.is_empty() {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, value(&names.join(", ")));
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::headers::text;
    use http::header::{IF_NONE_MATCH, RANGE};

    #[track_caller]
    fn check(requested: &str, allowed: Option<&str>) {
        let headers = preflight(requested, &[RANGE, IF_NONE_MATCH]);
        assert_eq!(text(&headers, ACCESS_CONTROL_ALLOW_HEADERS), allowed);
        assert_eq!(text(&headers, ACCESS_CONTROL_ALLOW_ORIGIN), Some("*"));
        assert_eq!(
            text(&headers, ACCESS_CONTROL_ALLOW_METHODS),
            Some("GET, HEAD")
        );
        assert_eq!(text(&headers, ACCESS_CONTROL_MAX_AGE), Some("86400"));
    }

    #[test]
    fn of_the_headers_asked_for_those_of_a_read_are_allowed() {
        check("", None);
        check("range", Some("range"));
        check(
            "Range,IF-NONE-MATCH , x-other",
            Some("range, if-none-match"),
        );
        check("authorization, cookie", None);
    }
}
