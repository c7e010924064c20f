//! Files in parts, resumed across runs.

use std::time::{Duration, Instant};

use e2e::client::Client;
use serde_json::json;

use super::world::{Server, World};
use testkit::stack::{Bodies, Origin, OriginOptions};

const PARTS: [&str; 4] = ["--multipart-from", "6MiB", "--part-size", "5MiB"];

fn content(seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..32 << 20).map(|_| random.u8(..)).collect()
}

/// Parts of [`content`] that arrive before the kill, and all of them.
const BEFORE: u64 = 4;
const ALL: u64 = 7;

/// Begins an upload of seven parts and kills it when four of them are there.
fn killed_half_way(world: &World) {
    world.faults(json!({ "kind": "hang", "spare": BEFORE, "operation": "UploadPart" }));
    let mut child = world.command(&PARTS).spawn().expect("it starts");
    let begin = Instant::now();
    loop {
        let requests = world.requests();
        let parts = requests.of("UploadPart");
        // The others hang, and nothing else is under way: the first ones have been stored.
        if parts > BEFORE && requests.under_way == parts - BEFORE {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "no part arrives");
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    world.control().clear_faults().expect("cleared");
    world.control().reset_requests().expect("reset");
}

#[test]
fn a_killed_upload_goes_on_with_the_parts_that_are_missing() {
    let world = World::origin();
    world.write("video.mp4", content(1));
    killed_half_way(&world);
    world.report(&PARTS, 0).expect(1, 0);
    let requests = world.requests();
    assert_eq!(requests.of("UploadPart"), ALL - BEFORE);
    assert_eq!(requests.of("CreateMultipartUpload"), 0);
    world.assert_all_there("");
    world.report(&PARTS, 0).expect(0, 1);
}

/// More files than the memory budget has parts for, each of more parts than are digested at once.
#[test]
fn many_large_files_at_once_do_not_wait_for_each_other() {
    const FILES: usize = 20;
    const BYTES: u64 = 45 << 20;
    let origin = Origin::start(OriginOptions {
        bodies: Bodies::Trusted,
        ..OriginOptions::default()
    });
    let world = World {
        server: Server::Origin(origin.expect("the origin starts")),
        directory: tempfile::tempdir().expect("a directory"),
    };
    for number in 0..FILES {
        let path = world.media().join(format!("clip-{number}.mp4"));
        world.write(&format!("clip-{number}.mp4"), []);
        let file = std::fs::File::options().write(true).open(path);
        file.and_then(|file| file.set_len(BYTES))
            .expect("a file of holes");
    }
    world.report(&PARTS, 0).expect(FILES as u64, 0);
    assert_eq!(world.requests().of("UploadPart"), 9 * FILES as u64);
    world.report(&PARTS, 0).expect(0, FILES as u64);
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
    let report = world.report(&PARTS, 0);
    report.expect(1, 0);
    assert_eq!(report.number("/retries"), 6);
    world.assert_all_there("");
}

#[test]
fn a_page_in_place_of_the_result_is_no_upload() {
    let world = World::origin();
    world.write("video.mp4", content(4));
    world.faults(json!({ "kind": "portal", "operation": "CompleteMultipartUpload" }));
    let report = world.report(&PARTS, 4);
    report.expect(0, 0);
    assert_eq!(report.number("/failed"), 1);
    assert_eq!(world.object("video.mp4").status, 404);
    world.control().clear_faults().expect("cleared");
    // The parts are there yet.
    world.control().reset_requests().expect("reset");
    world.report(&PARTS, 0).expect(1, 0);
    assert_eq!(world.requests().of("UploadPart"), 0);
    world.assert_all_there("");
}

#[test]
fn an_upload_whose_result_was_lost_is_found_by_asking() {
    let world = World::origin();
    world.write("video.mp4", content(5));
    world.faults(
        json!({ "kind": "lost_answer", "next": 1, "operation": "CompleteMultipartUpload" }),
    );
    world.report(&PARTS, 0).expect(1, 0);
    let requests = world.requests();
    assert_eq!(requests.of("HeadObject"), 1);
    assert_eq!(requests.of("UploadPart"), ALL);
    world.report(&PARTS, 0).expect(0, 1);
}

#[test]
fn an_upload_that_somebody_else_began_is_never_touched() {
    let world = World::origin();
    world.write("video.mp4", content(6));
    let begin = || {
        let path = format!("{}?uploads=", Client::path("media", "video.mp4"));
        let answer = world.client().send("POST", &path, &[], &[]);
        answer.expect("an answer").element("UploadId")
    };
    let theirs = begin();
    world.report(&PARTS, 0).expect(1, 0);
    let requests = world.requests();
    assert_eq!(requests.of("ListMultipartUploads"), 0);
    assert_eq!(requests.of("AbortMultipartUpload"), 0);
    let listed = world.client().send("GET", "/media?uploads=", &[], &[]);
    assert_eq!(listed.expect("an answer").element("UploadId"), theirs);
}
