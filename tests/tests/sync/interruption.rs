//! Runs that are killed at random moments, or interrupted: the next run continues, and nothing is sent twice.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::world::World;

/// Times that the run is killed, each at a random moment.
const KILLS: u64 = 50;

/// Uploads under way at most.
const CONCURRENCY: u64 = 8;

/// So many files that all killed runs together do not complete.
const FILES: u64 = 4000;

#[test]
fn killed_fifty_times_it_completes_and_sends_nothing_twice() {
    let world = World::origin();
    world.fill(FILES, 8000);
    world.faults(json!({ "kind": "latency", "latency_ms": 15, "method": "PUT" }));
    let mut random = fastrand::Rng::with_seed(e2e::seed());
    for kill in 0..KILLS {
        let before = world.requests().total;
        let mut child = world
            .command(&["--concurrency", &CONCURRENCY.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        // One in five while it starts, the others while it uploads, however slow the machine is.
        let begin = Instant::now();
        while kill % 5 > 0 && world.requests().total == before {
            assert!(begin.elapsed() < Duration::from_secs(60), "nothing is sent");
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(random.u64(..150)));
        child.kill().expect("killed");
        child.wait().expect("ended");
        // Bodies that were sent in full still arrive.
        world.wait_until_quiet();
    }
    let complete = world.requests().stored.len() as u64;
    assert!(
        (1..FILES).contains(&complete),
        "{complete} files: the kills were too early or too late to show anything"
    );
    let report = world.report(&[], 0);
    assert_eq!(report.number("/unchanged/files"), complete);
    assert_eq!(report.number("/uploaded/files"), FILES - complete);
    let requests = world.requests();
    assert_eq!(requests.stored.len() as u64, FILES);
    for (key, times) in &requests.stored {
        assert_eq!(*times, 1, "`{key}` was sent again after it was complete");
    }
    // Only requests that a kill has interrupted were sent again.
    let in_vain = requests.of("PutObject") - FILES;
    assert!(
        in_vain <= KILLS * CONCURRENCY,
        "{in_vain} requests more than files"
    );
    world.assert_all_there("");
    world.control().reset_requests().expect("reset");
    world.report(&[], 0).expect(0, FILES);
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
        // Uploads in progress were completed, so every request that arrived is in the report.
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
fn a_second_run_at_once_is_refused() {
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
        second
            .stderr
            .contains("another medialift process is using it"),
        "{}",
        second.stderr
    );
    first.kill().expect("killed");
    first.wait().expect("ended");
}
