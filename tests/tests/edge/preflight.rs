//! OPTIONS: a preflight is answered, anything else is refused.

use super::stack::default_stack;

/// Sends a preflight, as a browser does.
const PREFLIGHT: [(&str, &str); 2] = [
    ("Origin", "https://social.example"),
    ("Access-Control-Request-Method", "GET"),
];

/// The words of a list, sorted, in lower case.
fn words(list: &str) -> Vec<String> {
    let words = list.split(',').map(|word| word.trim().to_ascii_lowercase());
    let mut words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    words.sort();
    words
}

#[test]
fn a_preflight_is_granted_what_a_read_needs_for_a_day() {
    let stack = default_stack();
    let all = [
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
    ];
    for (asked, granted) in [
        ("", &[][..]),
        ("range", &["range"]),
        ("Range, If-Range", &["if-range", "range"]),
        (&all.join(","), &all),
        ("range,authorization,x-secret", &["range"]),
        ("cookie", &[]),
        ("*", &[]),
        ("range\t,\trange", &["range"]),
    ] {
        for method in ["GET", "HEAD", "PUT"] {
            let mut headers = PREFLIGHT.to_vec();
            headers[1].1 = method;
            if !asked.is_empty() {
                headers.push(("Access-Control-Request-Headers", asked));
            }
            let answer = stack.send("OPTIONS", "/preflight/a.png", &headers);
            assert_eq!(answer.status, 204, "{asked}");
            assert!(answer.body.is_empty());
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert_eq!(answer.header("access-control-max-age"), "86400");
            assert_eq!(answer.header("access-control-allow-credentials"), "");
            let methods = words(answer.header("access-control-allow-methods"));
            assert_eq!(methods, ["get", "head"]);
            let mut headers = words(answer.header("access-control-allow-headers"));
            headers.dedup();
            assert_eq!(headers, granted, "{asked}");
        }
    }
    assert_eq!(stack.gets("preflight/a.png"), 0);
}

#[test]
fn any_other_options_is_refused() {
    let stack = default_stack();
    for headers in [&[][..], &PREFLIGHT[..1], &PREFLIGHT[1..]] {
        let answer = stack.send("OPTIONS", "/preflight/b.png", headers);
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[test]
fn archives_and_imported_lists_are_refused_unless_the_settings_say_otherwise() {
    let stack = default_stack();
    for key in ["backups/a.zip", "imports/a.csv"] {
        stack.put(key, b"private");
        assert_eq!(stack.send("GET", &format!("/{key}"), &[]).status, 403);
        assert_eq!(stack.gets(key), 0);
    }
}
