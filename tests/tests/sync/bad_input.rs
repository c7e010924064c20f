//! Wrong input, and refusals of the service: one clear message each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use testkit::stack::OriginOptions;

use super::world::World;

fn small_world() -> World {
    let world = World::origin();
    world.fill(40, 500);
    world
}

#[test]
fn a_missing_directory() {
    let world = World::origin();
    let ran = world.run(&[]).expect(2);
    insta::assert_snapshot!(world.shown(&ran));
    assert_eq!(world.requests().total, 0);
}

#[test]
fn a_file_in_place_of_the_directory() {
    let world = World::origin();
    fs::write(world.media(), "").expect("a file");
    let ran = world.run(&[]).expect(2);
    insta::assert_snapshot!(world.shown(&ran));
}

#[test]
fn an_empty_directory() {
    let world = World::origin();
    fs::create_dir(world.media()).expect("a directory");
    let ran = world.run(&[]).expect(2);
    insta::assert_snapshot!(world.shown(&ran));
}

#[test]
fn a_wrong_key() {
    let world = small_world();
    let ran = world.ran(
        world
            .command(&[])
            .env("B2_APPLICATION_KEY", "K001somethingelse"),
    );
    insta::assert_snapshot!(world.shown(&ran.expect(1)));
}

#[test]
fn an_unknown_key_id() {
    let world = small_world();
    let ran = world.ran(
        world
            .command(&[])
            .env("B2_APPLICATION_KEY_ID", "00161f959a5f87b0000000099"),
    );
    insta::assert_snapshot!(world.shown(&ran.expect(1)));
}

#[test]
fn a_master_key_is_reported_before_anything_is_sent() {
    let world = small_world();
    let ran = world.ran(
        world
            .command(&[])
            .env("B2_APPLICATION_KEY_ID", "161f959a5f87"),
    );
    insta::assert_snapshot!(world.shown(&ran.expect(2)));
    assert_eq!(world.requests().total, 0);
}

#[test]
fn no_key_at_all() {
    let world = small_world();
    let ran = world.ran(
        world
            .command(&[])
            .env_remove("B2_APPLICATION_KEY_ID")
            .env_remove("B2_APPLICATION_KEY"),
    );
    insta::assert_snapshot!(world.shown(&ran.expect(2)));
}

#[test]
fn a_wrong_bucket() {
    let world = small_world();
    let ran = world.ran(world.command(&[]).env("B2_BUCKET", "not-there"));
    insta::assert_snapshot!(world.shown(&ran.expect(1)));
}

#[test]
fn a_wrong_region() {
    let world = small_world();
    world
        .faults(json!({ "kind": "status", "status": 400, "code": "AuthorizationHeaderMalformed" }));
    let ran = world.ran(world.command(&[]).env("B2_REGION", "eu-central-003"));
    insta::assert_snapshot!(world.shown(&ran.expect(1)));
}

#[test]
fn an_unreachable_endpoint_is_reported_within_seconds() {
    let world = small_world();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let begin = std::time::Instant::now();
    let ran = world.ran(
        world
            .command(&[])
            .env("B2_ENDPOINT", format!("http://127.0.0.1:{port}")),
    );
    assert!(begin.elapsed() < Duration::from_secs(10));
    let shown = world.shown(&ran.expect(1));
    insta::assert_snapshot!(shown.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:[port]"));
}

#[test]
fn an_endpoint_that_does_not_speak_tls() {
    let world = small_world();
    let url = world.control().s3_url.replace("http://", "https://");
    let ran = world
        .ran(world.command(&[]).env("B2_ENDPOINT", url))
        .expect(1);
    assert!(ran.stderr.contains("TLS failed"), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("hint: check the endpoint's name and this machine's clock"),
        "{}",
        ran.stderr
    );
}

#[test]
fn every_wrong_setting_at_once() {
    let world = small_world();
    let ran = world.ran(
        world
            .command(&[])
            .env("B2_BUCKET", "a b")
            .env("B2_ENDPOINT", "http://s3.us-west-004.backblazeb2.com"),
    );
    insta::assert_snapshot!(world.shown(&ran.expect(2)));
}

#[test]
fn a_clock_that_is_wrong() {
    let world = small_world();
    world.faults(json!({ "kind": "skewed_clock" }));
    let ran = world.run(&[]).expect(1);
    assert!(
        ran.stderr.contains("hint: this machine's clock is"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("timedatectl"), "{}", ran.stderr);
}

#[test]
fn a_key_revoked_half_way_ends_the_run_once_and_a_new_one_goes_on() {
    let world = World::origin();
    world.fill(300, 500);
    world.faults(json!({ "kind": "latency", "latency_ms": 20, "method": "PUT" }));
    world.faults(json!({ "kind": "revoked", "method": "PUT", "key_prefix": "accounts/02" }));
    let ran = world.run(&[]).expect(1);
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("hint:").count(), 1, "{}", ran.stderr);
    world.control().clear_faults().expect("cleared");
    let report = world.report(&[], 0);
    assert!(report.number("/unchanged/files") > 0, "{:?}", report);
    world.assert_all_there("");
}

#[test]
fn a_cap_that_is_used_up() {
    let world = small_world();
    world.faults(json!({ "kind": "cap_exceeded", "method": "PUT" }));
    let ran = world.run(&[]).expect(1);
    assert!(
        ran.stderr.contains("a cap of the account is exceeded")
            && ran.stderr.contains("Caps & Alerts in Backblaze's console"),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
}

#[test]
fn an_unreadable_file_and_directory_are_named_and_the_rest_arrives() {
    let world = small_world();
    world.write("secret.png", "x");
    world.write("closed/inside.png", "x");
    let at = |path: &str| world.media().join(path);
    let set = |path: &str, mode| {
        fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).expect("a mode");
    };
    set("secret.png", 0o040);
    set("closed", 0o000);
    // root ignores permissions: run as another user.
    let mut command = world.command(&[]);
    if rustix::process::geteuid().is_root() {
        open_to_others(world.directory.path());
        command = as_nobody(&command, world.directory.path());
    }
    let ran = world.ran(&mut command).expect(4);
    insta::assert_snapshot!(world.shown(&ran));
    // The files of an unreadable directory may exist: nothing is deleted, also where the filter does not match
    // the directory's own name.
    set("closed", 0o755);
    world.report(&["--include", "closed/**"], 0).expect(1, 0);
    set("closed", 0o000);
    for more in [&["--delete"][..], &["--delete", "--include", "**/*.png"]] {
        let mut command = world.command(more);
        if rustix::process::geteuid().is_root() {
            command = as_nobody(&command, world.directory.path());
        }
        let ran = world.ran(&mut command).expect(1);
        assert!(
            ran.stderr.contains("a directory could not be listed"),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(world.object("closed/inside.png").status, 200);
    set("secret.png", 0o644);
    set("closed", 0o755);
    world.report(&["--state-dir", "other"], 0).expect(1, 41);
}

/// The same command, run by the user `nobody`, from a copy that this user may execute.
fn as_nobody(command: &Command, directory: &std::path::Path) -> Command {
    let program = directory.join("medialift");
    fs::copy(command.get_program(), &program).expect("copied");
    let mut other = Command::new("setpriv");
    other
        .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
        .arg(program)
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            other.env(name, value);
        }
    }
    if let Some(directory) = command.get_current_dir() {
        other.current_dir(directory);
    }
    other
}

fn open_to_others(directory: &std::path::Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o777)).expect("opened");
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let world = small_world();
    let path = world.directory.path().join("key");
    let lines = format!(
        "B2_APPLICATION_KEY_ID={}\nB2_APPLICATION_KEY='{}'\n",
        OriginOptions::KEY_ID,
        OriginOptions::KEY
    );
    fs::write(&path, lines).expect("a file");
    let run = |mode: u32| {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
        world.ran(
            world
                .command(&["--key-file", "key"])
                .env_remove("B2_APPLICATION_KEY_ID")
                .env_remove("B2_APPLICATION_KEY"),
        )
    };
    let refused = run(0o644).expect(2);
    assert!(
        refused.stderr.contains("other users can read it"),
        "{}",
        refused.stderr
    );
    run(0o600).expect(0);
}
