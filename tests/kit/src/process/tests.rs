//! Groups really end, whatever ends them.

use super::*;

fn group_is_gone(group: Pid) -> bool {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if !group::is_alive(group) {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn dropping_ends_grandchildren_too() {
    let scratch = scratch_directory("test").unwrap();
    let log = scratch.path().join("log");
    let mut child = Guarded::spawn(
        "the tree",
        shell("sleep 300 & sleep 300 & echo up; wait"),
        &log,
    )
    .unwrap();
    child
        .wait_until(Duration::from_secs(10), |child| {
            child.log().contains("up").then_some(())
        })
        .unwrap();
    let group = child.group;
    drop(child);
    assert!(group_is_gone(group));
}

#[test]
fn a_child_that_ignores_term_is_killed() {
    let scratch = scratch_directory("test").unwrap();
    let log = scratch.path().join("log");
    let mut child = Guarded::spawn(
        "the deaf one",
        shell("trap '' TERM; echo up; while :; do sleep 1; done"),
        &log,
    )
    .unwrap();
    child
        .wait_until(Duration::from_secs(10), |child| {
            child.log().contains("up").then_some(())
        })
        .unwrap();
    let group = child.group;
    drop(child);
    assert!(group_is_gone(group));
}

#[test]
fn the_watchdog_ends_the_group_when_its_pipe_closes() {
    let scratch = scratch_directory("test").unwrap();
    let log = scratch.path().join("log");
    let mut child = Guarded::spawn("the orphan", shell("sleep 300"), &log).unwrap();
    // What the system does to our descriptors when we are killed.
    drop(child.watchdog.as_mut().unwrap().stdin.take());
    assert!(!child.wait().unwrap().success());
}

#[test]
fn an_early_end_is_reported_with_the_log() {
    let scratch = scratch_directory("test").unwrap();
    let log = scratch.path().join("log");
    let mut child =
        Guarded::spawn("the server", shell("echo no such bucket; exit 3"), &log).unwrap();
    let error = child
        .wait_until(Duration::from_secs(10), |_| None::<()>)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("the server ended before it was ready"),
        "{error}"
    );
    assert!(error.contains("no such bucket"), "{error}");
}
