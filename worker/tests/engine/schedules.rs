//! Random schedules of readers, expiries, purges and faults, and what must hold in every one.
//!
//! `SCHEDULES=N` runs another number of them; a failure prints the seed, and `SCHEDULE_SEED=N` runs
//! that one alone.

use super::simulation::executor::TaskId;
use super::simulation::world::{Fault, World, content, etag, media_type, version_of};
use super::simulation::{Ask, RULE, Sent, SimEngine, engine, read};
use edge_worker::policy::plan::Cause;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

const PATHS: [&str; 3] = ["/a", "/accounts/b.png", "/c.mp4"];

/// What may pass between the origin's word and the engine's decision, in milliseconds: the rest of
/// the fetch, and the look at the error's body.
const SLACK: u64 = 4_000;

/// The longest a reader may wait for headers: nginx's five seconds, a fetch that was waited for in
/// vain, one of his own, and storing a successor before it is served.
const LONGEST_READ: u64 = 5_000 + 3 * 2_000 + 2_000;

/// A purge that was answered: later reads see nothing older than `version`.
#[derive(Clone, Copy)]
struct Purged {
    answered_at: u64,
    version: u32,
}

#[derive(Clone)]
struct Schedule {
    world: World,
    engine: SimEngine,
    newest: Rc<RefCell<BTreeMap<&'static str, u32>>>,
    purges: Rc<RefCell<BTreeMap<&'static str, Purged>>>,
    readers: Rc<RefCell<Vec<Reader>>>,
    answers: Rc<Cell<u64>>,
    abandons: bool,
}

/// A reader's task, and what the engine has started in the background for him.
#[derive(Clone)]
struct Reader {
    task: TaskId,
    background: Rc<RefCell<Vec<TaskId>>>,
}

/// Prints the seed where the schedule fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing schedule: SCHEDULE_SEED={}", self.0);
        }
    }
}

/// A quarter of the schedules, so that they run side by side.
#[track_caller]
fn check_quarter(quarter: u64) {
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|text| text.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number("SCHEDULE_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("SCHEDULES").unwrap_or(20_000))
            .filter(|seed| seed / 8 % 4 == quarter)
            .collect(),
    };
    let mut answers = 0;
    for seed in &seeds {
        let _seed = Seed(*seed);
        answers += run(*seed);
    }
    assert!(
        answers >= seeds.len() as u64,
        "the schedules hardly read anything"
    );
}

#[test]
fn the_first_quarter_of_the_schedules_keeps_the_invariants() {
    check_quarter(0);
}

#[test]
fn the_second_quarter_of_the_schedules_keeps_the_invariants() {
    check_quarter(1);
}

#[test]
fn the_third_quarter_of_the_schedules_keeps_the_invariants() {
    check_quarter(2);
}

#[test]
fn the_last_quarter_of_the_schedules_keeps_the_invariants() {
    check_quarter(3);
}

fn run(seed: u64) -> u64 {
    let world = World::new(seed);
    let abandons = seed % 8 == 7;
    world.strict_writers.set(!abandons);
    let schedule = Schedule {
        engine: engine(&world, RULE),
        world,
        newest: Rc::default(),
        purges: Rc::default(),
        readers: Rc::default(),
        answers: Rc::default(),
        abandons,
    };
    for path in PATHS {
        schedule.change(path);
    }
    let executor = schedule.world.executor.clone();
    for _ in 0..8 + executor.below(40) {
        schedule.step();
        let pause = match executor.below(20) {
            0 => executor.below(1_200_000),
            1..4 => executor.below(120_000),
            4..10 => executor.below(3_000),
            _ => executor.below(30),
        };
        executor.run_until(executor.now() + pause);
    }
    executor.run();
    schedule.check_end();
    schedule.answers.get()
}

impl Schedule {
    fn step(&self) {
        let executor = &self.world.executor;
        let path = PATHS[usize::try_from(executor.below(3)).expect("small")];
        match executor.below(24) {
            0 | 1 => self.change(path),
            2 => self.world.set_version(path, None),
            3 | 4 => self.purge(path),
            5..8 => self.world.faults.borrow_mut().push(self.fault()),
            8 => self.give_up_a_reader(),
            9..12 => (0..1 + executor.below(12)).for_each(|_| self.start_reader(path)),
            _ => self.start_reader(path),
        }
    }

    /// The origin gets a new version.
    fn change(&self, path: &'static str) {
        let mut newest = self.newest.borrow_mut();
        let version = newest
            .entry(path)
            .and_modify(|version| *version += 1)
            .or_insert(1);
        self.world.set_version(path, Some(*version));
    }

    fn fault(&self) -> Fault {
        let executor = &self.world.executor;
        match executor.below(8) {
            0 => Fault::Connect,
            1 => Fault::Timeout,
            2 => Fault::Status(500),
            3 => Fault::Status(503),
            4 => Fault::CapExceeded,
            5 => Fault::Chunked,
            _ => Fault::Truncate(usize::try_from(executor.below(60)).expect("small")),
        }
    }

    /// The origin's object changes, and then a purge says so: the way of Mastodon's cache buster.
    fn purge(&self, path: &'static str) {
        self.change(path);
        let version = self.newest.borrow()[path];
        if self.world.executor.once_in(3) {
            self.world.set_version(path, None);
        }
        let this = self.clone();
        self.world.executor.spawn(async move {
            this.engine.purge(path).await;
            let answered_at = this.world.executor.now();
            let mut purges = this.purges.borrow_mut();
            let purge = purges.entry(path).or_insert(Purged {
                answered_at,
                version,
            });
            purge.version = purge.version.max(version);
            purge.answered_at = answered_at;
        });
    }

    fn give_up_a_reader(&self) {
        let executor = &self.world.executor;
        let readers = self.readers.borrow();
        let alive: Vec<&Reader> = readers
            .iter()
            .filter(|reader| executor.is_alive(reader.task))
            .collect();
        if alive.is_empty() {
            return;
        }
        let reader = alive[usize::try_from(executor.below(alive.len() as u64)).expect("small")];
        if self.abandons && executor.once_in(2) {
            // The runtime gives the request up, and all that it has started.
            executor.abandon(reader.task);
            reader
                .background
                .borrow()
                .iter()
                .for_each(|task| executor.abandon(*task));
        } else {
            executor.cancel(reader.task);
        }
    }

    fn ask(&self, path: &str) -> Ask {
        let executor = &self.world.executor;
        let version = u32::try_from(executor.below(6)).expect("small");
        let range = match executor.below(8) {
            0 => Some(format!(
                "bytes={}-{}",
                executor.below(50),
                executor.below(120)
            )),
            1 => Some(format!("bytes=-{}", executor.below(120))),
            2 => Some("bytes=0-1,3-4".to_owned()),
            _ => None,
        };
        Ask {
            if_range: range
                .as_ref()
                .filter(|_| executor.once_in(3))
                .map(|_| etag(path, version)),
            if_none_match: executor.once_in(6).then(|| etag(path, version)),
            range,
        }
    }

    fn start_reader(&self, path: &'static str) {
        let (this, ask) = (self.clone(), self.ask(path));
        let started_at = self.world.executor.now();
        let mut engine = self.engine.clone();
        let background = Rc::<RefCell<Vec<TaskId>>>::default();
        engine.runtime.0.background = background.clone();
        let task = self.world.executor.spawn(async move {
            let servable = this.servable_until(path);
            let result = read(&engine, path, &ask).await;
            this.answers.set(this.answers.get() + 1);
            this.check_time(started_at, &result);
            this.check_stale_covers(path, started_at, servable, &result);
            if let Ok(sent) = result {
                this.check_sent(path, &ask, &sent);
                this.check_age(path, &sent);
                this.check_purged(path, started_at, &sent);
            }
        });
        self.readers.borrow_mut().push(Reader { task, background });
    }

    /// Until when the copy that is stored now may be served.
    fn servable_until(&self, path: &str) -> Option<u64> {
        let stored = self.world.stored.borrow();
        Some(stored.get(path)?.entry()?.stale_until.0)
    }

    fn check_time(&self, started_at: u64, result: &Result<Sent, Cause>) {
        let answered_at = result
            .as_ref()
            .map_or_else(|_| self.world.executor.now(), |sent| sent.answered_at);
        let waited = answered_at - started_at;
        assert!(waited <= LONGEST_READ, "a reader waited {waited} ms");
    }

    /// While a copy may be served, no fault of the origin reaches a reader.
    fn check_stale_covers(
        &self,
        path: &str,
        started_at: u64,
        servable: Option<u64>,
        result: &Result<Sent, Cause>,
    ) {
        let now = self.world.executor.now();
        let removed = self
            .world
            .removed_at
            .borrow()
            .get(path)
            .is_some_and(|at| *at >= started_at)
            || self.engine.fills.is_poisoned(path, now);
        let covered = servable.is_some_and(|until| now < until) && !removed;
        if !covered {
            return;
        }
        match result {
            Err(cause) => panic!("`{path}`: {cause:?} reached a reader past a copy"),
            Ok(sent) => {
                assert!(
                    sent.status < 500 && sent.status != 403,
                    "`{path}`: {} past a copy",
                    sent.status
                );
                assert!(
                    sent.body.is_ok(),
                    "`{path}`: a body broke off past a copy, {}",
                    sent.cache_status()
                );
            }
        }
    }

    /// Bytes, type and validators are of one version of this very key.
    fn check_sent(&self, path: &str, ask: &Ask, sent: &Sent) {
        assert_eq!(sent.fields.get("x-amz-request-id"), None);
        if !matches!(sent.status, 200 | 206 | 304) {
            assert!(
                matches!(sent.status, 403 | 404 | 416 | 500 | 503),
                "status {}",
                sent.status
            );
            return;
        }
        let tag = sent.fields.get("etag").expect("has an entity tag");
        let version = version_of(path, tag).unwrap_or_else(|| panic!("`{path}` was sent {tag}"));
        let whole = content(path, version);
        if sent.status == 304 {
            assert_eq!(ask.if_none_match.as_deref(), Some(tag));
            assert_eq!(sent.body, Ok(Vec::new()));
            return;
        }
        assert_eq!(
            sent.fields.get("content-type"),
            Some(media_type(path, version).as_str())
        );
        let Ok(body) = &sent.body else {
            assert!(!sent.from_store, "a stored body broke off");
            return;
        };
        if sent.status == 200 {
            assert_eq!(*body, whole);
            return;
        }
        assert!(
            ask.if_range
                .as_deref()
                .is_none_or(|if_range| if_range == tag),
            "If-Range was not kept"
        );
        let part = sent.fields.get("content-range").expect("a part says which");
        let (range, length) = part
            .trim_start_matches("bytes ")
            .split_once('/')
            .expect("has a length");
        let (first, last) = range.split_once('-').expect("has two ends");
        let number = |text: &str| text.parse::<usize>().expect("is a number");
        assert_eq!(number(length), whole.len());
        assert_eq!(*body, whole[number(first)..=number(last)]);
    }

    /// Nothing is served past its window, and nothing as a hit past its freshness.
    fn check_age(&self, path: &str, sent: &Sent) {
        let Some(version) = sent
            .fields
            .get("etag")
            .and_then(|tag| version_of(path, tag))
        else {
            return;
        };
        let objects = self.world.objects.borrow();
        let confirmed_at = objects[path].confirmed_at[&version];
        let age = sent.answered_at.saturating_sub(confirmed_at);
        let fresh = RULE.fresh_seconds * 1_000 + SLACK;
        let stale = fresh + RULE.stale_seconds * 1_000;
        let limit = if sent.cache_status() == "HIT" {
            fresh
        } else {
            stale
        };
        assert!(
            age <= limit,
            "`{path}` was served at an age of {age} ms as {}",
            sent.cache_status()
        );
    }

    /// A read that began after a purge was answered sees nothing from before it.
    fn check_purged(&self, path: &str, started_at: u64, sent: &Sent) {
        let purge = self.purges.borrow().get(path).copied();
        let Some(purge) = purge.filter(|purge| started_at > purge.answered_at) else {
            return;
        };
        let Some(version) = sent
            .fields
            .get("etag")
            .and_then(|tag| version_of(path, tag))
        else {
            return;
        };
        assert!(
            version >= purge.version,
            "`{path}` was served version {version} as {} after a purge at version {}",
            sent.cache_status(),
            purge.version
        );
    }

    /// Everybody has gone home: no lock, no body and no task is left.
    fn check_end(&self) {
        for reader in self.readers.borrow().iter() {
            for task in reader.background.borrow().iter().chain([&reader.task]) {
                assert!(!self.world.executor.is_alive(*task), "a task never ended");
            }
        }
        if !self.abandons {
            assert!(self.engine.fills.is_empty(), "a lock is left");
            assert_eq!(self.world.live_bodies.get(), 0, "a body is left");
        }
    }
}
