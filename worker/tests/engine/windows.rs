//! For how long a stale copy is served while the origin fails.

use super::fixture::{FRESH, Fixture, STALE};
use super::simulation::world::{Fault, content};
use super::simulation::{RULE, Request};
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::origin_error::OriginError;

#[test]
fn stale_is_served_for_every_fault_of_the_origin() {
    let faults = [
        Fault::Connect,
        Fault::Timeout,
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(504),
        Fault::Status(429),
        Fault::CapExceeded,
    ];
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    let mut fetches = 1;
    for fault in faults {
        fixture.fault(fault);
        fetches += 1;
        fixture.check("STALE", 1, fetches);
    }
}

#[test]
fn stale_is_served_to_the_end_of_its_window_and_not_after() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH + STALE - 10_000);
    fixture.fault(Fault::Connect);
    fixture.check("STALE", 1, 2);
    fixture.advance(10_000);
    fixture.fault(Fault::Connect);
    assert_eq!(
        fixture.read(Request::default()).err(),
        Some(OriginError::Connect)
    );
}

#[test]
fn every_stored_key_is_served_for_the_whole_window_while_the_origin_is_gone() {
    let hour = 3_600_000;
    let rule = FreshnessRule {
        fresh_seconds: 48 * 3_600,
        stale_seconds: 30 * 86_400,
        ..RULE
    };
    let (fresh, window) = (48 * hour, 48 * hour + 30 * 24 * hour);
    let fixture = Fixture::with_rule(rule);
    let executor = fixture.world.executor.clone();
    let paths: Vec<String> = (0..40).map(|at| format!("/media/{at}.png")).collect();
    let read_all = |path: &str, count: u32| {
        let slots: Vec<_> = (0..count)
            .map(|_| fixture.start_at(path, Request::default()))
            .collect();
        executor.run();
        slots
            .into_iter()
            .map(|slot| slot.take().expect("answered"))
            .collect::<Vec<_>>()
    };
    let mut stored_at = Vec::new();
    for path in &paths {
        fixture.world.set_version(path, Some(1));
        stored_at.push(executor.now());
        assert_eq!(
            read_all(path, 1)[0]
                .as_ref()
                .expect("an answer")
                .cache_status(),
            "MISS"
        );
    }
    let mut counts = [0; 3];
    fixture.world.lasting_fault.set(Some(Fault::Connect));
    let start = executor.now();
    while executor.now() < start + window - hour {
        fixture.advance(executor.below(20 * hour));
        let at = usize::try_from(executor.below(paths.len() as u64)).expect("small");
        // A fetch may take some seconds: not right at the edge of either window.
        let age = executor.now() - stored_at[at];
        if age.abs_diff(fresh) < 10_000 || age + 10_000 > window {
            continue;
        }
        for answer in read_all(
            &paths[at],
            1 + u32::try_from(executor.below(3)).expect("small"),
        ) {
            let response = answer.expect("the copy covers");
            assert_eq!(response.body, Ok(content(&paths[at], 1)));
            let index = ["HIT", "STALE", "UPDATING"]
                .iter()
                .position(|status| *status == response.cache_status());
            let index = index.expect("one of the three");
            assert_eq!(
                index == 0,
                age < fresh,
                "{} at an age of {age} ms",
                response.cache_status()
            );
            counts[index] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    for (path, stored_at) in paths.iter().zip(stored_at) {
        executor.run_until((stored_at + window + 10_000).max(executor.now()));
        assert_eq!(
            read_all(path, 1).remove(0).err(),
            Some(OriginError::Connect)
        );
    }
}
