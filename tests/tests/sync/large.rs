//! Files in parts, resumed across runs.

use std::time::{Duration, Instant};

use serde_json::json;

use super::world::World;

const PARTS: [&str; 4] = ["--multipart-from", "6MiB", "--part-size", "5MiB"];

fn content(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..32 << 20).map(|_| random.u8(..)).collect()
}

/// Begins an upload of seven parts and kills it when some of them are there.
fn killed_half_way(world: &World) -> u64 {
    world.faults(json!({ "kind": "latency", "latency_ms": 300, "operation": "UploadPart" }));
    let mut child = world.command(&PARTS).spawn().expect("it starts");
    let begin = Instant::now();
    while world.requests().of("UploadPart") < 5 {
        assert!(begin.elapsed() < Duration::from_secs(30), "no part arrives");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    world.control().clear_faults().expect("cleared");
    std::thread::sleep(Duration::from_millis(400));
    let sent = world.requests().of("UploadPart");
    world.control().reset_requests().expect("reset");
    sent
}

#[test]
fn a_killed_upload_goes_on_with_the_parts_that_are_missing() {
    let world = World::origin();
    world.write("video.mp4", content(1));
    let before = killed_half_way(&world);
    assert!((1..7).contains(&before), "{before} parts before the kill");
    world.report(&PARTS, 0).expect(1, 0);
    let requests = world.requests();
    let after = requests.of("UploadPart");
    assert!(after < 7, "{after} parts were sent again");
    assert_eq!(requests.of("CreateMultipartUpload"), 0);
    world.assert_all_there("");
    world.report(&PARTS, 0).expect(0, 1);
}

#[test]
fn parts_of_a_file_that_was_replaced_are_sent_again() {
    let world = World::origin();
    world.write("video.mp4", content(1));
    killed_half_way(&world);
    world.write("video.mp4", content(2));
    world.report(&PARTS, 0).expect(1, 0);
    world.assert_all_there("");
}

#[test]
fn another_part_size_begins_anew_and_gives_the_old_parts_back() {
    let world = World::origin();
    world.write("video.mp4", content(1));
    killed_half_way(&world);
    world
        .report(&["--multipart-from", "6MiB", "--part-size", "7MiB"], 0)
        .expect(1, 0);
    assert_eq!(world.requests().of("AbortMultipartUpload"), 1);
    world.assert_all_there("");
}

#[test]
fn broken_connections_and_errors_in_parts_lose_nothing() {
    let world = World::origin();
    world.write("video.mp4", content(3));
    world.faults(json!([
        { "kind": "reset", "next": 3, "operation": "UploadPart", "after_bytes": 70_000 },
        { "kind": "slow_down", "next": 2, "operation": "UploadPart" },
        { "kind": "internal_error", "next": 1, "operation": "CompleteMultipartUpload" },
    ]));
    world.report(&PARTS, 0).expect(1, 0);
    world.assert_all_there("");
}
