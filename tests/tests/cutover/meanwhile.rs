//! What is written or touched in the directory while it is compared with the bucket.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use e2e::media::{Media, files, write};
use e2e::medialift;
use serde_json::json;

use super::{FILES, synced, uploaded};

/// The directory has been read before the bucket answers, so what is written into it then is not among
/// what is compared.
#[test]
fn what_was_written_during_the_comparison_is_named_where_the_bucket_lacks_it() -> Result<()> {
    let media = synced()?;
    let ran = cutover_with(&media, &[], || {
        write(&media.live().join("there.png"), "there")?;
        write(&media.live().join("missing.png"), "missing")?;
        media.put("there.png", b"there")
    })?
    .expect(4);
    insta::assert_snapshot!("cutover_written_meanwhile", media.shown(&ran));
    assert_eq!(files(&media.kept())?.len(), FILES.len() + 2);
    media.origin.clear_faults()?;
    // The command of the hint, verbatim.
    let hint = ran
        .stderr
        .split('`')
        .find(|text| text.starts_with("medialift "));
    let arguments: Vec<&str> = hint.unwrap_or_default().split(' ').skip(1).collect();
    medialift::run(&mut media.command(&arguments)?)?.expect(0);
    media.run("prune", &[])?.expect(0);
    Ok(())
}

/// Runs `cutover`, and `meanwhile` once the directory was read and before the bucket has answered.
fn cutover_with(
    media: &Media,
    flags: &[&str],
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<medialift::Ran> {
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2_000 }))?;
    media.origin.reset_requests()?;
    let child = media
        .command(&["cutover", "public/system"])?
        .args(flags)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    meanwhile()?;
    let output = child.wait_with_output()?;
    Ok(medialift::Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// By a change of mode, or a new name of a file whose object Mastodon deleted or replaced.
#[test]
fn what_was_only_touched_during_the_comparison_is_decided_as_in_the_comparison() -> Result<()> {
    let media = synced()?;
    let deleted = "cache/accounts/avatars/1/original/b.png";
    let replaced = "accounts/avatars/000/000/001/original/a.png";
    media.delete(deleted)?;
    media.put(replaced, b"newer avatar")?;
    let ran = cutover_with(&media, &["--json"], || {
        for path in [deleted, replaced] {
            let mode = fs::Permissions::from_mode(0o640);
            fs::set_permissions(media.live().join(path), mode)?;
        }
        Ok(())
    })?;
    let json = ran.expect(0).json()?;
    let written = &json["written_during_comparison"];
    assert_eq!(written["deleted_in_bucket"], 1, "{json}");
    assert_eq!(written["replaced_in_bucket"], 1, "{json}");
    assert_eq!(written["different"]["count"], 0, "{json}");
    Ok(())
}

/// Without a journal a touched file cannot be distinguished from one whose object Mastodon deleted.
#[test]
fn without_a_journal_no_hint_restores_touched_files_either() -> Result<()> {
    let media = uploaded()?;
    let deleted = "cache/accounts/avatars/1/original/b.png";
    media.delete(deleted)?;
    let ran = cutover_with(&media, &["--allow-unproven"], || {
        let mode = fs::Permissions::from_mode(0o640);
        Ok(fs::set_permissions(media.live().join(deleted), mode)?)
    })?;
    let ran = ran.expect(0);
    assert!(ran.stdout.contains("no journal shows"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("medialift sync"), "{}", ran.stderr);
    Ok(())
}
