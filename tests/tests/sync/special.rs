//! Entries of a media directory that are not regular files, and files that change meanwhile.

use std::fs;
use std::io::{Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use serde_json::json;

use super::world::World;

/// Makes a named pipe, by the command that every system has.
fn make_pipe(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo runs").success());
}

#[test]
fn what_is_no_file_is_named_counted_and_skipped() {
    let world = World::origin();
    world.fill(20, 100);
    let at = |name: &str| world.media().join(name);
    std::os::unix::fs::symlink("/etc/passwd", at("link.png")).expect("a link");
    std::os::unix::fs::symlink("/etc", at("linked")).expect("a link");
    let _socket = UnixListener::bind(at("socket")).expect("a socket");
    make_pipe(&at("pipe"));
    fs::write(
        world
            .media()
            .join(std::ffi::OsStr::from_bytes(b"latin-\xe9.png")),
        "x",
    )
    .expect("a file");
    fs::write(at("new\nline"), "x").expect("a file");
    // The edge answers 400 to this one.
    fs::write(at("c1\u{85}.png"), "x").expect("a file");
    let ran = world.run(&[]).expect(4);
    insta::assert_snapshot!(world.shown(&ran));
    let report = world.report(&[], 4);
    report.expect(0, 20);
    assert_eq!(
        report.0["skipped"],
        json!({
            "symlink": 1,
            "linked_directory": 1,
            "socket": 1,
            "fifo": 1,
            "not_utf8": 1,
            "control_character": 2
        })
    );
    assert_eq!(world.requests().of("PutObject"), 20);
}

#[test]
fn below_a_directory_that_became_a_link_nothing_is_deleted() {
    let world = World::origin();
    world.fill(20, 100);
    world.write("cache/a/1.png", "behind");
    world.report(&[], 0).expect(21, 0);
    let disk = world.directory.path().join("disk2");
    fs::rename(world.media().join("cache"), &disk).expect("moved to another disk");
    std::os::unix::fs::symlink(&disk, world.media().join("cache")).expect("a link");

    let ran = world.run(&["--delete", "--max-delete", "100"]).expect(1);
    assert!(
        ran.stderr.contains("could not be listed") && ran.stderr.contains("--follow-links"),
        "{}",
        ran.stderr
    );
    assert_eq!(world.object("cache/a/1.png").status, 200);

    // A link to nowhere may be a disk that is not mounted.
    fs::rename(&disk, world.directory.path().join("elsewhere")).expect("gone");
    world.run(&["--delete", "--max-delete", "100"]).expect(1);
    assert_eq!(world.requests().of("DeleteObject"), 0);
}

#[test]
fn what_lies_behind_a_link_is_sent_when_asked_for() {
    let world = World::origin();
    world.fill(5, 100);
    let disk = world.directory.path().join("disk2/cache");
    fs::create_dir_all(disk.join("a")).expect("a directory");
    fs::write(disk.join("a/1.png"), "behind").expect("a file");
    std::os::unix::fs::symlink(&disk, world.media().join("cache")).expect("a link");
    let report = world.report(&[], 4);
    report.expect(5, 0);
    assert_eq!(report.0["skipped"], json!({ "linked_directory": 1 }));
    world.report(&["--follow-links"], 0).expect(1, 5);
    assert_eq!(world.object("cache/a/1.png").body, b"behind");
}

#[test]
fn a_list_leads_over_no_link() {
    let world = World::origin();
    world.write("a.png", "a");
    let outside = world.directory.path().join("outside");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("secret"), "secret").expect("a file");
    std::os::unix::fs::symlink("../outside", world.media().join("linked")).expect("a link");
    fs::write(
        world.directory.path().join("list"),
        "linked/secret\na.png\n",
    )
    .expect("a list");
    let report = world.report(&["--files-from", "list"], 4);
    report.expect(1, 0);
    assert_eq!(report.0["skips"][0]["path"], "linked/secret");
    assert_eq!(world.object("linked/secret").status, 404);
}

#[test]
fn files_that_vanish_meanwhile_are_counted_and_no_problem() {
    let world = World::origin();
    world.fill(300, 100);
    world.faults(json!({ "kind": "latency", "latency_ms": 50, "method": "PUT" }));
    let paths: Vec<String> = world.files().into_keys().collect();
    let report = std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run(&["--concurrency", "2", "--json"]));
        while world.requests().of("PutObject") < 5 {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        for path in &paths[280..] {
            fs::remove_file(world.media().join(path)).expect("removed");
        }
        run.join()
            .expect("it ran")
            .expect(0)
            .json()
            .expect("a report")
    });
    assert_eq!(report["skipped"], json!({ "vanished": 20 }), "{report}");
    assert_eq!(report["uploaded"]["files"], 280);
}

#[test]
fn a_key_of_1024_bytes_arrives_and_a_longer_one_is_named() {
    let world = World::origin();
    let name = |length: usize| {
        let mut name = String::new();
        while length - name.len() > 201 {
            name.push_str(&"d".repeat(200));
            name.push('/');
        }
        let left = length - name.len();
        name + &"f".repeat(left)
    };
    world.write(&name(1024), "longest");
    let long = world.media().join(name(1005));
    fs::create_dir_all(&long).expect("a directory");
    fs::write(long.join("g".repeat(30)), "too long").expect("a file");
    let report = world.report(&[], 4);
    report.expect(1, 0);
    assert_eq!(report.0["skipped"], json!({ "key_too_long": 1 }));
    assert_eq!(world.object(&name(1024)).body, b"longest");
}

#[test]
fn a_file_that_keeps_changing_is_named_and_never_half_stored() {
    let world = World::origin();
    world.fill(20, 100);
    world.write("moving.mp4", vec![0; 4 << 20]);
    // Each attempt takes longer than the time between two changes of the file.
    world.faults(json!({ "kind": "latency", "latency_ms": 500, "key_prefix": "moving" }));
    let path = world.media().join("moving.mp4");
    let done = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut file = fs::File::options().write(true).open(&path).expect("open");
            let mut byte = 0_u8;
            while !done.load(Relaxed) {
                byte = byte.wrapping_add(1);
                for place in [0, 2 << 20, (4 << 20) - 1] {
                    file.seek(std::io::SeekFrom::Start(place)).expect("seek");
                    file.write_all(&[byte]).expect("write");
                }
            }
        });
        let ran = world.run(&["--json"]);
        done.store(true, Relaxed);
        ran.expect(4).json().expect("a report")
    });
    assert_eq!(report["skipped"], json!({ "changing": 1 }), "{report}");
    assert_eq!(report["uploaded"]["files"], 20);
    // Without further changes it is uploaded.
    world.report(&[], 0).expect(1, 20);
    world.assert_all_there("");
}

/// Slowly enough to be digested in between, and too fast to be sent in one state.
#[test]
fn a_file_that_was_given_up_while_it_changed_is_sent_by_the_next_run() {
    let world = World::origin();
    world.write("moving.mp4", vec![0; 4 << 20]);
    world.faults(json!({ "kind": "latency", "latency_ms": 1000, "method": "PUT" }));
    let path = world.media().join("moving.mp4");
    let done = AtomicBool::new(false);
    let report = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Relaxed) {
                std::thread::sleep(std::time::Duration::from_millis(400));
                let mut file = fs::File::options().append(true).open(&path).expect("open");
                file.write_all(b"more").expect("write");
            }
        });
        let ran = world.run(&["--json"]);
        done.store(true, Relaxed);
        ran.expect(4).json().expect("a report")
    });
    assert_eq!(report["skipped"], json!({ "changing": 1 }), "{report}");
    world.faults(json!([]));
    let stored = world.object("moving.mp4");
    assert_eq!(stored.status, 200, "a former state was sent");
    world.report(&[], 0).expect(1, 0);
    world.assert_all_there("");
}

#[test]
fn a_file_that_vanishes_grows_or_is_replaced_meanwhile_stops_nothing() {
    let world = World::origin();
    world.fill(300, 2000);
    world.faults(json!({ "kind": "latency", "latency_ms": 20, "method": "PUT" }));
    let mut random = fastrand::Rng::with_seed(5);
    let paths: Vec<String> = world.files().into_keys().collect();
    std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run(&["--concurrency", "4", "--json"]));
        while !run.is_finished() {
            let path = world.media().join(&paths[random.usize(..paths.len())]);
            match random.u8(..3) {
                0 => drop(fs::remove_file(&path)),
                1 => {
                    if let Ok(mut file) = fs::File::options().append(true).open(&path) {
                        file.write_all(b"more").expect("write");
                    }
                }
                _ => {
                    let new = path.with_extension("new");
                    fs::write(&new, "replaced").expect("write");
                    fs::rename(&new, &path).expect("rename");
                }
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let ran = run.join().expect("it ran");
        assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
        let report = ran.json().expect("a report");
        assert_eq!(report["failed"], 0, "{report}");
    });
    let ran = world.run(&["--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    world.assert_all_there("");
}

/// What happens to a file while it is sent.
const MISHAPS: [&str; 4] = ["cut short", "made longer", "replaced", "removed"];

fn mishap(path: &std::path::Path, what: &str) {
    let open = || fs::File::options().write(true).open(path).expect("open");
    match what {
        "cut short" => open().set_len(1 << 20).expect("cut"),
        "made longer" => open().set_len(13 << 20).expect("longer"),
        "replaced" => {
            let new = path.with_extension("new");
            fs::write(&new, vec![7; 3 << 20]).expect("write");
            fs::rename(&new, path).expect("rename");
        }
        _ => fs::remove_file(path).expect("removed"),
    }
}

#[test]
fn a_file_that_changes_under_way_is_stored_whole_in_one_version_or_not_at_all() {
    // One is sent in one request, the other in parts.
    for size in [4 << 20, 12 << 20] {
        for what in MISHAPS {
            changed_under_way(size, what);
        }
    }
}

fn changed_under_way(size: usize, what: &str) {
    let world = World::origin();
    let before = vec![3; size];
    world.write("video.mp4", &before);
    world.faults(
        json!({ "kind": "latency", "latency_ms": 1000, "method": "PUT", "key_prefix": "video" }),
    );
    let arguments = ["--multipart-from", "6MiB", "--part-size", "5MiB", "--json"];
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run(&arguments));
        let begin = std::time::Instant::now();
        while world.requests().by_key.is_empty() {
            assert!(begin.elapsed().as_secs() < 60, "nothing is sent");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        mishap(&world.media().join("video.mp4"), what);
        run.join().expect("it ran")
    });
    let of = format!("{size} bytes, {what}");
    let stored = world.object("video.mp4");
    let report = ran.json().expect("a report");
    if what == "removed" {
        // It was whole when it was read, so that may be there; else it is named.
        let whole = stored.status == 200 && stored.body == before;
        assert!(whole || stored.status == 404, "{of}: {}", stored.status);
        assert!(
            report["uploaded"]["files"] == 1 || report["skipped"]["vanished"] == 1,
            "{of}: {report}"
        );
        return;
    }
    assert_eq!(ran.code, Some(0), "{of}: {ran:?}");
    assert_eq!(report["uploaded"]["files"], 1, "{of}: {report}");
    assert_eq!(stored.status, 200, "{of}");
    let after = fs::read(world.media().join("video.mp4")).expect("the file");
    world.control().clear_faults().expect("cleared");
    if what == "replaced" && stored.body == before {
        // The file that was opened is another by now; the next run sees the one in its place.
        world.report(&arguments[..4], 0).expect(1, 0);
        assert!(world.object("video.mp4").body == after, "{of}");
    } else {
        // The change is noticed and the upload repeated: the object is the file's last state.
        assert!(stored.body == after, "{of}: {} bytes", stored.body.len());
        world.report(&arguments[..4], 0).expect(0, 1);
    }
}

#[test]
fn a_small_file_that_changes_before_it_is_sent_again_arrives_as_it_is_then() {
    let before = vec![3; 100_000];
    for (what, after) in [
        ("rewritten", vec![4; 100_000]),
        ("made longer", vec![4; 130_000]),
        ("cut short", vec![4; 70_000]),
        ("left alone", before.clone()),
    ] {
        let world = World::origin();
        world.write("photo.png", &before);
        world.faults(json!({ "kind": "slow_down", "next": 1, "method": "PUT", "retry_after": 2 }));
        let path = world.media().join("photo.png");
        let report = std::thread::scope(|scope| {
            let run = scope.spawn(|| world.run(&["--json"]));
            let begin = std::time::Instant::now();
            while world.requests().of("PutObject") == 0 {
                assert!(begin.elapsed().as_secs() < 60, "nothing is sent");
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            if after != before {
                fs::write(&path, &after).expect("write");
            }
            let ran = run.join().expect("it ran").expect(0);
            ran.json().expect("a report")
        });
        assert_eq!(report["uploaded"]["files"], 1, "{what}: {report}");
        assert!(world.object("photo.png").body == after, "{what}");
        world.report(&[], 0).expect(0, 1);
    }
}

#[test]
fn a_pipe_that_takes_a_files_place_does_not_block() {
    let world = World::origin();
    world.fill(50, 100);
    // The list is slow, so that the pipe is there when the walk has seen a file.
    world.faults(json!({ "kind": "latency", "latency_ms": 5000, "operation": "ListObjectsV2" }));
    let path = world.media().join("accounts/000/00/0.png");
    std::thread::scope(|scope| {
        let run = scope.spawn(|| world.run(&["--json"]));
        let begin = std::time::Instant::now();
        while world.requests().of("ListObjectsV2") == 0 {
            assert!(begin.elapsed().as_secs() < 60, "it does not list");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        std::thread::sleep(std::time::Duration::from_millis(1000));
        fs::remove_file(&path).expect("removed");
        make_pipe(&path);
        let report = run
            .join()
            .expect("it ran")
            .expect(4)
            .json()
            .expect("a report");
        assert_eq!(report["skipped"], json!({ "fifo": 1 }));
        assert_eq!(report["uploaded"]["files"], 49);
    });
}
