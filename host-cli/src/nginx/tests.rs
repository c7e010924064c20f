//! Tests of `nginx`. How nginx behaves with the configuration is tested in `own_nginx`.

use super::*;
use crate::config::Endpoint;

fn settings() -> ProxySettings {
    ProxySettings {
        files_url: SiteUrl::parse("https://files.example.com").unwrap(),
        target: Target {
            endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
            region: "us-west-004".to_owned(),
            bucket: "media".to_owned(),
            key_prefix: String::new(),
        },
        cache_dir: PathBuf::from("/var/cache/medialift"),
        cache_size: CacheSize::parse("10g").unwrap(),
        fresh_seconds: 172_800,
        stale_seconds: 2_592_000,
        origin_cache_control: OriginCacheControl::Ignore,
        deny_prefixes: vec!["backups/".to_owned(), "imports/".to_owned()],
        certificates: None,
        ca_file: PathBuf::from("/etc/ssl/certs/ca-certificates.crt"),
        fallback_dir: None,
        background_update: false,
    }
}

#[track_caller]
fn check_lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(
            text.lines().any(|found| found.trim() == *line),
            "`{line}` is missing:\n{text}"
        );
    }
}

#[test]
fn every_placeholder_is_replaced() {
    let placeholder = regex::Regex::new(r"\{[A-Z_]+\}").unwrap();
    let mut settings = settings();
    for text in [files(&settings), old_addresses(&settings.files_url, ""), {
        settings.files_url = SiteUrl::parse("http://127.0.0.1:8080").unwrap();
        settings.target.endpoint = Endpoint::parse("http://127.0.0.1:9000").unwrap();
        settings.deny_prefixes.clear();
        files(&settings)
    }] {
        assert!(!placeholder.is_match(&text), "{text}");
        assert!(!text.contains("\n\n\n"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count());
    }
}

#[test]
fn no_server_logs_its_readers() {
    let text = files(&settings());
    let count = |line: &str| text.lines().filter(|found| found.trim() == line).count();
    assert_eq!(count("server {"), 2, "{text}");
    assert_eq!(count("access_log off;"), 2, "{text}");
}

#[test]
fn the_settings_are_in_the_configuration() {
    check_lines(
        &files(&settings()),
        &[
            "proxy_cache_path /var/cache/medialift levels=1:2 keys_zone=media_files_example_com:21m max_size=10g inactive=2764800s use_temp_path=off;",
            "server s3.us-west-004.backblazeb2.com:443 max_fails=0;",
            "proxy_set_header Host s3.us-west-004.backblazeb2.com;",
            "proxy_cache_valid 200 172800s;",
            "rewrite \"^/(.*)$\" /media/$1? break;",
            "proxy_pass https://media_files_example_com_bucket;",
            "location ~ \"^/(?:backups/|imports/)\" {",
            "ssl_certificate /etc/letsencrypt/live/files.example.com/fullchain.pem;",
            "return 301 https://files.example.com$request_uri;",
            "proxy_ssl_name s3.us-west-004.backblazeb2.com;",
        ],
    );
}

#[test]
fn a_key_prefix_is_put_before_a_path_once() {
    let mut settings = settings();
    settings.target.key_prefix = "a.b/".to_owned();
    check_lines(
        &files(&settings),
        &[
            r#"rewrite "^/(?:a\.b/)?+(.*)$" /media/a.b/$1? break;"#,
            r#"location ~ "^/(?:a\.b/)?+(?:backups/|imports/)" {"#,
            r#"if ($uri ~ "^/(?:a\.b/)?+.{1021}") {"#,
        ],
    );
    check_lines(
        &old_addresses(&settings.files_url, &settings.target.key_prefix),
        &["return 302 https://files.example.com/a.b/$1;"],
    );
}

#[test]
fn a_loopback_address_has_no_certificate() {
    let mut settings = settings();
    settings.files_url = SiteUrl::parse("http://127.0.0.1:8080").unwrap();
    let text = files(&settings);
    check_lines(&text, &["listen 127.0.0.1:8080;"]);
    assert!(
        !text.contains("ssl_certificate") && !text.contains("return 301"),
        "{text}"
    );
}

#[test]
fn all_faults_are_reported_at_once() {
    let mut settings = settings();
    assert!(faults(&settings).is_empty(), "{:?}", faults(&settings));
    settings.files_url = SiteUrl::parse("https://example.com/media").unwrap();
    settings.target.key_prefix = "a$b/".to_owned();
    settings.deny_prefixes.push("c d/".to_owned());
    settings.cache_dir = PathBuf::from("cache;");
    assert_eq!(faults(&settings).len(), 5, "{:?}", faults(&settings));
}

#[test]
fn a_size_is_as_nginx_writes_it() {
    for (text, expected) in [
        ("10g", Some("10g")),
        ("500M", Some("500m")),
        ("1048576", Some("1048576")),
        ("0g", None),
        ("g", None),
        ("+1g", None),
        ("10 g", None),
        ("10t", None),
    ] {
        let size = CacheSize::parse(text).ok().map(|size| size.to_string());
        assert_eq!(size.as_deref(), expected, "{text}");
    }
    let zone = |text| CacheSize::parse(text).unwrap().zone();
    assert_eq!((zone("1m"), zone("10g"), zone("100g")), (10, 21, 205));
}
