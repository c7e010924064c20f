//! A service that is slow, busy, broken or gone for a while.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use testkit::stack::{Origin, OriginOptions};

use super::world::{Server, World};

#[test]
fn a_storm_of_503_and_500_loses_nothing() {
    let world = World::origin();
    world.fill(300, 3000);
    world.faults(json!([
        { "kind": "slow_down", "rate": 0.2 },
        { "kind": "internal_error", "rate": 0.1 },
    ]));
    let report = world.report(&[], 0);
    report.expect(300, 0);
    assert!(report.number("/retries") > 0);
    world.control().clear_faults().expect("cleared");
    world.assert_all_there("");
    world.report(&[], 0).expect(0, 300);
}

#[test]
fn reset_and_truncated_connections_lose_nothing() {
    let world = World::origin();
    world.fill(200, 100_000);
    world.write("middle.mp4", vec![9; 3 << 20]);
    world.faults(json!([
        { "kind": "reset", "rate": 0.1, "method": "PUT" },
        { "kind": "reset", "rate": 0.1, "method": "PUT", "after_bytes": 1000 },
        { "kind": "truncate", "next": 2, "method": "GET" },
    ]));
    let report = world.report(&[], 0);
    report.expect(201, 0);
    assert!(report.number("/retries") > 0);
    world.control().clear_faults().expect("cleared");
    world.assert_all_there("");
}

#[test]
fn retry_after_is_waited_for() {
    let world = World::origin();
    world.write("a", "a");
    world.faults(json!({ "kind": "slow_down", "next": 1, "method": "PUT", "retry_after": 2 }));
    let begin = Instant::now();
    world.report(&[], 0).expect(1, 0);
    assert!(begin.elapsed() >= Duration::from_secs(2));
}

#[test]
fn the_rate_that_the_endpoint_bears_is_found() {
    let world = World::origin();
    world.fill(2400, 200);
    world.faults(json!({ "kind": "slow_down", "max_per_second": 200 }));
    let report = world.report(&[], 0);
    report.expect(2400, 0);
    // Without a limit on its rate, a run would be refused thousands of times. How near it comes to the
    // rate is `tune.rs`'s own test; here, that it does not crawl: 12 s is the least there is.
    let refused = world.requests().refused;
    assert!(refused < 800, "{refused} requests were refused");
    let seconds = report.0["seconds"].as_f64().expect("seconds");
    assert!(seconds < 60.0, "{seconds} s for 2,400 files");
}

#[test]
fn a_rate_is_kept() {
    let world = World::origin();
    world.fill(60, 100);
    let begin = Instant::now();
    world.report(&["--max-rate", "30"], 0).expect(60, 0);
    assert!(
        begin.elapsed() >= Duration::from_millis(1900),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_bandwidth_is_kept() {
    let world = World::origin();
    for number in 0..10 {
        world.write(&format!("small{number}"), vec![1; 100_000]);
    }
    world.write("middle", vec![1; 1_000_000]);
    let begin = Instant::now();
    world.report(&["--bwlimit", "1MB"], 0).expect(11, 0);
    assert!(
        begin.elapsed() >= Duration::from_millis(1700),
        "{:?}",
        begin.elapsed()
    );
}

#[test]
fn a_service_that_only_fails_ends_the_run_with_one_message() {
    let world = World::origin();
    world.fill(200, 100);
    world.faults(json!({ "kind": "internal_error", "method": "PUT" }));
    let ran = world.run(&["--retry-for", "1"]).expect(1);
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("hint: the service is overloaded or fails"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_file_that_is_refused_is_named_and_the_rest_arrives() {
    let world = World::origin();
    world.fill(50, 100);
    world.write("bad/one.png", "x");
    world.faults(
        json!({ "kind": "status", "status": 400, "code": "InvalidRequest", "key_prefix": "bad/" }),
    );
    let ran = world.run(&[]).expect(4);
    insta::assert_snapshot!(world.shown(&ran));
    let report = world.report(&[], 4);
    report.expect(0, 50);
    assert_eq!(report.0["failures"][0]["path"], "bad/one.png");
    world.control().clear_faults().expect("cleared");
    world.report(&[], 0).expect(1, 50);
}

#[test]
fn a_file_whose_bytes_arrive_damaged_is_sent_four_times_and_no_more() {
    let world = World::origin();
    for (path, size) in [("small", 10), ("streamed", 1 << 20)] {
        world.write(path, vec![7; size]);
    }
    world.faults(json!({ "kind": "status", "status": 400, "code": "BadDigest", "method": "PUT" }));
    let report = world.report(&[], 4);
    report.expect(0, 0);
    let requests = report.number("/requests");
    assert_eq!(requests, 1 + 2 * 4, "one to list the bucket");
    for failure in report.0["failures"].as_array().expect("failures") {
        let error = failure["error"].as_str().expect("an error");
        assert!(error.contains("4 attempts"), "{error}");
    }
    world.control().clear_faults().expect("cleared");
    world.report(&[], 0).expect(2, 0);
}

/// The service, or what answers in its place, says 200 and names no MD5.
#[test]
fn an_upload_counts_only_by_the_md5_of_what_was_sent() {
    let world = World::origin();
    for (path, size) in [("small", 10), ("streamed", 1 << 20)] {
        world.write(path, vec![7; size]);
    }
    world.faults(json!({ "kind": "portal", "operation": "PutObject" }));
    let report = world.report(&[], 4);
    report.expect(0, 0);
    assert_eq!(report.number("/failed"), 2);
    world.control().clear_faults().expect("cleared");
    world.report(&[], 0).expect(2, 0);
}

/// Begins a run that says `arguments`, and takes the origin away when some files have arrived. Gives the run,
/// and the way to start the origin anew.
fn gone_half_way(
    world: &mut World,
    arguments: &[&str],
) -> (std::process::Child, impl Fn() -> Origin + use<>) {
    let scratch = world.directory.path().join("origin");
    std::fs::create_dir(&scratch).expect("a directory");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let listen = free.local_addr().expect("an address").to_string();
    drop(free);
    let start = move || {
        Origin::start(OriginOptions {
            directory: Some(scratch.clone()),
            listen: listen.clone(),
            ..OriginOptions::default()
        })
        .expect("the origin starts")
    };
    world.server = Server::Origin(start());
    world.fill(400, 2000);
    world.faults(json!({ "kind": "latency", "latency_ms": 40, "method": "PUT" }));
    let child = world
        .command(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let begin = Instant::now();
    while world.requests().of("PutObject") < 40 {
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing arrives");
        std::thread::sleep(Duration::from_millis(10));
    }
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(world.control().id().cast_signed()).expect("a process"),
        rustix::process::Signal::KILL,
    )
    .expect("killed");
    (child, start)
}

#[test]
fn a_lost_network_is_waited_for_and_reported() {
    let mut world = World::origin();
    // Longer than any request is tried again.
    let arguments = ["--concurrency", "8", "--json", "--retry-for", "2"];
    let (child, start) = gone_half_way(&mut world, &arguments);
    std::thread::sleep(Duration::from_secs(9));
    world.server = Server::Origin(start());
    let output = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(
        printed.contains("the network is unreachable")
            && printed.contains("the network is reachable again"),
        "{printed}"
    );
    world.assert_all_there("");
    world.report(&[], 0).expect(0, 400);
}

#[test]
fn a_lost_network_ends_the_run_where_a_flag_asks_for_it() {
    let mut world = World::origin();
    let arguments = ["--concurrency", "8", "--give-up-after", "2"];
    let (child, _) = gone_half_way(&mut world, &arguments);
    let output = child.wait_with_output().expect("it ends");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert_eq!(printed.matches("error:").count(), 1, "{printed}");
    assert!(printed.contains("no connection"), "{printed}");
}

#[test]
fn one_key_that_is_refused_ends_no_run_and_sixteen_in_a_row_do() {
    for (status, code) in [(403, "AccessDenied"), (400, "InvalidRequest")] {
        let world = World::origin();
        world.fill(50, 100);
        world.write("bad/one.png", "x");
        let refused = |prefix: &str| {
            world.faults(json!({
                "kind": "status", "status": status, "code": code,
                "method": "PUT", "key_prefix": prefix
            }));
        };
        refused("bad/");
        let report = world.report(&[], 4);
        report.expect(50, 0);
        assert_eq!(report.0["failures"][0]["path"], "bad/one.png");
        world.fill(60, 100);
        refused("accounts/");
        let ran = world.run(&["--state-dir", "other", "--replace"]).expect(1);
        assert!(
            ran.stderr
                .contains("the 16th file in a row that is refused"),
            "{}",
            ran.stderr
        );
        assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    }
}

#[test]
fn one_request_a_file_and_one_listing_per_thousand() {
    let world = World::origin();
    world.fill(2500, 100);
    world.report(&[], 0).expect(2500, 0);
    let requests = world.requests();
    assert_eq!(requests.of("PutObject"), 2500);
    assert_eq!(requests.total, 2501, "{:?}", requests.by_operation);
    world.control().reset_requests().expect("reset");
    world.report(&[], 0).expect(0, 2500);
    let requests = world.requests();
    assert_eq!(requests.of("ListObjectsV2"), 3);
    assert_eq!(requests.total, 3, "{:?}", requests.by_operation);
}
