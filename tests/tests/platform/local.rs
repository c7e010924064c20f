//! Platform mode where the platform's cache is absent, as under `wrangler dev`: the shipped
//! configuration, as it stands.

use e2e::scripted::{Answer, ScriptedOrigin, Side};
use tokio::runtime::Runtime;

use crate::bucket::{PURGE_SECRET, script};

#[test]
fn without_the_platforms_cache_the_engine_serves_and_the_log_says_so_once() {
    let runtime = Runtime::new().unwrap();
    let script = script("a b.png", [Answer::default()]);
    let origin = runtime.block_on(ScriptedOrigin::start(script)).unwrap();
    let url = origin.url(Side::Worker);
    let settings = [
        ("ORIGIN_URL", url.as_str()),
        ("PURGE_SECRET", PURGE_SECRET),
        ("CACHE_MODE", "platform"),
    ];
    let edge = e2e::edge::start(&settings).unwrap();
    let reader = e2e::client::Client::anonymous(edge.url.trim_end_matches('/'));
    let words: Vec<_> = (0..3)
        .map(|_| {
            let answer = reader.send("GET", "/a%20b.png?x=1", &[], &[]).unwrap();
            assert_eq!(answer.status, 200, "{}", edge.log());
            answer.header("x-cache-status").to_owned()
        })
        .collect();
    assert_eq!(
        (words[0].as_str(), words[2].as_str()),
        ("MISS", "HIT"),
        "{}",
        edge.log()
    );
    assert_eq!(
        edge.log().matches("platform_cache_absent").count(),
        1,
        "{}",
        edge.log()
    );
    let headers = [("X-Purge-Secret", PURGE_SECRET)];
    let purged = reader.send("PURGE", "/a%20b.png", &headers, &[]).unwrap();
    assert_eq!(purged.status, 200, "{}", edge.log());
    let again = reader.send("GET", "/a%20b.png", &[], &[]).unwrap();
    assert_eq!(again.header("x-cache-status"), "MISS");
    assert_eq!(origin.asked(Side::Worker, "a%20b.png").len(), 2);
}
