//! Disks that are full: the service's, and this machine's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use e2e::mounts::in_own_mounts;
use testkit::process::{Guarded, scratch_directory};
use testkit::stack::binary;

use super::world::World;

/// Runs what is added to it with a file system of `size` at `place`, which goes away with the process.
fn with_small_disk(size: &str, place: &Path) -> Command {
    let script = format!("mount -t tmpfs -o size={size} none \"$0\" && exec \"$@\"");
    let mut command = in_own_mounts(&script).expect("mounts of its own");
    command.arg(place);
    command
}

/// A run of `medialift sync` whose journal is on a disk of `size`.
fn with_small_state(world: &World, size: &str) -> e2e::medialift::Ran {
    let state = world.directory.path().join("small");
    fs::create_dir_all(&state).expect("a directory");
    let plain = world.command(&["--state-dir", "small", "--json"]);
    let mut command = with_small_disk(size, &state);
    command
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(world.directory.path())
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    world.ran(&mut command)
}

#[test]
fn a_full_disk_of_the_service_ends_the_run_and_with_room_it_goes_on() {
    let scratch = scratch_directory("sync-full").expect("a directory");
    let disk = scratch.path().join("disk");
    fs::create_dir(&disk).expect("a directory");
    let mut command = with_small_disk("2m", &disk);
    command
        .arg(binary("b2-origin").expect("built"))
        .arg("--dir")
        .arg(&disk);
    let log = scratch.path().join("log");
    let (_origin, ready) = Guarded::server("the origin", command, &log, |log| {
        let line: serde_json::Value = serde_json::from_str(log.lines().next()?).ok()?;
        Some(line["s3"].as_str()?.to_owned())
    })
    .expect("ready");

    let world = World::origin();
    for number in 0..60 {
        world.write(&format!("f{number}"), [7; 100_000]);
    }
    let ran = world
        .ran(world.command(&[]).env("B2_ENDPOINT", &ready))
        .expect(1);
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("hint: free disk space on the service"),
        "{}",
        ran.stderr
    );
    world.report(&[], 0).expect(60, 0);
    world.assert_all_there("");
}

#[test]
fn a_full_disk_of_the_journal_is_reported_and_costs_no_upload() {
    let world = World::origin();
    let long = "n".repeat(220);
    for number in 0..2000 {
        world.write(&format!("{long}/{long}/{long}/{number}"), "x");
    }
    // Full half-way, and full from the beginning.
    for (size, uploaded, unchanged) in [("2200k", 2000, 0), ("16k", 0, 2000)] {
        let ran = with_small_state(&world, size).expect(0);
        assert!(
            ran.stderr
                .contains("note: the journal was not written (I/O error: No space left on device"),
            "{size}: {}",
            ran.stderr
        );
        let report = ran.json().expect("a report");
        assert_eq!(report["uploaded"]["files"], uploaded, "{size}: {report}");
        assert_eq!(report["unchanged"]["files"], unchanged, "{size}: {report}");
    }
}
