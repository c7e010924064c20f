//! Killed at random moments, or asked to end: the next run goes on, and nothing is sent twice.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::world::World;

#[test]
fn killed_ten_times_it_completes_and_sends_nothing_twice() {
    let world = World::origin();
    world.fill(1500, 8000);
    world.faults(json!({ "kind": "latency", "latency_ms": 15, "method": "PUT" }));
    let mut random = fastrand::Rng::new();
    for _ in 0..10 {
        let mut child = world
            .command(&["--concurrency", "8"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        std::thread::sleep(Duration::from_millis(random.u64(20..450)));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
    // What was under way when it was killed may have arrived whole: then it counts as there.
    std::thread::sleep(Duration::from_millis(300));
    let before = world.requests();
    let report = world.report(&[], 0);
    let (uploaded, unchanged) = (
        report.number("/uploaded/files"),
        report.number("/unchanged/files"),
    );
    assert_eq!(uploaded + unchanged, 1500);
    let there_before = before
        .by_key
        .values()
        .filter(|operations| operations.contains_key("PutObject"))
        .count() as u64;
    assert!(unchanged <= there_before);
    let after = world.requests();
    // Sent at most once more than the number of kills that may have cut it short; and those that
    // were complete, never again.
    let again = after.of("PutObject") - 1500;
    assert!(again <= 10 * 8, "{again} requests more than files");
    world.assert_all_there("");
    world.control().reset_requests().expect("reset");
    world.report(&[], 0).expect(0, 1500);
    assert_eq!(world.requests().of("PutObject"), 0);
}

#[test]
fn ctrl_c_and_term_end_cleanly_and_the_next_run_goes_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let world = World::origin();
        world.fill(600, 500);
        world.faults(json!({ "kind": "latency", "latency_ms": 60, "method": "PUT" }));
        let child = world
            .command(&["--concurrency", "8", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let begin = Instant::now();
        while world.requests().of("PutObject") < 50 {
            assert!(begin.elapsed() < Duration::from_secs(30), "nothing arrives");
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_process(Pid::from_child(&child), signal).expect("signalled");
        let output = child.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(130), "{output:?}");
        let report: serde_json::Value = serde_json::from_str(&text).expect("a report");
        assert_eq!(report["interrupted"], true);
        let sent = report["uploaded"]["files"].as_u64().expect("a number");
        // What was under way was let end, so every request that arrived is accounted for.
        assert_eq!(world.requests().of("PutObject"), sent);
        world.control().clear_faults().expect("cleared");
        world.report(&[], 0).expect(600 - sent, sent);
        world.assert_all_there("");
    }
}

#[test]
fn a_lost_or_broken_journal_is_rebuilt_and_nothing_is_sent() {
    let world = World::origin();
    world.fill(100, 500);
    world.report(&[], 0).expect(100, 0);
    let state = world.directory.path().join("state/medialift");
    for entry in std::fs::read_dir(&state).expect("the journal") {
        let path = entry.expect("an entry").path();
        let length = std::fs::metadata(&path).expect("a file").len();
        std::fs::write(&path, vec![0x5a; usize::try_from(length).expect("small")])
            .expect("written over");
    }
    let ran = world.run(&["--json"]).expect(0);
    assert!(ran.stderr.contains("rebuilt"), "{}", ran.stderr);
    let report = ran.json().expect("a report");
    assert_eq!(report["unchanged"]["files"], 100);
    assert_eq!(report["uploaded"]["files"], 0);
    let again = world.run(&["--json"]).expect(0);
    assert_eq!(again.stderr, "");
}

#[test]
fn two_runs_at_once_do_not_meet() {
    let world = World::origin();
    world.fill(100, 500);
    world.faults(json!({ "kind": "latency", "latency_ms": 200, "method": "PUT" }));
    let mut first = world
        .command(&["--concurrency", "2"])
        .stdout(Stdio::null())
        .spawn()
        .expect("it starts");
    let begin = Instant::now();
    while world.requests().of("PutObject") < 1 {
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing arrives");
        std::thread::sleep(Duration::from_millis(10));
    }
    let second = world.run(&[]).expect(1);
    assert!(
        second.stderr.contains("another run holds it"),
        "{}",
        second.stderr
    );
    first.kill().expect("killed");
    first.wait().expect("ended");
}
