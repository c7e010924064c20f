//! What each flag does.

use std::io::Write;
use std::process::Stdio;

use super::world::World;

#[test]
fn a_dry_run_changes_nothing_and_reports_the_same() {
    let world = World::origin();
    world.fill(30, 100);
    let ran = world.run(&["--dry-run"]).expect(0);
    insta::assert_snapshot!(world.shown(&ran));
    let state = world.directory.path().join("state");
    assert!(!state.exists(), "a dry run writes no journal");
    let requests = world.requests();
    assert_eq!(requests.total, requests.of("ListObjectsV2"));
    world.report(&[], 0).expect(30, 0);
    world.report(&["--dry-run"], 0).expect(0, 30);
}

#[test]
fn include_and_exclude_pick_paths() {
    let world = World::origin();
    for path in ["cache/a.png", "accounts/a.png", "accounts/b.mp4", "c.png"] {
        world.write(path, path);
    }
    let report = world.report(&["--include", "**/*.png", "--exclude", "cache/**"], 0);
    report.expect(2, 0);
    assert_eq!(report.number("/excluded"), 2);
    assert_eq!(world.object("cache/a.png").status, 404);
    world.report(&["--exclude", "cache/**"], 0).expect(1, 2);
    let ran = world.run(&["--include", "a["]).expect(2);
    assert!(ran.stderr.contains("hint:"), "{}", ran.stderr);
}

#[test]
fn only_listed_files_are_looked_at() {
    let world = World::origin();
    world.fill(20, 100);
    world.write("z.png", "z");
    let mut child = world
        .command(&["--files-from", "-", "--json"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    child
        .stdin
        .take()
        .expect("stdin")
        .write_all(b"z.png\n./accounts/000/00/0.png\n")
        .expect("written");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(world.requests().of("PutObject"), 2);
    let list = world.directory.path().join("list");
    std::fs::write(&list, "../outside\n").expect("a list");
    world.run(&["--files-from", "list"]).expect(2);
    std::fs::write(&list, "not-there\nz.png\n").expect("a list");
    let report = world.report(&["--files-from", "list"], 4);
    report.expect(0, 1);
    assert_eq!(report.0["skips"][0]["path"], "not-there");
}

#[test]
fn delete_has_a_guard_and_spares_what_is_excluded() {
    let world = World::origin();
    world.fill(30, 100);
    world.write("cache/a", "a");
    world.report(&[], 0).expect(31, 0);
    std::fs::remove_dir_all(world.media().join("accounts/000")).expect("removed");
    std::fs::remove_dir_all(world.media().join("cache")).expect("removed");
    let left = world.files().len() as u64;
    let gone = 30 - left;
    assert!(gone > 0);

    // Without the flag nothing is deleted.
    let report = world.report(&[], 0);
    assert_eq!(report.number("/only_in_bucket"), gone + 1);
    let refused = world.run(&["--delete", "--max-delete", "1"]);
    insta::assert_snapshot!(
        world
            .shown(&refused.expect(1))
            .replace(&(gone + 1).to_string(), "[n]")
    );
    let report = world.report(&["--delete", "--dry-run"], 0);
    assert_eq!(report.number("/deleted"), gone + 1);
    assert_eq!(world.requests().of("DeleteObject"), 0);

    let report = world.report(&["--delete", "--exclude", "cache/**"], 0);
    assert_eq!(report.number("/deleted"), gone);
    assert_eq!(world.object("cache/a").status, 200);
    let report = world.report(&["--delete"], 0);
    assert_eq!(report.number("/deleted"), 1);
    assert_eq!(world.object("cache/a").status, 404);
    world.report(&["--delete"], 0).expect(0, left);
}

#[test]
fn a_change_that_size_and_time_hide_is_seen() {
    let world = World::origin();
    world.write("a.txt", "one");
    world.report(&[], 0).expect(1, 0);
    let path = world.media().join("a.txt");
    let before = std::fs::metadata(&path)
        .expect("a file")
        .modified()
        .expect("a time");
    let file = std::fs::File::options()
        .write(true)
        .open(&path)
        .expect("open");
    std::os::unix::fs::FileExt::write_all_at(&file, b"two", 0).expect("written");
    file.set_modified(before).expect("the old time");
    // The time of the last change of metadata cannot be set back.
    world.report(&[], 0).expect(1, 0);
    world.assert_all_there("");
    world.report(&["--checksum"], 0).expect(0, 1);
}

#[test]
fn quiet_reports_errors_only() {
    let world = World::origin();
    world.fill(10, 100);
    let ran = world.run(&["--quiet"]).expect(0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    std::os::unix::fs::symlink("/etc/passwd", world.media().join("link")).expect("a link");
    let ran = world.run(&["--quiet"]).expect(4);
    assert_eq!(
        (ran.stdout.as_str(), ran.stderr.as_str()),
        ("skipped: `link`: a symbolic link\n", "")
    );
}

#[test]
fn an_object_that_somebody_else_wrote_is_named_and_left_unless_it_may_be_replaced() {
    let world = World::origin();
    world.fill(10, 100);
    world.write("a.png", "older, from the disk");
    let put = world
        .client()
        .put("media", "a.png", &[], b"newer, from elsewhere");
    assert_eq!(put.expect("an answer").status, 200);
    let report = world.report(&[], 4);
    report.expect(10, 0);
    assert_eq!(report.0["conflicts"], serde_json::json!({ "not_ours": 1 }));
    assert_eq!(report.0["conflict_paths"][0]["path"], "a.png");
    assert_eq!(world.object("a.png").body, b"newer, from elsewhere");
    world.report(&["--replace"], 0).expect(1, 10);
    world.assert_all_there("");
    // An object of `medialift` may be replaced by a later state of the same file.
    world.write("a.png", "newest");
    world.report(&[], 0).expect(1, 10);
    world.assert_all_there("");
}
