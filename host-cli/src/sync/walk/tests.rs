//! Tests of `sync/walk`.

use super::*;
use proptest::prelude::*;

fn paths(root: &Path) -> Vec<String> {
    walk(root, 0)
        .unwrap()
        .map(|entry| match entry {
            Entry::File(file) => file.path,
            Entry::Skipped(skipped) => format!("{} ({})", skipped.path, skipped.reason),
        })
        .collect()
}

#[test]
fn a_directory_sorts_as_its_name_with_a_slash() {
    let root = tempfile::tempdir().unwrap();
    for path in ["a/b", "a.txt", "a-/x", "a0", "b", "a/é", "a/z/1"] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "x").unwrap();
    }
    fs::create_dir(root.path().join("empty")).unwrap();
    assert_eq!(
        paths(root.path()),
        ["a-/x", "a.txt", "a/b", "a/z/1", "a/é", "a0", "b"]
    );
}

#[test]
fn what_is_no_file_is_reported_and_never_opened() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
    std::os::unix::fs::symlink("/etc", at("linked-directory")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    fs::write(root.path().join(OsStr::from_bytes(b"latin-\xe9")), "x").unwrap();
    fs::write(at("tab\t"), "x").unwrap();
    fs::write(at("fine"), "x").unwrap();
    assert_eq!(
        paths(root.path()),
        [
            "fine",
            "latin-\u{fffd} (the name is not UTF-8)",
            "link (a symbolic link)",
            "linked-directory (a symbolic link)",
            "pipe (a named pipe)",
            "socket (a socket)",
            "tab\t (the name has a control character)",
        ]
    );
}

#[test]
fn a_key_may_have_1024_bytes_and_no_more() {
    let root = tempfile::tempdir().unwrap();
    let deep = [
        ["d".repeat(200), "/".to_owned()].concat().repeat(4),
        "f".repeat(220),
    ]
    .concat();
    assert_eq!(deep.len(), 1024);
    let path = root.path().join(&deep);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, "x").unwrap();
    assert!(matches!(
        walk(root.path(), 0).unwrap().next(),
        Some(Entry::File(_))
    ));
    assert!(matches!(
        walk(root.path(), 1).unwrap().next(),
        Some(Entry::Skipped(Skipped {
            reason: SkipReason::KeyTooLong,
            ..
        }))
    ));
}

#[test]
fn a_list_is_sorted_and_stays_inside() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("b"), "x").unwrap();
    let list = ["./b", "a", "b"].map(OsString::from).to_vec();
    let entries = walk_list(root.path(), 0, list).unwrap();
    assert!(matches!(&entries[..], [Entry::Skipped(a), Entry::File(b)]
        if a.reason == SkipReason::Vanished && b.path == "b"));
    assert!(walk_list(root.path(), 0, vec!["../b".into()]).is_err());
    assert!(walk_list(root.path(), 0, vec!["/etc/passwd".into()]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_tree_comes_in_the_order_of_its_bytes(
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
        prop_assert_eq!(paths(root.path()), made);
    }
}

#[test]
fn a_part_of_a_name_has_250_bytes_and_a_control_character_is_an_ascii_one() {
    let root = tempfile::tempdir().unwrap();
    let (fits, long) = ("f".repeat(250), "l".repeat(251));
    for name in [&*fits, &*long, "c1\u{85}"] {
        fs::write(root.path().join(name), "x").unwrap();
    }
    fs::create_dir(root.path().join(long.replace('l', "m"))).unwrap();
    fs::write(root.path().join(long.replace('l', "m")).join("in"), "x").unwrap();
    let refused = |letter| {
        let name = long.replace('l', letter);
        format!("{name} (a part of the name is longer than 250 bytes)")
    };
    let expected = [
        "c1\u{85}".to_owned(),
        fits,
        refused("l"),
        refused("m").replacen(" (", "/ (", 1),
    ];
    assert_eq!(paths(root.path()), expected);
    let listed = walk_list(root.path(), 0, vec![OsString::from(&long)]).unwrap();
    assert!(matches!(&listed[..], [Entry::Skipped(s)] if s.reason == SkipReason::PartTooLong));
}
