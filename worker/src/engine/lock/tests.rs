//! What each reader does, and how waiting readers learn the end of a fill.

use super::*;

const FAILED: Ended = Ended::Failed(OriginError::Denied);

fn at(milliseconds: u64) -> UnixMillis {
    UnixMillis(1_000_000 + milliseconds)
}

fn take(locks: &Locks, cache_key: &str, now: u64) -> Option<Permit> {
    match locks.turn(cache_key, at(now), at(now)) {
        Turn::Fill(permit) => Some(permit),
        _ => None,
    }
}

#[test]
fn one_reader_fills_a_key() {
    let locks = Locks::default();
    let permit = take(&locks, "a", 0);
    assert!(permit.is_some());
    assert!(matches!(locks.turn("a", at(1), at(1)), Turn::Wait));
    assert!(take(&locks, "b", 1).is_some(), "another key has its own");
    drop(permit);
    assert!(take(&locks, "a", 2).is_some());
}

#[test]
fn the_key_of_a_dropped_permit_is_forgotten() {
    let locks = Locks::default();
    drop(take(&locks, "a", 0));
    assert!(locks.is_empty(at(LOCK_AGE_MILLISECONDS)));
    std::mem::forget(take(&locks, "b", LOCK_AGE_MILLISECONDS));
    assert!(
        locks.is_empty(at(2 * LOCK_AGE_MILLISECONDS)),
        "ended by the runtime"
    );
}

#[test]
fn every_end_is_forgotten() {
    let locks = Locks::default();
    for (number, ended) in [Ended::Stored, Ended::Uncacheable, FAILED, Ended::Abandoned]
        .into_iter()
        .enumerate()
    {
        let permit = take(&locks, &number.to_string(), 0).unwrap();
        permit.end(ended, at(5));
    }
    assert!(!locks.is_empty(at(5)));
    assert!(locks.is_empty(at(5 + LOCK_AGE_MILLISECONDS)));
}

#[test]
fn a_permit_that_is_never_dropped_ends_with_its_age() {
    let locks = Locks::default();
    std::mem::forget(take(&locks, "a", 0));
    assert!(take(&locks, "a", LOCK_AGE_MILLISECONDS - 1).is_none());
    let end = at(LOCK_AGE_MILLISECONDS);
    assert_eq!(locks.ended_since("a", at(1), end), Some(Ended::Abandoned));
    assert!(take(&locks, "a", LOCK_AGE_MILLISECONDS).is_some());
}

#[test]
fn a_fill_past_its_lock_age_does_not_end_the_fill_of_another() {
    let locks = Locks::default();
    let late = take(&locks, "a", 0).unwrap();
    let _next = take(&locks, "a", LOCK_AGE_MILLISECONDS).unwrap();
    let now = LOCK_AGE_MILLISECONDS + 1;
    late.end(FAILED, at(now));
    assert!(take(&locks, "a", now).is_none());
    assert_eq!(locks.ended_since("a", at(0), at(now)), None);
}

#[test]
fn a_look_up_that_began_before_the_end_is_repeated() {
    let locks = Locks::default();
    take(&locks, "a", 0).unwrap().end(Ended::Stored, at(10));
    assert!(matches!(locks.turn("a", at(10), at(12)), Turn::LookUpAgain));
    assert!(matches!(locks.turn("a", at(11), at(12)), Turn::Fill(_)));
}

#[test]
fn waiting_readers_learn_how_the_fill_has_ended() {
    for ended in [Ended::Stored, Ended::Uncacheable, FAILED] {
        let locks = Locks::default();
        let permit = take(&locks, "a", 0).unwrap();
        assert_eq!(locks.ended_since("a", at(1), at(9)), None);
        permit.end(ended, at(10));
        assert_eq!(locks.ended_since("a", at(1), at(11)), Some(ended));
        assert_eq!(
            locks.ended_since("a", at(11), at(11)),
            Some(Ended::Abandoned),
            "it ended before the wait began"
        );
    }
    let locks = Locks::default();
    drop(take(&locks, "a", 0));
    assert_eq!(locks.ended_since("a", at(1), at(2)), Some(Ended::Abandoned));
}

#[test]
fn the_next_fill_does_not_hide_the_end_of_the_last() {
    let locks = Locks::default();
    take(&locks, "a", 0).unwrap().end(FAILED, at(10));
    let _next = take(&locks, "a", 11).unwrap();
    assert_eq!(locks.ended_since("a", at(1), at(12)), Some(FAILED));
    assert_eq!(locks.ended_since("a", at(11), at(12)), None);
}

#[test]
fn for_a_second_no_reader_waits_for_an_uncacheable_answer() {
    let locks = Locks::default();
    take(&locks, "a", 0)
        .unwrap()
        .end(Ended::Uncacheable, at(10));
    let _next = take(&locks, "a", 11).unwrap();
    assert!(matches!(locks.turn("a", at(12), at(12)), Turn::Bypass));
    let later = 10 + END_REMEMBERED_MILLISECONDS;
    assert!(matches!(locks.turn("a", at(later), at(later)), Turn::Wait));
}

#[test]
fn a_purge_lets_the_next_reader_fill() {
    let locks = Locks::default();
    let before = take(&locks, "a", 0).unwrap();
    locks.release("a");
    let after = take(&locks, "a", 1);
    assert!(after.is_some());
    before.end(Ended::Stored, at(2));
    assert!(
        take(&locks, "a", 3).is_none(),
        "the next fill still owns it"
    );
}
