//! Other people's clients find an S3 server.

use std::path::Path;
use std::process::{Command, Output};

use e2e::clients::OtherClients;
use testkit::process::scratch_directory;
use testkit::stack::Origin;

use crate::origin;

#[track_caller]
fn run(mut command: Command) -> Output {
    let output = command.output().expect("the client starts");
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn sample(directory: &Path) {
    let files: [(&str, usize); 6] = [
        ("a b+c.txt", 11),
        ("é/日本.bin", 70_000),
        ("é/empty", 0),
        ("x/y/z 😀", 5),
        ("x/y/%41", 6),
        ("big", 12_000_000),
    ];
    for (name, size) in files {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().expect("parent")).expect("directory");
        let bytes: Vec<u8> = (0..size).map(|at| (at * 31 + at / 251) as u8).collect();
        std::fs::write(path, bytes).expect("file");
    }
}

struct Setup {
    origin: Origin,
    clients: OtherClients,
    scratch: testkit::process::ScratchDirectory,
}

fn setup() -> Setup {
    let origin = origin();
    let scratch = scratch_directory("origin-clients").expect("directory");
    let tree = scratch.path().join("tree");
    sample(&tree);
    let clients = OtherClients::for_origin(&origin, scratch.path())
        .expect("`cargo xtask setup` has been run");
    Setup {
        origin,
        clients,
        scratch,
    }
}

#[test]
fn rclone_uploads_lists_and_compares() {
    let setup = setup();
    let tree = setup.scratch.path().join("tree");
    let mut copy = setup.clients.rclone();
    run({
        copy.args([
            "copy",
            "--s3-chunk-size",
            "5Mi",
            "--s3-upload-cutoff",
            "8Mi",
        ])
        .arg(&tree)
        .arg("origin:media/t");
        copy
    });
    assert!(
        setup
            .origin
            .requests()
            .expect("counts")
            .of("CompleteMultipartUpload")
            == 1
    );
    for extra in [&["check"][..], &["check", "--download"]] {
        let mut check = setup.clients.rclone();
        check.args(extra).arg(&tree).arg("origin:media/t");
        let output = run(check);
        let printed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(printed.contains("6 matching files"), "{printed}");
    }
}

#[test]
fn s5cmd_uploads_lists_and_downloads() {
    let setup = setup();
    let (tree, back) = (
        setup.scratch.path().join("tree/"),
        setup.scratch.path().join("back"),
    );
    let mut up = setup.clients.s5cmd();
    up.args(["cp", "--part-size", "5"])
        .arg(format!("{}/", tree.display()))
        .arg("s3://media/t/");
    run(up);
    let mut list = setup.clients.s5cmd();
    list.args(["ls", "s3://media/t/*"]);
    assert_eq!(
        String::from_utf8_lossy(&run(list).stdout).lines().count(),
        6
    );
    let mut down = setup.clients.s5cmd();
    down.args(["cp", "s3://media/t/*"])
        .arg(format!("{}/", back.display()));
    run(down);
    let mut diff = Command::new("diff");
    diff.arg("-r").arg(tree).arg(back);
    run(diff);
}

#[test]
fn aws_and_s3cmd_upload_list_and_delete() {
    let setup = setup();
    let tree = setup.scratch.path().join("tree");
    let mut up = setup.clients.aws();
    up.args(["s3", "cp", "--recursive", "--no-progress"])
        .arg(&tree)
        .arg("s3://media/t");
    run(up);
    let mut list = setup.clients.aws();
    list.args(["s3", "ls", "--recursive", "s3://media/t/"]);
    let listed = String::from_utf8_lossy(&run(list).stdout).into_owned();
    assert_eq!(listed.lines().count(), 6);
    assert!(
        listed.contains("12000000 t/big") && listed.contains("t/é/日本.bin"),
        "{listed}"
    );

    let mut list = setup.clients.s3cmd();
    list.args(["ls", "--recursive", "s3://media/t/"]);
    let listed = String::from_utf8_lossy(&run(list).stdout).into_owned();
    assert_eq!(listed.lines().count(), 6);
    assert!(listed.contains("12000000  s3://media/t/big"), "{listed}");
    let mut delete = setup.clients.s3cmd();
    delete.args(["del", "--recursive", "--force", "s3://media/t/x/"]);
    run(delete);
    let mut list = setup.clients.s3cmd();
    list.args(["ls", "s3://media/t/"]);
    let listed = String::from_utf8_lossy(&run(list).stdout).into_owned();
    assert!(
        !listed.contains("s3://media/t/x") && listed.contains("DIR  s3://media/t/é/"),
        "{listed}"
    );
}

/// New Amazon SDKs send checksums by default, which B2 refuses.
#[test]
fn a_client_that_sends_checksums_is_refused() {
    let setup = setup();
    let mut up = setup.clients.aws();
    up.env("AWS_REQUEST_CHECKSUM_CALCULATION", "when_supported");
    up.args([
        "s3api",
        "put-object",
        "--bucket",
        "media",
        "--key",
        "a",
        "--body",
    ]);
    up.arg(setup.scratch.path().join("tree/big"));
    let output = up.output().expect("aws starts");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && printed.contains("Unsupported header 'x-amz-"),
        "{printed}"
    );
}
