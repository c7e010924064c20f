//! `plan` on the real binary: needs no bucket, reads no file.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;

use anyhow::Result;
use e2e::media::write;
use e2e::medialift;

fn tree() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("system");
    for (path, size) in [
        ("accounts/avatars/1/original/a.png", 1_500),
        ("accounts/headers/1/original/b.png", 250_000),
        ("cache/accounts/avatars/2/original/c.png", 12_345),
        ("cache/media_attachments/files/1/original/d.jpg", 2_000_000),
        ("media_attachments/files/1/original/e.mp4", 150 << 20),
        ("backups/dumps/1/original/archive.zip", 10),
        ("robots.txt", 0),
    ] {
        write(&root.join(path), "")?;
        fs::File::options()
            .write(true)
            .open(root.join(path))?
            .set_len(size)?;
    }
    Ok(dir)
}

#[test]
fn it_tells_amounts_cost_and_time() -> Result<()> {
    let dir = tree()?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "system", "--upload-mbit", "40"]))?.expect(0);
    insta::assert_snapshot!("plan", ran.stdout);
    assert_eq!(ran.stderr, "");
    let mut command = medialift::command(dir.path())?;
    let json = medialift::run(command.args(["plan", "system", "--json"]))?
        .expect(0)
        .json()?;
    assert_eq!(json["total"]["files"], 7);
    assert_eq!(
        json["total"]["bytes"],
        1_500 + 250_000 + 12_345 + 2_000_000 + (150 << 20) + 10
    );
    assert_eq!(json["kinds"]["cache/accounts"]["bytes"], 12_345);
    assert_eq!(json["larger_than_100_mib"], 1);
    assert_eq!(json["archives"]["files"], 1);
    Ok(())
}

#[test]
fn what_the_bucket_would_refuse_is_named() -> Result<()> {
    let dir = tree()?;
    let root = dir.path().join("system");
    std::os::unix::fs::symlink("robots.txt", root.join("link"))?;
    let _socket = UnixListener::bind(root.join("socket"))?;
    fs::write(root.join("new\nline"), "")?;
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8")), "")?;
    let mut deep = root.clone();
    for _ in 0..5 {
        deep = deep.join("d".repeat(240));
    }
    // The path is longer than one call may have, so it is made step by step.
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("file"), "")?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "system"]))?.expect(3);
    for reason in [
        "link: symbolic link",
        "socket: socket",
        "control character",
        "not UTF-8",
        "longer than 1,024 bytes",
    ] {
        assert!(ran.stdout.contains(reason), "{reason} in {}", ran.stdout);
    }
    assert!(
        !ran.stdout.contains("new\nline"),
        "a name cannot forge a line"
    );
    Ok(())
}

#[test]
fn the_prefix_counts_towards_the_length_of_keys() -> Result<()> {
    let dir = tempfile::tempdir()?;
    write(&dir.path().join("system/a"), "")?;
    let prefix = "p/".repeat(511);
    let mut command = medialift::command(dir.path())?;
    medialift::run(command.args(["plan", "system", "--key-prefix", &prefix]))?.expect(0);
    let mut command = medialift::command(dir.path())?;
    let longer = format!("{prefix}pp");
    medialift::run(command.args(["plan", "system", "--key-prefix", &longer]))?.expect(3);
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_is_explained() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "nowhere"]))?.expect(2);
    insta::assert_snapshot!("plan_nowhere", ran.stderr);
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan"]))?.expect(2);
    insta::assert_snapshot!("plan_unnamed", ran.stderr);
    Ok(())
}
