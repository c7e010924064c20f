//! Tests of `sync/journal`.

use super::*;
use crate::config::Endpoint;

fn target() -> Target {
    Target {
        endpoint: Endpoint::parse("http://127.0.0.1:1").unwrap(),
        region: "r".to_owned(),
        bucket: "media".to_owned(),
        key_prefix: String::new(),
    }
}

fn record(number: u64) -> Record {
    Record {
        stamp: Stamp {
            size: number,
            modified: -5,
            inode: 7,
        },
        md5: [3; 16],
        parts: 2,
    }
}

#[test]
fn what_is_written_is_found_in_order_and_what_is_gone_is_told() {
    let state = tempfile::tempdir().unwrap();
    let directory = Path::new("/srv/media");
    let (journal, said) = Journal::open(state.path(), &target(), directory).unwrap();
    assert_eq!(said, None);
    let writer = journal.writer();
    for number in 0..2500_u64 {
        writer.record(format!("f{number:05}"), record(number));
    }
    writer.forget("f00003".to_owned());
    writer.finish().unwrap();
    drop(journal);

    let (journal, _) = Journal::open(state.path(), &target(), directory).unwrap();
    let mut cursor = journal.cursor();
    let mut gone = Vec::new();
    assert_eq!(cursor.find("a", |_| unreachable!()), None);
    for number in (0..2500_u64).filter(|number| number % 1000 != 7) {
        let found = cursor.find(&format!("f{number:05}"), |path| gone.push(path));
        assert_eq!(found, (number != 3).then(|| record(number)));
    }
    assert_eq!(gone, ["f00007", "f01007", "f02007"]);
    assert_eq!(cursor.find("z", |_| unreachable!()), None);
}

#[test]
fn a_broken_or_foreign_journal_is_put_aside_and_said() {
    let state = tempfile::tempdir().unwrap();
    let directory = Path::new("/srv/media");
    drop(Journal::open(state.path(), &target(), directory).unwrap());
    let path = fs::read_dir(state.path())
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(
        &path,
        "this is no database, but it is long enough to be looked at",
    )
    .unwrap();
    let (_journal, said) = Journal::open(state.path(), &target(), directory).unwrap();
    assert!(said.unwrap().contains("rebuilt"));
    assert!(path.with_extension("broken").exists());
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let directory = Path::new("/srv/media");
    let _first = Journal::open(state.path(), &target(), directory).unwrap();
    let error = Journal::open(state.path(), &target(), directory).unwrap_err();
    assert!(error.to_string().contains("another run holds it"));
}

#[test]
fn an_etag_is_read_back_as_it_was() {
    let stamp = record(1).stamp;
    for etag in [
        "900150983cd24fb0d6963f7d28e17f72",
        "900150983cd24fb0d6963f7d28e17f72-12",
    ] {
        assert_eq!(Record::of_etag(stamp, etag).unwrap().etag(), etag);
    }
    assert_eq!(Record::of_etag(stamp, "no digest"), None);
}
