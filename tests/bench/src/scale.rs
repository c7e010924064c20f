//! `cargo xtask bench scale`: that `medialift sync` needs no more memory for a million files than for a
//! thousand, against a bucket that holds all but a thousand of them.
//!
//! A chore of its own, not part of the tests: it writes a million files and takes minutes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, anyhow, ensure};
use md5::{Digest, Md5};
use walkdir::WalkDir;

use crate::usage::{Meter, Usage, require_linux};
use testkit::build;
use testkit::process::{ScratchDirectory, scratch_directory};
use testkit::progress::duration;
use testkit::stack::{Origin, OriginOptions, Profile, binary_of};

/// What `sync` may hold in memory at most, in KiB.
const MEMORY_LIMIT_KIB: u64 = 64 * 1024;

/// Files of one directory, as many as fit Mastodon's partition by three digits.
const FILES_A_DIRECTORY: u64 = 1_000;

/// How deep below the tree such a directory lies.
const DEPTH: usize = 4;

/// Directories that are removed at a time.
const REMOVED_AT_ONCE: usize = 8;

/// Objects registered with the origin in one request.
const BATCH: u64 = 50_000;

/// How big a tree to try.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct ScaleOptions {
    /// Files in the media tree
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) files: u64,
    /// How many of them the bucket does not have yet
    #[arg(long, default_value_t = 1_000)]
    pub(crate) missing: u64,
}

/// What one run of `sync` came to.
struct Run {
    summary: serde_json::Value,
    usage: Usage,
}

/// Makes the tree, syncs it twice, and says what it took; false where it is not as it should be.
///
/// # Errors
/// Fails when something cannot be set up.
pub(crate) fn run(options: ScaleOptions) -> Result<bool> {
    require_linux()?;
    ensure!(
        options.missing <= options.files,
        "more files are missing than there are"
    );
    build::programs()?;
    let scratch = scratch_directory("scale")?;
    let meter = Meter::new(&scratch)?;
    let tree = scratch.path().join("system");
    let origin = Origin::start(OriginOptions::default())?;

    let start = Instant::now();
    let missing = make_tree(&tree, &origin, options)?;
    eprintln!(
        "scale: {} files made and registered in {}",
        options.files,
        duration(start.elapsed())
    );

    let mut good = true;
    let known = options.files - options.missing;
    for (name, uploaded, unchanged) in [
        ("first", options.missing, known),
        ("second", 0, options.files),
    ] {
        origin.reset_requests()?;
        let run = sync(&meter, &scratch, &origin, &tree)?;
        let requests = origin.requests()?;
        eprintln!(
            "scale: {name} run: {:.1} s, peak {} KiB, {} listing and {} upload requests of {}",
            run.usage.wall,
            run.usage.peak_kib,
            requests.of("ListObjectsV2"),
            requests.of("PutObject"),
            requests.total
        );
        let mut check = |what: &str, is: u64, should: u64| {
            if is != should {
                eprintln!("error: {name} run: {what}: {is}, should be {should}");
                good = false;
            }
        };
        check("files uploaded", count(&run.summary, "uploaded")?, uploaded);
        check(
            "files unchanged",
            count(&run.summary, "unchanged")?,
            unchanged,
        );
        check("upload requests", requests.of("PutObject"), uploaded);
        if uploaded > 0 {
            let right = missing
                .iter()
                .filter(|key| requests.of_key(key, "PutObject") == 1)
                .count();
            check("of the missing files uploaded once", right as u64, uploaded);
        }
        if run.usage.peak_kib > MEMORY_LIMIT_KIB {
            eprintln!(
                "error: {name} run: peak memory {} KiB, over {MEMORY_LIMIT_KIB} KiB",
                run.usage.peak_kib
            );
            good = false;
        }
    }
    remove_tree(&tree)?;
    Ok(good)
}

/// Writes the files, registers all but the missing ones with the origin, and returns the keys of the
/// latter. They are spread evenly, so that every part of the run has some to do.
pub(crate) fn make_tree(
    tree: &Path,
    origin: &Origin,
    options: ScaleOptions,
) -> Result<Vec<String>> {
    write_files(tree, options.files)?;
    let step = options
        .files
        .checked_div(options.missing)
        .unwrap_or(u64::MAX);
    let mut missing = Vec::new();
    let mut lines = String::new();
    for number in 0..options.files {
        let (directory, name, bytes) = file_of(number);
        let key = format!("{directory}/{name}");
        if number % step == 0 && (missing.len() as u64) < options.missing {
            missing.push(key);
        } else {
            let etag = hex::encode(Md5::digest(&bytes));
            writeln!(
                lines,
                r#"{{"key":"{key}","size":{},"etag":"{etag}"}}"#,
                bytes.len()
            )?;
        }
        if (number + 1) % BATCH == 0 || number + 1 == options.files {
            origin.register("media", std::mem::take(&mut lines))?;
            eprintln!("scale: {} of {} files made", number + 1, options.files);
        }
    }
    Ok(missing)
}

/// Directory, name and content of a file of the tree.
fn file_of(number: u64) -> (String, String, String) {
    let group = number / FILES_A_DIRECTORY;
    (
        format!(
            "media_attachments/files/{:03}/{:03}",
            group / 1000,
            group % 1000
        ),
        format!("{number:016x}.png"),
        format!("file {number} of a big tree\n"),
    )
}

/// Writes the tree's files, a directory to each processor at a time.
fn write_files(tree: &Path, files: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let write = || -> Result<()> {
        loop {
            let begin = next.fetch_add(FILES_A_DIRECTORY, Ordering::Relaxed);
            if begin >= files {
                return Ok(());
            }
            let directory = tree.join(file_of(begin).0);
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create `{}`", directory.display()))?;
            for number in begin..files.min(begin + FILES_A_DIRECTORY) {
                let (_, name, bytes) = file_of(number);
                let path = directory.join(name);
                fs::write(&path, bytes)
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    side_by_side(threads, write)
}

/// Removes a tree of many files, some directories at a time: the disk works on them side by side.
pub(crate) fn remove_tree(tree: &Path) -> Result<()> {
    let directories = WalkDir::new(tree).min_depth(DEPTH).max_depth(DEPTH);
    let directories = Mutex::new(directories.into_iter());
    let next = || {
        let mut directories = directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.next()
    };
    let remove = || -> Result<()> {
        while let Some(entry) = next() {
            let directory = entry.context("cannot look through the tree")?.into_path();
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot remove `{}`", directory.display()))?;
        }
        Ok(())
    };
    side_by_side(REMOVED_AT_ONCE, remove)?;
    fs::remove_dir_all(tree).with_context(|| format!("cannot remove `{}`", tree.display()))
}

/// Runs `work` in so many threads.
fn side_by_side(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        for thread in running {
            thread
                .join()
                .map_err(|_| anyhow!("a thread that works on the tree panicked"))??;
        }
        Ok(())
    })
}

/// One run of the real command.
fn sync(meter: &Meter, scratch: &ScratchDirectory, origin: &Origin, tree: &Path) -> Result<Run> {
    let state = scratch.path().join("state");
    let command = sync_command(Profile::Debug, origin, tree, &state)?;
    let (usage, summary) = meter.run("`medialift sync`", &command)?;
    Ok(Run {
        summary: serde_json::from_str(&summary)
            .context("`medialift sync --json` printed no JSON")?,
        usage,
    })
}

/// `medialift sync` of `tree` to the origin's first bucket, its journal in `state`; it reads no
/// settings of the person who runs it.
pub(crate) fn sync_command(
    profile: Profile,
    origin: &Origin,
    tree: &Path,
    state: &Path,
) -> Result<Command> {
    let mut command = Command::new(binary_of(profile, "medialift")?);
    command
        .args([
            "sync",
            "--json",
            "--not-mastodon",
            "--bucket",
            "media",
            "--region",
            "us-west-004",
            "--endpoint",
            &origin.s3_url,
        ])
        .arg("--state-dir")
        .arg(state)
        .arg(tree)
        .current_dir(tree)
        .env_remove("MEDIALIFT_CONFIG")
        .env_remove("KEY_PREFIX")
        .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
        .env("B2_APPLICATION_KEY", OriginOptions::KEY);
    Ok(command)
}

/// A figure of the summary: a number, or files and bytes.
pub(crate) fn count(summary: &serde_json::Value, what: &str) -> Result<u64> {
    let value = &summary[what];
    value
        .as_u64()
        .or_else(|| value["files"].as_u64())
        .with_context(|| format!("the summary of `medialift sync` has no `{what}`"))
}
