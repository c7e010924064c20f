//! Random schedules of reads, expiries, purges and faults, and the invariants of all of them.
//!
//! `SCHEDULES=N` runs another number of them. A failure prints its seed, and `SCHEDULE_SEED=N` runs that one
//! alone.

mod invariants;

use super::simulation::executor::TaskId;
use super::simulation::traits::UnderWay;
use super::simulation::world::{Fault, World, etag};
use super::simulation::{RULE, Request, SimEngine, engine, read};
use edge_worker::policy::freshness::{FreshnessRule, OriginCacheControl};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

const PATHS: [&str; 3] = ["/a", "/accounts/b.png", "/c.mp4"];

/// A purge that has ended: later reads see nothing older than `version`.
#[derive(Clone, Copy)]
struct Purged {
    answered_at: u64,
    version: u32,
    /// The isolate that has received it.
    isolate: usize,
}

/// The freshness rule of a seed: each one occurs.
fn rule_of(seed: u64) -> FreshnessRule {
    FreshnessRule {
        negative_seconds: [0, 10][usize::from(seed % 2 == 1)],
        origin: if seed / 2 % 4 == 3 {
            OriginCacheControl::Respect
        } else {
            OriginCacheControl::Ignore
        },
        ..RULE
    }
}

#[derive(Clone)]
struct Schedule {
    world: World,
    /// Two isolates of one data centre: each with its own tables, one store for both.
    engines: [SimEngine; 2],
    rule: FreshnessRule,
    newest: Rc<RefCell<BTreeMap<&'static str, u32>>>,
    purges: Rc<RefCell<BTreeMap<&'static str, Purged>>>,
    readers: Rc<RefCell<Vec<Reader>>>,
    answers: Rc<Cell<u64>>,
    abandons: bool,
}

/// A reader's task, and the background tasks that it has started.
#[derive(Clone)]
struct Reader {
    task: TaskId,
    background: Rc<RefCell<Vec<TaskId>>>,
}

/// Prints the seed of a schedule that fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing schedule: SCHEDULE_SEED={}", self.0);
        }
    }
}

/// A quarter of the schedules: the four tests run in parallel.
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
        "the schedules read almost nothing"
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
    let rule = rule_of(seed / 8);
    world.stores_errors.set(rule.negative_seconds > 0);
    let schedule = Schedule {
        engines: [engine(&world, rule), engine(&world, rule)],
        rule,
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
            8 => self.end_a_reader(),
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
        match executor.below(11) {
            0 => Fault::Connect,
            1 => Fault::Timeout,
            2 => Fault::Status(500),
            3 => Fault::Status(503),
            4 => Fault::CapExceeded,
            5 => Fault::Chunked,
            6 => Fault::Status(429),
            8 => Fault::ChunkedTruncate(usize::try_from(executor.below(60)).expect("small")),
            7 => Fault::Slow(3_000 + executor.below(87_000)),
            _ => Fault::Truncate(usize::try_from(executor.below(60)).expect("small")),
        }
    }

    /// The origin's object changes, and is then purged, as by Mastodon's cache buster.
    fn purge(&self, path: &'static str) {
        self.change(path);
        let version = self.newest.borrow()[path];
        if self.world.executor.once_in(3) {
            self.world.set_version(path, None);
        }
        let this = self.clone();
        let isolate = self.an_engine();
        self.world.executor.spawn(async move {
            UnderWay::purge(&this.engines[isolate], path).await;
            let answered_at = this.world.executor.now();
            let mut purges = this.purges.borrow_mut();
            let purge = purges.entry(path).or_insert(Purged {
                answered_at,
                version,
                isolate,
            });
            purge.version = purge.version.max(version);
            (purge.answered_at, purge.isolate) = (answered_at, isolate);
        });
    }

    fn an_engine(&self) -> usize {
        usize::from(self.world.executor.once_in(3))
    }

    fn end_a_reader(&self) {
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
            // The runtime ends the request, with its background tasks.
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

    fn request(&self, path: &str) -> Request {
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
        Request {
            head: executor.once_in(12),
            if_range: range
                .as_ref()
                .filter(|_| executor.once_in(3))
                .map(|_| etag(path, version)),
            if_none_match: executor.once_in(6).then(|| etag(path, version)),
            range,
        }
    }

    fn start_reader(&self, path: &'static str) {
        let (this, request) = (self.clone(), self.request(path));
        let started_at = self.world.executor.now();
        let number = self.an_engine();
        let mut engine = self.engines[number].clone();
        let background = Rc::<RefCell<Vec<TaskId>>>::default();
        engine.runtime.world.background = background.clone();
        engine.origin.world.background = background.clone();
        let task = self.world.executor.spawn(async move {
            let may_be_late = this.may_be_late(path, number);
            let servable = this.servable_until(path, number);
            let result = read(&engine, path, &request).await;
            this.answers.set(this.answers.get() + 1);
            this.check_time(started_at, &result);
            this.check_stale_covers(path, started_at, servable, &result);
            this.check_missing(path, &result);
            if let Ok(response) = result {
                this.check_sent(path, &request, &response);
                this.check_age(path, &response);
                if !may_be_late {
                    this.check_purged(path, started_at, &response);
                }
            }
        });
        self.readers.borrow_mut().push(Reader { task, background });
    }

    /// Until when the stored copy may be served in one isolate; `None` while a purge runs, and where one has
    /// overtaken the copy.
    fn servable_until(&self, path: &str, number: usize) -> Option<u64> {
        if self.is_being_purged(path) {
            return None;
        }
        let record = self.world.stored.borrow().get(path)?.record()?;
        let purges = &self.engines[number].purges;
        let servable = record.status == 200 && !purges.has_overtaken(path, record.asked_at);
        servable.then_some(record.stale_until.0)
    }
}
