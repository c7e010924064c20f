//! What `medialift sync` uploaded, read by other S3 clients.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use e2e::clients::OtherClients;
use e2e::media::{Media, files};
use e2e::seaweed::Seaweed;
use testkit::sample;

/// Big enough to be sent in parts of 5 MiB, whose tags are no MD5.
const BIG: usize = 17_000_000;

/// The sample media tree and one big file below `public/system`.
fn media() -> Media {
    let media = Media::with(&[]).expect("the origin starts");
    media.switch_back().expect("Mastodon's settings");
    sample::create(&media.live()).expect("the sample tree");
    let bytes: Vec<u8> = (0..BIG).map(|at| (at * 7 + at / 509) as u8).collect();
    let path = media
        .live()
        .join("media_attachments/files/110/000/000/000/000/001/original/big.mp4");
    std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
    std::fs::write(path, bytes).expect("file");
    media
}

const IN_PARTS: [&str; 4] = ["--multipart-from", "6MiB", "--part-size", "5MiB"];

#[track_caller]
fn output(command: &mut Command) -> (String, String) {
    let output = command.output().expect("the client starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(
        output.status.success(),
        "{command:?}: {}\n{stdout}\n{stderr}",
        output.status
    );
    (stdout, stderr)
}

/// Size by key, as files below `public/system` have it.
fn sizes(media: &Media) -> BTreeMap<String, u64> {
    let files = files(&media.live()).expect("the files");
    files
        .into_iter()
        .map(|(key, bytes)| (key, bytes.len() as u64))
        .collect()
}

/// Reads `DATE TIME SIZE NAME` lines.
fn listed(text: &str, prefix: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let mut rest = line;
        let mut column = || {
            let (column, after) = rest.trim_start().split_once(' ').expect("four columns");
            rest = after;
            column.to_owned()
        };
        let (_date, _time, size) = (column(), column(), column());
        let name = rest.trim_start().strip_prefix(prefix).expect("the prefix");
        (name.to_owned(), size.parse().expect("a size"))
    };
    text.lines().map(line).collect()
}

struct Synced {
    media: Media,
    clients: OtherClients,
    directory: tempfile::TempDir,
}

fn synced() -> Synced {
    let media = media();
    media.run("sync", &IN_PARTS).expect("runs").expect(0);
    let directory = tempfile::tempdir().expect("directory");
    let clients = OtherClients::for_origin(&media.origin, directory.path())
        .expect("`cargo xtask setup` has been run");
    Synced {
        media,
        clients,
        directory,
    }
}

#[test]
fn rclone_finds_no_difference_by_digest_or_by_bytes() {
    let synced = synced();
    let count = sizes(&synced.media).len();
    for extra in [None, Some("--download")] {
        let mut check = synced.clients.rclone();
        check
            .arg("check")
            .args(extra)
            .arg(synced.media.live())
            .arg("origin:media");
        let (_, printed) = output(&mut check);
        assert!(
            printed.contains("0 differences found")
                && printed.contains(&format!("{count} matching files")),
            "{printed}"
        );
    }
    let unhashed = {
        let mut check = synced.clients.rclone();
        check
            .arg("check")
            .arg(synced.media.live())
            .arg("origin:media");
        output(&mut check).1
    };
    assert!(
        unhashed.contains("1 hashes could not be checked"),
        "only the one sent in parts: {unhashed}"
    );
}

#[test]
fn aws_and_s3cmd_list_every_file_with_its_size() {
    let synced = synced();
    let expected = sizes(&synced.media);
    let (text, _) = output(
        synced
            .clients
            .aws()
            .args(["s3", "ls", "--recursive", "s3://media"]),
    );
    assert_eq!(listed(&text, ""), expected);
    let (text, _) = output(
        synced
            .clients
            .s3cmd()
            .args(["ls", "--recursive", "s3://media"]),
    );
    assert_eq!(listed(&text, "s3://media/"), expected);
}

#[test]
fn what_s5cmd_downloads_is_byte_identical() {
    let synced = synced();
    let back: PathBuf = synced.directory.path().join("back");
    output(
        synced
            .clients
            .s5cmd()
            .args(["cp", "s3://media/*"])
            .arg(format!("{}/", back.display())),
    );
    let (local, remote) = (
        files(&synced.media.live()).expect("files"),
        files(&back).expect("files"),
    );
    assert!(local.keys().eq(remote.keys()), "other names");
    for (name, bytes) in &local {
        assert!(&remote[name] == bytes, "`{name}` has other bytes");
    }
}

#[test]
fn what_rclone_uploaded_is_not_sent_again() {
    let media = media();
    let directory = tempfile::tempdir().expect("directory");
    let clients = OtherClients::for_origin(&media.origin, directory.path())
        .expect("`cargo xtask setup` has been run");
    let mut copy = clients.rclone();
    copy.args([
        "copy",
        "--s3-upload-cutoff",
        "6Mi",
        "--s3-chunk-size",
        "5Mi",
    ])
    .arg(media.live())
    .arg("origin:media");
    output(&mut copy);
    media.origin.reset_requests().expect("reset");
    media.run("sync", &IN_PARTS).expect("runs").expect(0);
    let requests = media.origin.requests().expect("counts");
    assert_eq!(
        (
            requests.of("PutObject"),
            requests.of("CreateMultipartUpload")
        ),
        (0, 0),
        "{:?}",
        requests.by_operation
    );
}

#[test]
fn the_same_tree_synced_to_another_server_is_found_whole_by_rclone() {
    let media = media();
    // SeaweedFS stores a backslash as a slash, as a client for Windows would want it.
    for name in sizes(&media).keys().filter(|name| name.contains('\\')) {
        std::fs::remove_file(media.live().join(name)).expect("removed");
    }
    let seaweed = Seaweed::start().expect("SeaweedFS starts");
    let mut arguments = vec!["sync", "public/system"];
    arguments.extend(IN_PARTS);
    let mut sync = media.command(&arguments).expect("built");
    sync.env("B2_ENDPOINT", &seaweed.url)
        .env("B2_BUCKET", &seaweed.bucket)
        .env("B2_APPLICATION_KEY_ID", &seaweed.key_id)
        .env("B2_APPLICATION_KEY", &seaweed.key);
    e2e::medialift::run(&mut sync).expect("runs").expect(0);
    let directory = tempfile::tempdir().expect("directory");
    let clients = OtherClients::new(
        &seaweed.url,
        &seaweed.key_id,
        &seaweed.key,
        "us-west-004",
        directory.path(),
    );
    let mut check = clients.expect("clients").rclone();
    check
        .args(["check", "--download"])
        .arg(media.live())
        .arg(format!("origin:{}", seaweed.bucket));
    let (_, printed) = output(&mut check);
    assert!(
        printed.contains(&format!("{} matching files", sizes(&media).len())),
        "{printed}"
    );
}
