//! Tests of `journal`.

use super::store::FILES;
use super::*;
use crate::tree::Stamp;

fn record(number: u64) -> Recorded {
    Recorded {
        stamp: Stamp {
            size: number,
            modified: -5,
            changed: 9,
            inode: 7,
        },
        md5: [3; 16],
        parts: 2,
        same: number.is_multiple_of(2),
        sending: number.is_multiple_of(3),
    }
}

fn open_at(directory: &tempfile::TempDir) -> (Journal, Option<String>) {
    Journal::open(&directory.path().join("j.redb"), "here").unwrap()
}

#[test]
fn what_is_recorded_is_read_in_order_and_what_is_removed_is_not() {
    let state = tempfile::tempdir().unwrap();
    let (journal, note) = open_at(&state);
    assert_eq!(note, None);
    let writer = journal.writer();
    for number in 0..2500_u64 {
        writer.record(format!("f{number:05}"), record(number));
    }
    writer.remove("f00003".to_owned());
    writer.finish(false).unwrap();
    drop(journal);

    let (journal, _) = Journal::read_only(&state.path().join("j.redb")).unwrap();
    let mut cursor = journal.cursor();
    let mut gone = Vec::new();
    let mut find = |path: &str| {
        while let Some((before, _)) = cursor.next_before(Some(path)).unwrap() {
            gone.push(before);
        }
        cursor.take(path)
    };
    assert_eq!(find("a"), None);
    for number in (0..2500_u64).filter(|number| number % 1000 != 7) {
        let expected = (number != 3).then(|| record(number));
        assert_eq!(find(&format!("f{number:05}")), expected);
    }
    assert_eq!(find("z"), None);
    assert_eq!(gone, ["f00007", "f01007", "f02007"]);
    assert!(cursor.next_before(None).unwrap().is_none());
}

#[test]
fn only_a_clean_end_makes_it_complete() {
    let state = tempfile::tempdir().unwrap();
    let (first, _) = open_at(&state);
    assert!(!first.is_complete(), "new");
    first.writer().finish(true).unwrap();
    drop(first);
    let (second, _) = open_at(&state);
    assert!(second.is_complete(), "after a clean end");
    second.mark_incomplete().unwrap();
    drop(second);
    let (third, _) = open_at(&state);
    assert!(!third.is_complete(), "after a kill");
}

/// Journals on disk have this key.
#[test]
fn the_mark_of_a_complete_journal_is_called_settled_on_disk() {
    let state = tempfile::tempdir().unwrap();
    let (first, _) = open_at(&state);
    let written = first.store.change(|transaction| {
        transaction.open_table(ABOUT)?.insert("settled", "")?;
        Ok(())
    });
    written.unwrap();
    drop(first);
    assert!(open_at(&state).0.is_complete());
}

#[tokio::test]
async fn what_is_about_to_be_sent_is_committed_at_once() {
    let state = tempfile::tempdir().unwrap();
    let (journal, _) = open_at(&state);
    let writer = journal.writer();
    writer.sending("a".to_owned()).await.unwrap();
    let mut cursor = journal.cursor();
    assert_eq!(
        cursor.next_before(None).unwrap(),
        Some(("a".to_owned(), Recorded::sending()))
    );
}

#[test]
fn a_truncated_journal_is_an_error_and_not_its_end() {
    let state = tempfile::tempdir().unwrap();
    let (journal, _) = open_at(&state);
    let writer = journal.writer();
    for number in 0..50_000_u64 {
        writer.record(format!("f{number:05}"), record(number));
    }
    writer.finish(true).unwrap();
    drop(journal);
    let path = state.path().join("j.redb");
    let (journal, _) = Journal::read_only(&path).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 8).unwrap();
    let mut cursor = journal.cursor();
    let error = loop {
        match cursor.next_before(None) {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it looks like the end"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("j.redb"), "{error}");
    assert!(error.hint_text().unwrap().contains("rename it"));
}

#[test]
fn a_record_that_cannot_be_decoded_counts_as_about_to_be_sent() {
    let state = tempfile::tempdir().unwrap();
    let (journal, _) = open_at(&state);
    journal
        .store
        .change(|transaction| {
            let mut files = transaction.open_table(FILES)?;
            files.insert("a", b"of another version".as_slice())?;
            Ok(())
        })
        .unwrap();
    assert_eq!(
        journal.cursor().next_before(None).unwrap(),
        Some(("a".to_owned(), Recorded::sending()))
    );
}

#[test]
fn uploads_in_progress_are_recorded_by_key() {
    let state = tempfile::tempdir().unwrap();
    let (journal, _) = open_at(&state);
    assert_eq!(journal.upload("a"), None);
    journal.set_upload("a", Some("id")).unwrap();
    assert_eq!(journal.upload("a").as_deref(), Some("id"));
    journal.set_upload("a", None).unwrap();
    assert_eq!(journal.upload("a"), None);
}

#[test]
fn reading_creates_and_changes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("below/j.redb");
    let (journal, note) = Journal::read_only(&path).unwrap();
    assert_eq!((journal.is_complete(), note), (false, None));
    let writer = journal.writer();
    writer.record("a".to_owned(), record(1));
    writer.finish(true).unwrap();
    assert!(!path.parent().unwrap().exists());
}

#[test]
fn a_broken_or_foreign_journal_is_renamed_and_reported() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("j.redb");
    drop(open_at(&state));
    let (_other, note) = Journal::open(&path, "elsewhere").unwrap();
    assert!(note.unwrap().contains("another directory or bucket"));
    drop(_other);
    let text = "this is no database, but it is long enough to be looked at";
    fs::write(&path, text).unwrap();
    let (_journal, note) = open_at(&state);
    assert!(note.unwrap().contains("rebuilt"));
    assert!(path.with_extension("broken").exists());
}

#[test]
fn a_second_run_at_the_same_time_is_refused() {
    let state = tempfile::tempdir().unwrap();
    let _first = open_at(&state);
    let path = state.path().join("j.redb");
    for error in [
        Journal::open(&path, "here").unwrap_err(),
        Journal::read_only(&path).unwrap_err(),
    ] {
        assert!(
            error
                .to_string()
                .contains("another medialift process is using it")
        );
    }
}

#[test]
fn an_etag_is_read_back_as_it_was() {
    let stamp = record(1).stamp;
    for etag in [
        "900150983cd24fb0d6963f7d28e17f72",
        "900150983cd24fb0d6963f7d28e17f72-12",
    ] {
        assert_eq!(Recorded::same(stamp, etag).unwrap().etag(), etag);
    }
    assert_eq!(Recorded::same(stamp, "no digest"), None);
}
