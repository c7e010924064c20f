//! The table of `decide`, row by row.

use super::*;
use crate::tree::{Skipped, Stamp, WalkOptions, walk};

const A: &str = "900150983cd24fb0d6963f7d28e17f72";
const B: &str = "d41d8cd98f00b204e9800998ecf8427e";
const A2: &str = "900150983cd24fb0d6963f7d28e17f72-2";

/// A file of three bytes.
fn file(hidden: bool) -> LocalFile {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("f"), "abc").unwrap();
    let options = WalkOptions {
        root: root.path().to_owned(),
        prefix_length: 0,
        follow_links: false,
    };
    let Some(TreeEntry::File(mut file)) = walk(&options).unwrap().next() else {
        panic!("no file")
    };
    file.hidden = hidden;
    file
}

fn object(size: u64, etag: &str) -> Option<ListedObject> {
    Some(ListedObject {
        key: "f".to_owned(),
        size,
        etag: etag.to_owned(),
    })
}

/// The record: none, of the file as it is, of an earlier version of it, or of the key alone.
fn record(file: &LocalFile, what: &str) -> Option<Recorded> {
    let earlier = Stamp {
        changed: 1,
        ..file.stamp
    };
    match what {
        "" => None,
        "seen" => Some(Recorded::seen()),
        "sending" => Some(Recorded::sending()),
        "A" => Recorded::same(file.stamp, A),
        "B" => Recorded::same(file.stamp, B),
        "earlier A" => Recorded::same(earlier, A),
        other => panic!("{other}"),
    }
}

fn unknown() -> Owner {
    Owner::Unknown("no settings".to_owned())
}

/// One row: object, journal, then the decisions where the disk, the bucket, and an unknown owner owns the media.
#[track_caller]
fn row(
    object: Option<ListedObject>,
    journal: &str,
    options: DecisionOptions,
    expected: [Decision; 3],
) {
    let file = file(false);
    let pair = Pair {
        path: "f".to_owned(),
        recorded: record(&file, journal),
        local: Some(TreeEntry::File(file)),
        object,
    };
    let decided =
        [Owner::Disk, Owner::Bucket, unknown()].map(|owner| decide(&pair, &owner, options));
    assert_eq!(decided, expected, "{journal:?} {:?}", pair.object);
}

const NEW: Decision = Decision::Send(Why::New);
const NOT_OURS: Decision = Decision::Conflict(Conflict::NotOurs);
const OWNS: Decision = Decision::Conflict(Conflict::BucketOwns);
const UNKNOWN: Decision = Decision::Conflict(Conflict::OwnerUnknown);

fn complete_journal() -> DecisionOptions {
    DecisionOptions {
        unrecorded_is_new: true,
        ..DecisionOptions::default()
    }
}

#[test]
fn a_file_without_an_object() {
    let no_journal = Decision::Conflict(Conflict::NoJournal);
    row(None, "", complete_journal(), [NEW, NEW, NEW]);
    row(
        None,
        "",
        DecisionOptions::default(),
        [NEW, no_journal, UNKNOWN],
    );
    row(
        None,
        "sending",
        complete_journal(),
        [NEW, no_journal, UNKNOWN],
    );
    let send_unrecorded = DecisionOptions {
        send_unrecorded: true,
        ..DecisionOptions::default()
    };
    row(None, "", send_unrecorded, [NEW, NEW, NEW]);
    row(None, "sending", send_unrecorded, [NEW, NEW, NEW]);
    row(
        None,
        "A",
        send_unrecorded,
        [NEW, Decision::DeletedInBucket, UNKNOWN],
    );
    for journal in ["A", "earlier A", "seen"] {
        let expected = [NEW, Decision::DeletedInBucket, UNKNOWN];
        row(None, journal, complete_journal(), expected);
        row(None, journal, DecisionOptions::default(), expected);
    }
}

#[test]
fn a_file_with_the_same_object() {
    row(object(3, A), "A", complete_journal(), [Decision::Same; 3]);
    let size_only = DecisionOptions {
        compare: Compare::SizeOnly,
        ..complete_journal()
    };
    for journal in ["", "B", "seen"] {
        row(object(3, A), journal, size_only, [Decision::Same; 3]);
    }
}

#[test]
fn a_file_with_another_object() {
    let replace = DecisionOptions {
        replace: true,
        ..complete_journal()
    };
    // By the size, or by the journal.
    for (object, journal) in [
        (object(4, B), ""),
        (object(3, B), "A"),
        (object(4, A), "seen"),
    ] {
        row(
            object.clone(),
            journal,
            complete_journal(),
            [NOT_OURS, OWNS, UNKNOWN],
        );
        let replaced = Decision::Send(Why::Replace);
        row(object, journal, replace, [replaced, OWNS, UNKNOWN]);
    }
    // Sent by medialift, and the file has changed since.
    let changed = Decision::Send(Why::Changed);
    row(
        object(4, A),
        "earlier A",
        complete_journal(),
        [changed, OWNS, UNKNOWN],
    );
}

#[test]
fn a_file_that_must_be_read() {
    let read = DecisionOptions {
        compare: Compare::Read,
        ..complete_journal()
    };
    row(object(3, A), "", complete_journal(), [Decision::Compare; 3]);
    row(
        object(3, A),
        "seen",
        complete_journal(),
        [Decision::Compare; 3],
    );
    row(
        object(3, A),
        "earlier A",
        complete_journal(),
        [Decision::Compare; 3],
    );
    row(
        object(3, A2),
        "A",
        complete_journal(),
        [Decision::Compare; 3],
    );
    row(object(3, A), "A", read, [Decision::Compare; 3]);
}

#[test]
fn a_file_that_was_read() {
    let file = file(false);
    let pair = |journal: &str| Pair {
        path: "f".to_owned(),
        recorded: record(&file, journal),
        local: Some(TreeEntry::File(file.clone())),
        object: object(3, A),
    };
    for (journal, owner, same, expected) in [
        ("", Owner::Disk, true, Decision::Same),
        ("", Owner::Bucket, true, Decision::Same),
        ("", Owner::Disk, false, NOT_OURS),
        (
            "earlier A",
            Owner::Disk,
            false,
            Decision::Send(Why::Changed),
        ),
        ("seen", Owner::Disk, false, NOT_OURS),
        ("earlier A", Owner::Bucket, false, OWNS),
        ("earlier A", unknown(), false, UNKNOWN),
    ] {
        let decided = decide_read(&pair(journal), same, &owner, complete_journal());
        assert_eq!(decided, expected, "{journal:?} {owner:?} {same}");
    }
}

#[test]
fn a_hidden_file_is_left_out_whatever_is_there() {
    let include = DecisionOptions {
        include_hidden: true,
        ..complete_journal()
    };
    let pair = |object| Pair {
        path: "f".to_owned(),
        local: Some(TreeEntry::File(file(true))),
        object,
        recorded: None,
    };
    for owner in [Owner::Disk, Owner::Bucket, unknown()] {
        for object in [None, object(3, A), object(4, B)] {
            let decided = decide(&pair(object), &owner, complete_journal());
            assert_eq!(decided, Decision::Hidden, "{owner:?}");
        }
    }
    assert_eq!(decide(&pair(None), &Owner::Disk, include), NEW);
}

#[test]
fn what_is_no_file_here() {
    let skipped = TreeEntry::Skipped(Skipped {
        path: "f".to_owned(),
        reason: SkipReason::Symlink,
        detail: None,
    });
    let delete = DecisionOptions {
        delete: true,
        ..complete_journal()
    };
    let seen = Some(Recorded::seen());
    let file = file(false);
    let [a, b] = ["earlier A", "B"].map(|journal| record(&file, journal));
    let only = Decision::OnlyInBucket;
    for (local, object, recorded, expected) in [
        (
            Some(skipped),
            object(3, A),
            a,
            [Decision::Skip(SkipReason::Symlink); 3],
        ),
        (None, object(3, A), a, [Decision::Delete, only, only]),
        // Mastodon uploaded it, or wrote it anew, while it used the bucket.
        (None, object(3, A), None, [only; 3]),
        (None, object(3, A), seen, [only; 3]),
        (None, object(3, A), Some(Recorded::sending()), [only; 3]),
        (None, object(3, A), b, [only; 3]),
        (None, None, seen, [Decision::Gone; 3]),
    ] {
        let pair = Pair {
            path: "f".to_owned(),
            local,
            object,
            recorded,
        };
        let decided =
            [Owner::Disk, Owner::Bucket, unknown()].map(|owner| decide(&pair, &owner, delete));
        assert_eq!(decided, expected, "{pair:?}");
        if pair.object.is_some() && pair.local.is_none() {
            assert_eq!(decide(&pair, &Owner::Disk, complete_journal()), only);
        }
    }
}
