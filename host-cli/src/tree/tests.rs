//! Tests of `tree`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::*;
use proptest::prelude::*;

fn options(root: &Path) -> WalkOptions {
    WalkOptions {
        root: root.to_owned(),
        prefix_length: 0,
        follow_links: false,
    }
}

fn show(entry: TreeEntry) -> String {
    match entry {
        TreeEntry::File(file) => file.path,
        TreeEntry::Skipped(skipped) => format!("{} {:?}", skipped.path, skipped.reason),
    }
}

fn paths(options: &WalkOptions) -> Vec<String> {
    walk(options).unwrap().map(show).collect()
}

fn write(root: &Path, path: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
}

fn mode(root: &Path, path: &str, mode: u32) {
    fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

fn file(root: &Path, path: &str) -> LocalFile {
    let found = walk(&options(root)).unwrap().find(|e| e.path() == path);
    match found {
        Some(TreeEntry::File(file)) => file,
        other => panic!("{path}: {other:?}"),
    }
}

#[test]
fn a_directory_sorts_as_its_name_with_a_slash() {
    let root = tempfile::tempdir().unwrap();
    for path in ["a/b", "a.txt", "a-/x", "a0", "b", "a/é", "a/z/1"] {
        write(root.path(), path);
    }
    fs::create_dir(root.path().join("empty")).unwrap();
    assert_eq!(
        paths(&options(root.path())),
        ["a-/x", "a.txt", "a/b", "a/z/1", "a/é", "a0", "b"]
    );
}

#[test]
fn what_is_no_file_is_reported_and_never_opened() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    symlink("/etc/passwd", at("link")).unwrap();
    symlink("/etc", at("linked")).unwrap();
    symlink("/not/there", at("nowhere")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    let made = std::process::Command::new("mkfifo")
        .arg(at("pipe"))
        .status();
    assert!(made.unwrap().success());
    fs::write(at("tab\t"), "x").unwrap();
    fs::write(at("fine"), "x").unwrap();
    assert_eq!(
        paths(&options(root.path())),
        [
            "fine",
            "link Symlink",
            "linked/ LinkedDirectory",
            "nowhere/ LinkedDirectory",
            "pipe Fifo",
            "socket Socket",
            "tab\t ControlCharacter",
        ]
    );
}

// macOS has no such names.
#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_reported() {
    use std::os::unix::ffi::OsStrExt;
    let root = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"latin-\xe9");
    fs::write(root.path().join(name), "x").unwrap();
    assert_eq!(paths(&options(root.path())), ["latin-\u{fffd} NotUtf8"]);
}

#[test]
fn links_to_directories_are_followed_when_asked_for_and_never_in_a_circle() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("system");
    write(dir.path(), "disk2/a/1.png");
    write(&root, "accounts/2.png");
    symlink("../disk2", root.join("cache")).unwrap();
    symlink("..", root.join("accounts/circle")).unwrap();
    let following = WalkOptions {
        follow_links: true,
        ..options(&root)
    };
    let found: Vec<TreeEntry> = walk(&following).unwrap().collect();
    assert_eq!(
        found.iter().cloned().map(show).collect::<Vec<_>>(),
        [
            "accounts/2.png",
            "accounts/circle/ UnreadableDirectory",
            "cache/a/1.png"
        ]
    );
    let Some(TreeEntry::File(linked)) = found.last() else {
        panic!("{found:?}")
    };
    assert!(linked.open_unchanged().is_ok());
    linked.remove().unwrap();
    assert!(!dir.path().join("disk2/a/1.png").exists());
}

#[test]
fn a_private_file_is_hidden_where_its_directories_are_not_private() {
    let root = tempfile::tempdir().unwrap();
    for path in ["open/hidden", "open/shown", "closed/private", "open/group"] {
        write(root.path(), path);
    }
    mode(root.path(), "", 0o755);
    mode(root.path(), "open", 0o750);
    mode(root.path(), "open/hidden", 0o600);
    mode(root.path(), "open/group", 0o640);
    mode(root.path(), "open/shown", 0o644);
    mode(root.path(), "closed", 0o700);
    mode(root.path(), "closed/private", 0o600);
    let hidden = || {
        ["open/hidden", "open/shown", "open/group", "closed/private"]
            .map(|path| file(root.path(), path).hidden)
    };
    assert_eq!(hidden(), [true, false, false, false]);
    let listed = walk_list(&options(root.path()), vec!["open/hidden".into()]).unwrap();
    assert!(matches!(&listed[..], [TreeEntry::File(file)] if file.hidden));
    // A tree that is private as a whole hides nothing.
    mode(root.path(), "", 0o700);
    assert_eq!(hidden(), [false; 4]);
}

#[test]
fn a_key_may_have_1024_bytes_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let deep = format!(
        "{}{}",
        format!("{}/", "d".repeat(200)).repeat(4),
        "f".repeat(220)
    );
    assert_eq!(deep.len(), 1024);
    write(root.path(), &deep);
    let first = |prefix_length| {
        let options = WalkOptions {
            prefix_length,
            ..options(root.path())
        };
        walk(&options).unwrap().next()
    };
    assert!(matches!(first(0), Some(TreeEntry::File(_))));
    assert!(matches!(first(1), Some(TreeEntry::Skipped(s)) if s.reason == SkipReason::KeyTooLong));
}

#[test]
fn a_list_is_sorted_and_stays_below_the_root() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    write(&root, "b");
    write(dir.path(), "outside/secret");
    symlink("../outside", root.join("linked")).unwrap();
    let list = ["./b", "a", "b", "linked/secret", "linked"].map(OsString::from);
    let found = walk_list(&options(&root), list.to_vec()).unwrap();
    assert_eq!(
        found.into_iter().map(show).collect::<Vec<_>>(),
        ["a Missing", "b", "linked Symlink", "linked/secret Symlink"]
    );
    for path in ["../b", "/etc/passwd", "x/../../b"] {
        assert!(
            walk_list(&options(&root), vec![path.into()]).is_err(),
            "{path}"
        );
    }
}

#[test]
fn names_are_refused_that_the_service_or_the_edge_refuses() {
    let (fits, long) = ("f".repeat(250), "l".repeat(251));
    for (name, expected) in [
        (&*fits, None),
        (&*long, Some(SkipReason::PartTooLong)),
        ("a/c1\u{85}", Some(SkipReason::ControlCharacter)),
        ("a\u{9f}/b", Some(SkipReason::ControlCharacter)),
        ("a\u{7f}", Some(SkipReason::ControlCharacter)),
        ("a\u{a0}", None),
    ] {
        assert_eq!(name_fault(name, 1024), expected, "{name:?}");
        let root = tempfile::tempdir().unwrap();
        write(root.path(), name);
        let skipped = walk(&options(root.path())).unwrap().find_map(|e| match e {
            TreeEntry::Skipped(skipped) => Some(skipped.reason),
            TreeEntry::File(_) => None,
        });
        assert_eq!(skipped, expected, "{name:?}");
    }
}

#[test]
fn a_replaced_directory_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "d/f");
    let file = file(dir.path(), "d/f");
    file.open_unchanged().unwrap();
    fs::rename(dir.path().join("d"), dir.path().join("e")).unwrap();
    write(dir.path(), "d/f");
    assert!(file.open_unchanged().is_err());
    assert!(file.check_unchanged().is_err());
    assert!(file.remove().is_err());
    fs::remove_dir_all(dir.path().join("d")).unwrap();
    symlink("e", dir.path().join("d")).unwrap();
    // The same file, over a link.
    assert!(file.open().is_err());
    assert!(file.remove().is_err());
    assert!(dir.path().join("e/f").exists());
}

#[test]
fn a_change_that_size_and_time_hide_shows_in_the_stamp() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "f");
    let found = file(dir.path(), "f");
    let path = dir.path().join("f");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    // The kernel's clock has steps of a few milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(30));
    let file = fs::File::options().write(true).open(&path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"y", 0).unwrap();
    file.set_modified(before).unwrap();
    assert!(found.check_unchanged().is_err());
}

#[test]
fn empty_directories_go_and_full_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
    fs::create_dir_all(dir.path().join("d/e")).unwrap();
    fs::write(dir.path().join("d/f"), "").unwrap();
    assert_eq!(remove_empty_directories(dir.path()).unwrap(), 4);
    assert!(dir.path().join("d/f").exists());
    assert!(!dir.path().join("a").exists());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_tree_is_walked_in_the_order_of_its_bytes(
        names in proptest::collection::btree_set("[a-c.\\-é0]{1,3}(/[a-c.\\-é0]{1,3}){0,2}", 1..30)
    ) {
        let root = tempfile::tempdir().unwrap();
        let mut made = Vec::new();
        for name in names {
            let path = root.path().join(&name);
            let dots = name.split('/').any(|part| part == "." || part == "..");
            // A name that is both a file and a directory cannot be made: pass over it.
            if dots || fs::create_dir_all(path.parent().unwrap()).is_err() || fs::write(&path, "x").is_err() {
                continue;
            }
            made.push(name);
        }
        made.sort();
        prop_assert_eq!(paths(&options(root.path())), made);
    }
}
