//! The files that `rollback` names, and the messages after an interruption of it or of `cutover`.

use anyhow::Result;
use e2e::media::{Media, files, write};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/000/000/001/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
];

fn uploaded() -> Result<Media> {
    Media::switched(FILES)
}

/// Runs a command while each listing takes two seconds, and sends SIGTERM once `meanwhile` is over.
fn terminated(
    media: &Media,
    arguments: &[&str],
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<(Option<i32>, String)> {
    media.origin.set_faults(
        &json!({ "kind": "latency", "latency_ms": 2_000, "operation": "ListObjectsV2" }),
    )?;
    media.origin.reset_requests()?;
    let child = media
        .command(arguments)?
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    meanwhile()?;
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    let output = child.wait_with_output()?;
    media.origin.clear_faults()?;
    Ok((output.status.code(), String::from_utf8(output.stderr)?))
}

#[test]
fn an_interruption_reports_whether_the_media_were_moved() -> Result<()> {
    let media = uploaded()?;
    let late = media.live().join("late.png");
    media.put("late.png", b"late")?;
    let (code, printed) = terminated(&media, &["cutover", "public/system"], || Ok(()))?;
    assert_eq!(code, Some(130), "{printed}");
    assert!(printed.contains("nothing was changed"), "{printed}");
    assert!(!media.kept().exists());
    let (code, printed) = terminated(&media, &["cutover", "public/system"], || {
        // The directory has been walked by then: only the second check finds it.
        std::thread::sleep(std::time::Duration::from_millis(500));
        write(&late, "late")?;
        media.wait_for_requests(2)
    })?;
    assert_eq!(code, Some(130), "{printed}");
    assert!(printed.contains("the media are moved"), "{printed}");
    assert!(!printed.contains("nothing was changed"), "{printed}");
    assert_eq!(files(&media.kept())?.len(), FILES.len() + 1);
    Ok(())
}

#[test]
fn an_interruption_of_the_way_back_changes_nothing() -> Result<()> {
    let media = uploaded()?;
    media.run("cutover", &[])?.expect(0);
    let (code, printed) = terminated(&media, &["rollback", "public/system"], || Ok(()))?;
    assert_eq!(code, Some(130), "{printed}");
    assert!(printed.contains("nothing was changed"), "{printed}");
    assert_eq!(files(&media.kept())?.len(), FILES.len());
    media.run("rollback", &[])?.expect(0);
    Ok(())
}

/// Deleting these files needs every name.
#[test]
fn a_verbose_rollback_names_every_file_that_mastodon_deleted() -> Result<()> {
    let media = Media::with(FILES)?;
    for number in 0..30 {
        write(&media.live().join(format!("cache/{number}.png")), "cached")?;
    }
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    for number in 0..30 {
        media.delete(&format!("cache/{number}.png"))?;
    }
    let ran = media.run("rollback", &["--dry-run"])?.expect(3);
    assert!(ran.stdout.contains("and 10 more"), "{}", ran.stdout);
    let ran = media
        .run("rollback", &["--dry-run", "--verbose"])?
        .expect(3);
    for number in 0..30 {
        let line = format!("deleted in the bucket by Mastodon: cache/{number}.png\n");
        assert!(ran.stderr.contains(&line), "{}", ran.stderr);
    }
    Ok(())
}
