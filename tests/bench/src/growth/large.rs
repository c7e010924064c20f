//! Large files: `medialift sync` of one and of ten beside plain copies of the same bytes to sockets.
//!
//! A plain copy reads a piece, writes it to a connection and throws it away at the other end: from the
//! first byte to the last over one connection, which the target is about, or over several at once. Before every run the files are put out of the system's
//! cache, so that all really read the disk.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::report::{Report, Target, figure};
use super::super::rounds;
use super::{OURS, sync};
use crate::usage::Meter;
#[cfg(not(target_os = "linux"))]
use crate::usage::require_linux;
use anyhow::{Context, Result, anyhow, ensure};
use md5::{Digest, Md5};
use testkit::process::{ScratchDirectory, scratch_directory};
use testkit::stack::{Bodies, Origin, OriginOptions, Profile, Totals};

/// Bytes of all large files together; `BENCH_LARGE_MB` scales it down, in MB.
const TOTAL: u64 = 10_000_000_000;

/// Bytes that the disk must have free beyond that.
const MARGIN: u64 = 1_000_000_000;

/// How often each is measured at most, once in each place of the order, and how long that may take.
const ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_secs(85);

/// Read and written at a time by the plain copy.
const PIECE: usize = 1 << 20;

/// Bytes of a part, as `medialift sync` has it by itself.
const PART: u64 = 16 << 20;

const WALL: &str = "wall, s";
const PEAK: &str = "peak, MiB";
const RATE: &str = "MB/s";

/// The plain copy, and over how many connections at once.
const PLAIN: (&str, usize) = ("plain copy to a socket", 1);
const PLAIN_AT_ONCE: (&str, usize) = ("plain copy to eight sockets at once", 8);

/// Who is measured, in turn.
#[derive(Clone, Copy)]
enum Who {
    Plain((&'static str, usize)),
    Medialift,
}

/// Bytes of all large files together.
fn total() -> Result<u64> {
    match std::env::var("BENCH_LARGE_MB") {
        Ok(text) => {
            let megabytes = text.parse::<u64>();
            Ok(megabytes.context("`BENCH_LARGE_MB` is not a number")? * 1_000_000)
        }
        Err(_) => Ok(TOTAL),
    }
}

/// Sees, before anything is measured, that large files will find a disk with room for them.
pub(in super::super) fn check_disk() -> Result<()> {
    let (total, place) = (total()?, std::env::temp_dir());
    ensure!(
        !is_in_memory(&place)?,
        "`{}` is in memory, and large files are to be read from a disk\n\n\
         hint: set `TMPDIR` to a directory on one",
        place.display()
    );
    let there = rustix::fs::statvfs(&place).context("cannot ask how much room is left")?;
    let free = there.f_bavail * there.f_frsize;
    ensure!(
        free >= total + MARGIN,
        "`{}` has {} MB free, and large files of {} MB in all are to be written there\n\n\
         hint: set `BENCH_LARGE_MB` to fewer, or `TMPDIR` to a larger disk",
        place.display(),
        free / 1_000_000,
        total / 1_000_000
    );
    Ok(())
}

#[cfg(target_os = "linux")]
fn is_in_memory(place: &Path) -> Result<bool> {
    /// What Linux calls a file system in memory.
    const TMPFS: rustix::fs::FsWord = 0x0102_1994;
    let kind = rustix::fs::statfs(place).context("cannot ask what disk this is")?;
    Ok(kind.f_type == TMPFS)
}

#[cfg(not(target_os = "linux"))]
fn is_in_memory(_: &Path) -> Result<bool> {
    require_linux().map(|()| false)
}

/// Measures one large file and ten smaller ones of as many bytes in all.
pub(super) fn measure(report: &mut Report) -> Result<()> {
    let total = total()?;
    let scratch = scratch_directory("bench-large")?;
    report.notes.push(format!(
        "Larger files: {:.1} GB in one file and in ten, on disk and not in the system's cache, are sent in \
         parts to the same server, which here takes the digest of each part that the client has announced \
         (`Content-MD5`) for true: digesting is the client's work, and the server shares its processors. \
         The plain copy reads the same files a mebibyte at a time, writes them to a socket on loopback and \
         throws them away at the other end, and digests nothing. It takes part a second time with {} \
         connections and pieces of the files at once. Who goes first changes from round to round. \
         Afterwards each object's ETag is compared with the digest that its file's parts must have.",
        total as f64 / 1e9,
        PLAIN_AT_ONCE.1
    ));
    let meter = Meter::new(&scratch)?;
    let mut of_several = Vec::new();
    for (count, case) in [(1, "one large file"), (10, "ten large files")] {
        let tree = scratch.path().join("system");
        eprintln!("bench: growth: writing {case}, {} MB", total / 1_000_000);
        let files = make(&tree, count, total / count)?;
        // What was removed before this is still being written.
        rustix::fs::sync();
        let mut turns = [Who::Plain(PLAIN), Who::Plain(PLAIN_AT_ONCE), Who::Medialift];
        for round in rounds(2, ROUNDS, BUDGET) {
            for turn in turns {
                let (who, wall) = match turn {
                    Who::Plain((who, at_once)) => (who, plain_copy(&files, at_once)?),
                    Who::Medialift => {
                        let (wall, peak) = upload(&meter, &scratch, &tree, &files, round)?;
                        report.add(case, OURS, PEAK, peak);
                        (OURS, wall)
                    }
                };
                let rate = total as f64 / 1e6 / wall;
                eprintln!("bench: growth: {case}: {who}: {wall:.1} s, {rate:.0} MB/s");
                report.add(case, who, WALL, wall);
                report.add(case, who, RATE, rate);
            }
            turns.rotate_left(1);
        }
        let ratio = |to: &str| report.median(case, to, WALL) / report.median(case, OURS, WALL);
        let (to_one, to_several) = (ratio(PLAIN.0), ratio(PLAIN_AT_ONCE.0));
        report.targets.push(Target::at_least(
            format!("{case}: rate, medialift ÷ {}", PLAIN.0),
            to_one,
            0.9,
        ));
        of_several.push(figure(to_several));
        report.targets.push(Target::at_most(
            format!("{case}: peak memory, MiB"),
            report.median(case, OURS, PEAK),
            32.0,
        ));
        std::fs::remove_dir_all(&tree)?;
    }
    report.notes.push(format!(
        "The target is about the plain copy over one connection. Of the rate of the one over several \
         `medialift` has {} with one file and {} with ten: its digests and the server's part of the requests \
         come on top, on the same processors.",
        of_several[0], of_several[1]
    ));
    Ok(())
}

/// A file on disk, and what its object must be.
struct LargeFile {
    path: PathBuf,
    size: u64,
    /// Of an upload in parts of [`PART`].
    etag: String,
}

/// Writes `count` files of `size` bytes that no file system can store as holes.
fn make(tree: &Path, count: u64, size: u64) -> Result<Vec<LargeFile>> {
    std::fs::create_dir_all(tree).with_context(|| format!("cannot create `{}`", tree.display()))?;
    (0..count)
        .map(|number| {
            let path = tree.join(format!("clip-{number}.mp4"));
            let etag = thread::scope(|scope| {
                // What it must be digested to is found while it is written.
                let etag = scope.spawn(|| etag_of(number, size));
                write(&path, number, size)
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
                etag.join()
                    .map_err(|_| anyhow!("the thread that digests panicked"))
            })?;
            Ok(LargeFile { path, size, etag })
        })
        .collect()
}

/// Calls `take` with every piece of a file. No two are alike.
fn for_each_piece<E>(
    number: u64,
    size: u64,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut piece: Vec<u8> = (0..PIECE).map(|at| (at * 131 + at / 251) as u8).collect();
    for begin in (0..size).step_by(PIECE) {
        piece[..8].copy_from_slice(&((number << 48) | begin).to_le_bytes());
        let length = (size - begin).min(PIECE as u64);
        take(&piece[..length as usize])?;
    }
    Ok(())
}

fn write(path: &Path, number: u64, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    for_each_piece(number, size, |piece| file.write_all(piece))?;
    file.sync_all()
}

/// The ETag of a file that is sent in parts of [`PART`].
fn etag_of(number: u64, size: u64) -> String {
    let (mut parts, mut whole, mut part) = (0, Md5::new(), Md5::new());
    let mut digested = 0;
    let digesting = for_each_piece(number, size, |piece| {
        part.update(piece);
        digested += piece.len() as u64;
        if digested.is_multiple_of(PART) || digested == size {
            whole.update(part.finalize_reset());
            parts += 1;
        }
        Ok::<_, Infallible>(())
    });
    let Ok(()) = digesting;
    format!("{}-{parts}", hex::encode(whole.finalize()))
}

/// Removes the files from the system's cache.
#[cfg(target_os = "linux")]
fn forget(files: &[LargeFile]) -> Result<()> {
    for LargeFile { path, .. } in files {
        let file = File::open(path)?;
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
            .with_context(|| format!("cannot remove `{}` from the cache", path.display()))?;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn forget(_: &[LargeFile]) -> Result<()> {
    require_linux()
}

/// Reads the files and writes them to `at_once` sockets, a piece of them after the other each; seconds.
fn plain_copy(files: &[LargeFile], at_once: usize) -> Result<f64> {
    forget(files)?;
    // With one connection from the first byte to the last; with several they are as long as a part.
    let step = if at_once == 1 { u64::MAX } else { PART };
    let pieces: Vec<(&LargeFile, u64)> = files
        .iter()
        .flat_map(|file| {
            (0..file.size)
                .step_by(step as usize)
                .map(move |begin| (file, begin))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let connections = (0..at_once)
        .map(|_| connect())
        .collect::<Result<Vec<_>>>()?;
    let begin = Instant::now();
    let (sent, received) = thread::scope(|scope| -> Result<(u64, u64)> {
        let mut ends = Vec::new();
        for (ours, theirs) in connections {
            let (pieces, next) = (&pieces, &next);
            let sender = scope.spawn(move || send_pieces(pieces, step, next, ours));
            ends.push((sender, scope.spawn(move || receive(theirs))));
        }
        let panicked = |_| anyhow!("a thread of the plain copy panicked");
        let (mut sent, mut received) = (0, 0);
        for (sender, sink) in ends {
            sent += sender.join().map_err(panicked)??;
            received += sink.join().map_err(panicked)??;
        }
        Ok((sent, received))
    })?;
    let should: u64 = files.iter().map(|file| file.size).sum();
    ensure!(
        (sent, received) == (should, should),
        "the plain copy of {should} bytes sent {sent}, {received} arrived"
    );
    Ok(begin.elapsed().as_secs_f64())
}

/// Both ends of a connection on loopback.
fn connect() -> Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let ours = TcpStream::connect(listener.local_addr()?).context("cannot connect on loopback")?;
    Ok((ours, listener.accept()?.0))
}

/// Writes pieces to one socket for as long as there is one that nobody has taken; bytes.
fn send_pieces(
    pieces: &[(&LargeFile, u64)],
    step: u64,
    next: &AtomicUsize,
    mut stream: TcpStream,
) -> Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut sent = 0;
    while let Some((LargeFile { path, size, .. }, begin)) =
        pieces.get(next.fetch_add(1, Ordering::Relaxed))
    {
        let file = File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
        let end = begin.saturating_add(step).min(*size);
        let mut at = *begin;
        while at < end {
            let wanted = (end - at).min(PIECE as u64) as usize;
            file.read_exact_at(&mut buffer[..wanted], at)?;
            stream.write_all(&buffer[..wanted])?;
            at += wanted as u64;
        }
        sent += end - begin;
    }
    Ok(sent)
}

/// Throws away what comes over one connection; bytes.
fn receive(mut stream: TcpStream) -> Result<u64> {
    let mut buffer = vec![0; PIECE];
    let mut received = 0;
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(received),
            length => received += length as u64,
        }
    }
}

/// One upload to an empty bucket; seconds and MiB.
fn upload(
    meter: &Meter,
    scratch: &ScratchDirectory,
    tree: &Path,
    files: &[LargeFile],
    round: usize,
) -> Result<(f64, f64)> {
    let origin = Origin::start(OriginOptions {
        profile: Profile::Release,
        bodies: Bodies::Trusted,
        ..OriginOptions::default()
    })?;
    forget(files)?;
    let state = scratch
        .path()
        .join(format!("state-{}-{round}", files.len()));
    let (usage, uploaded, _) = sync(meter, &origin, tree, &state, &[])?;
    let should = Totals {
        objects: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
    };
    let there = origin.totals("media")?;
    ensure!(
        uploaded == should.objects && there == should,
        "{uploaded} files were sent; the bucket holds {there:?}, the tree {should:?}"
    );
    for file in files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let etag = origin.etag("media", &name)?;
        ensure!(
            etag == file.etag,
            "`{name}` has the ETag `{etag}`, its file's parts make `{}`",
            file.etag
        );
    }
    Ok((usage.wall, usage.peak_kib as f64 / 1024.0))
}
