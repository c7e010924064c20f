//! An origin that stalls in the middle of an answer.

use super::scripted::ScriptedStack;
use e2e::scripted::{Answer, Fault};
use std::time::{Duration, Instant};

/// How long a body of 400 kB may take on its way into the store (`store.rs`: 85 s), and a little more.
const LONGEST: Duration = Duration::from_secs(100);

#[test]
fn a_fill_whose_body_stalls_is_given_up() {
    let stalled = Answer {
        size: Some(400_000),
        fault: Some(Fault::Stall),
        after: 100_000,
        ..Answer::default()
    };
    let whole = Answer {
        fault: None,
        ..stalled.clone()
    };
    let answers = vec![stalled, whole];
    let script = [("stalled.png".to_owned(), answers)].into();
    let stack = ScriptedStack::play(script, &[]);
    let since = Instant::now();
    let address = stack.edge.url.trim_end_matches('/');
    assert!(read_until_it_breaks_off(&format!("{address}/stalled.png")) < 400_000);
    let elapsed = since.elapsed();
    assert!(elapsed < LONGEST, "{elapsed:?}");
    assert_eq!(stack.asked("stalled.png"), 1);
    // Nothing of the half is stored, and the lock is free.
    let whole = stack.send("GET", "/stalled.png", &[]);
    assert_eq!((whole.status, whole.body.len()), (200, 400_000));
    assert_eq!(whole.header("x-cache-status"), "MISS");
    assert_eq!(stack.asked("stalled.png"), 2);
}

/// How many bytes come before the connection ends.
fn read_until_it_breaks_off(url: &str) -> usize {
    use std::io::Read as _;
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(LONGEST * 2))
        .proxy(None)
        .build()
        .into();
    let mut reader = agent.get(url).call().unwrap().into_body().into_reader();
    let mut chunk = vec![0; 64 * 1024];
    let mut read = 0;
    loop {
        match reader.read(&mut chunk) {
            Ok(0) => panic!("{read} bytes look like the whole"),
            Ok(count) => read += count,
            Err(_) => return read,
        }
    }
}
