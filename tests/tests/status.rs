//! `status` on the real binary: what the other commands recorded, and what comes next.

use std::fs;

use anyhow::Result;
use e2e::media::{Media, files, write};
use serde_json::{Value, json};

const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/1/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
];

fn uploaded() -> Result<Media> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    Ok(media)
}

fn state_of<'a>(status: &'a Value, step: &str) -> &'a Value {
    let steps = status["steps"].as_array().expect("steps");
    &steps.iter().find(|s| s["step"] == step).expect("the step")["state"]
}

#[test]
fn each_command_moves_the_migration_on() -> Result<()> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    let status = || -> Result<Value> { media.run("status", &["--json"])?.json() };
    let first = status()?;
    assert_eq!(first["steps"].as_array().map(Vec::len), Some(11));
    assert_eq!(first["next"]["step"], "plan");
    assert!(!media.path().join("state").exists(), "it only looks");

    // The ledger's times have a resolution of one second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    media.run("sync", &["--dry-run"])?.expect(0);
    assert_eq!(state_of(&status()?, "bulk"), "todo", "a dry run is no run");
    media.run("sync", &["--include", "accounts/**"])?.expect(0);
    assert_eq!(state_of(&status()?, "bulk"), "todo", "nor is a part");
    media.run("sync", &[])?.expect(0);
    assert_eq!(state_of(&status()?, "bulk"), "done");

    write(&media.live().join("new.png"), "newer")?;
    let changes = &status()?["changes"]["new_local_files"];
    assert_eq!(
        (&changes["files"], &changes["bytes"]),
        (&json!(1), &json!(5))
    );

    media.switch()?;
    let switched = status()?;
    assert_eq!(state_of(&switched, "switch"), "done");
    assert_eq!(switched["next"]["step"], "rest");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    media.run("sync", &[])?.expect(0);
    assert_eq!(status()?["next"]["step"], "cutover");
    media.run("cutover", &[])?.expect(0);
    assert_eq!(status()?["next"]["step"], "prune");
    media.run("prune", &[])?.expect(0);
    assert_eq!(status()?["next"], Value::Null);
    Ok(())
}

#[test]
fn the_next_command_is_complete_and_runs_as_it_stands() -> Result<()> {
    let media = uploaded()?;
    media.switch()?;
    std::thread::sleep(std::time::Duration::from_millis(1100));
    for expected in ["sync", "cutover", "prune"] {
        let status = media.run("status", &["--json"])?.json()?;
        let line = status["next"]["commands"][0].as_str().expect("a command");
        let arguments: Vec<&str> = line.split(' ').skip(1).collect();
        assert_eq!(arguments[0], expected, "{line}");
        assert!(line.contains("--bucket media"), "{line}");
        let mut command = media.command(&arguments)?;
        for name in ["B2_BUCKET", "B2_ENDPOINT", "B2_REGION"] {
            command.env_remove(name);
        }
        e2e::medialift::run(&mut command)?.expect(0);
    }
    Ok(())
}

#[test]
fn what_needs_attention_is_named() -> Result<()> {
    let media = uploaded()?;
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    let quiet = media.run("status", &[])?.expect(0);
    assert!(!quiet.stdout.contains("attention:"), "{}", quiet.stdout);
    media.switch_back()?;
    let ran = media.run("status", &[])?.expect(3);
    assert!(ran.stdout.contains("it finds no media"), "{}", ran.stdout);
    media.switch()?;
    write(&media.live().join("late.png"), "by an old process")?;
    let ran = media.run("status", &["--files-url", "http://127.0.0.1:9"])?;
    let ran = ran.expect(3);
    for text in ["has written 1 file", "`http://127.0.0.1:9` has a problem"] {
        assert!(ran.stdout.contains(text), "{}", ran.stdout);
    }
    Ok(())
}

/// A ledger that was written in part only, or edited, is read up to the damage.
#[test]
fn a_damaged_ledger_is_read_as_far_as_it_goes() -> Result<()> {
    let media = uploaded()?;
    let path = media.path().join("state/medialift/ledger.jsonl");
    let mut text = fs::read_to_string(&path)?;
    text.insert_str(0, "not JSON\n");
    text.push_str("{\"action\":\"sync\",\"outc");
    fs::write(&path, text)?;
    let status = media.run("status", &["--json"])?.json()?;
    assert_eq!(state_of(&status, "bulk"), "done");
    media.run("sync", &[])?.expect(0);
    Ok(())
}

/// The journal of deletions is in the state directory that `sync` was given.
#[test]
fn each_command_looks_into_the_state_directory_that_is_named() -> Result<()> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    let run = |name: &str, arguments: &[&str]| {
        media.run(name, &[&["--state-dir", "else where"], arguments].concat())
    };
    run("plan", &[])?.expect(0);
    run("sync", &[])?.expect(0);
    media.switch()?;
    // The ledger's times have a resolution of one second.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    media.delete("cache/accounts/avatars/1/original/b.png")?;
    write(&media.live().join("late.png"), "late")?;
    let ran = run("cutover", &[])?.expect(3);
    let hint = "hint: run `medialift --state-dir 'else where' sync ";
    assert!(ran.stderr.contains(hint), "{}", ran.stderr);
    run("sync", &[])?.expect(0);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let json = run("cutover", &["--json"])?.expect(0).json()?;
    assert_eq!(json["compared"]["deleted_in_bucket"], 1, "{json}");
    let ran = run("rollback", &["--dry-run"])?.expect(3);
    assert!(
        ran.stdout
            .contains("b.png: deleted in the bucket by Mastodon"),
        "{}",
        ran.stdout
    );
    let status = run("status", &["--json"])?.expect(0).json()?;
    let next = status["next"]["commands"][0].as_str();
    assert!(
        next.is_some_and(|line| line.starts_with("medialift --state-dir 'else where' prune ")),
        "{status}"
    );
    run("prune", &[])?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    assert!(!media.path().join("state").exists(), "all is in the one");
    Ok(())
}
