//! `sync`, `cutover`, `rollback` and `prune` killed at random moments while Mastodon writes and
//! deletes: no object of Mastodon's is overwritten or deleted, nothing that it deleted comes back, no
//! local file goes that the bucket does not have, and the instance always has a media directory.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::host::{Host, HostOptions};
use e2e::mastodon::{Deployment, Invariants};
use e2e::media::files;
use e2e::medialift::Killer;
use serde_json::json;

/// The number of kills of running commands that the test needs.
const KILLS: u32 = 200;
/// Kills of each command in one migration, by their order.
const OF_EACH: u32 = 4;
/// Migrations that are begun for that at most, by each of the threads.
const MOST_MIGRATIONS: u32 = 40;

/// What a whole run of a command takes, at first.
const FIRST_GUESS: Duration = Duration::from_millis(150);

/// The kills of one command: where, and how many were of a running command.
struct Kills<'a> {
    sync: Killer,
    cutover: Killer,
    rollback: Killer,
    prune: Killer,
    struck: &'a AtomicU32,
}

impl<'a> Kills<'a> {
    fn new(seed: u64, struck: &'a AtomicU32) -> Self {
        let killer = |nth| Killer::new(seed + nth, FIRST_GUESS);
        Self {
            sync: killer(1),
            cutover: killer(2),
            rollback: killer(3),
            prune: killer(4),
            struck,
        }
    }

    fn of(&mut self, name: &str) -> &mut Killer {
        match name {
            "sync" => &mut self.sync,
            "cutover" => &mut self.cutover,
            "rollback" => &mut self.rollback,
            _ => &mut self.prune,
        }
    }
}

/// Whether the guards may be overruled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guards {
    /// No flag overrules them.
    Heeded,
    /// Flags overrule them, as after a check of the named files.
    Overruled,
}

/// What a guard refuses.
const REFUSED: i32 = 3;

/// Kills a command a few times, then lets it end with one of `codes`, which it returns; looks at all
/// rules after each.
fn killed_then_whole(
    host: &Host,
    rules: &mut Invariants,
    kills: &mut Kills<'_>,
    arguments: &[&str],
    codes: &[i32],
) -> Result<i32> {
    let name = arguments[0];
    for _ in 0..OF_EACH {
        let mut command = host.command(arguments)?;
        let struck = kills.of(name).strike(&mut command, |part| part)?;
        kills.struck.fetch_add(u32::from(struck), Ordering::Relaxed);
        rules
            .check(&host.mastodon)
            .with_context(|| format!("after `{name}` was killed"))?;
    }
    let ran = host.run(arguments)?;
    let ended = ran.code.filter(|code| codes.contains(code));
    rules
        .check(&host.mastodon)
        .with_context(|| format!("after `{name}`"))?;
    ended.with_context(|| format!("`{name}`: {ran:#?}"))
}

/// A whole migration, with each command killed on the way.
fn migrate(seed: u64, guards: Guards, kills: &mut Kills<'_>) -> Result<()> {
    let host = Host::start(HostOptions {
        deployment: Deployment::Systemd,
        ruby: false,
        pictures: 60,
        seed,
    })?;
    host.origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2 }))?;
    let mut rules = host.invariants();
    let activity = host.mastodon.begin_activity_with_replacements();
    let overruled = |flags: &[&'static str]| match guards {
        Guards::Heeded => Vec::new(),
        Guards::Overruled => flags.to_vec(),
    };
    // After a kill it may not be known whether a file ever was in the bucket: it is named and left.
    let cutover = [&["cutover"], &overruled(&["--allow-unproven"])[..]].concat();
    // Mastodon stays on the bucket.
    let flags = overruled(&["--leave-in-bucket", "--with-deleted"]);
    let rollback = [&["rollback"], &flags[..]].concat();
    // 4: a file was hidden, replaced in the bucket, or written while it was read.
    killed_then_whole(&host, &mut rules, kills, &["sync"], &[0, 4])?;
    host.switch()?;
    killed_then_whole(&host, &mut rules, kills, &["sync"], &[0, 4])?;
    for _ in 0..2 {
        let cut = killed_then_whole(&host, &mut rules, kills, &cutover, &[0, REFUSED, 4])?;
        if cut == REFUSED {
            ensure!(guards == Guards::Heeded, "the media were not moved aside");
            // A run that was killed may have made the directory.
            ensure!(files(&host.kept())?.is_empty(), "what was refused was done");
        }
        // 1: there was no cutover, or a run that was killed had done it.
        let back = killed_then_whole(&host, &mut rules, kills, &rollback, &[0, 1, REFUSED, 4])?;
        if back == REFUSED {
            ensure!(guards == Guards::Heeded, "the media were not put back");
            ensure!(host.kept().is_dir(), "what was refused was done");
        }
    }
    // One of them must be aside to be pruned.
    host.run(&["cutover", "--allow-unproven"])?;
    ensure!(host.kept().is_dir(), "the media were not moved aside");
    // Half of all pictures are deleted within a minute here, which needs a flag.
    let prune = ["prune", "--max-deleted-in-bucket", "1000"];
    killed_then_whole(&host, &mut rules, kills, &prune, &[0, 4])?;
    activity.stop()
}

#[test]
fn killed_at_any_point_while_mastodon_works_nothing_is_lost_or_brought_back() -> Result<()> {
    let seed = e2e::seed();
    let struck = AtomicU32::new(0);
    let threads = std::thread::available_parallelism()?.get() as u64;
    std::thread::scope(|scope| {
        let histories: Vec<_> = (0..threads)
            .map(|thread| {
                let struck = &struck;
                scope.spawn(move || -> Result<()> {
                    let mut random = fastrand::Rng::with_seed(seed + thread);
                    let mut kills = Kills::new(random.u64(..1 << 60), struck);
                    for number in 0..MOST_MIGRATIONS {
                        if struck.load(Ordering::Relaxed) >= KILLS {
                            return Ok(());
                        }
                        let seed = random.u64(..);
                        let guards = match number % 2 {
                            0 => Guards::Heeded,
                            _ => Guards::Overruled,
                        };
                        migrate(seed, guards, &mut kills)
                            .with_context(|| format!("seed {seed}, {guards:?}"))?;
                    }
                    Ok(())
                })
            })
            .collect();
        histories
            .into_iter()
            .try_for_each(|history| history.join().expect("no panic"))
    })?;
    let struck = struck.into_inner();
    ensure!(struck >= KILLS, "only {struck} kills have struck");
    Ok(())
}
