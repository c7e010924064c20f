//! Large files: `medialift sync` of one and of ten beside other people's clients, and beside plain copies of
//! the same bytes to sockets.
//!
//! A plain copy reads a piece, writes it to a connection and throws it away at the other end: from the
//! first byte to the last over one connection, or a part after the other over several at once. Before every
//! run the files are put out of the system's cache, so that all really read the disk.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::super::Effort;
use super::super::report::{Report, Target};
use super::PEAK;
use crate::peers::{OURS, PART, Way, for_large_files};
#[cfg(not(target_os = "linux"))]
use crate::usage::require_linux;
use crate::usage::{Meter, Usage};
use anyhow::{Context, Result, anyhow, ensure};
use md5::{Digest, Md5};
use testkit::process::scratch_directory;
use testkit::stack::{Bodies, Origin, OriginOptions, Profile, Totals};

/// Bytes of all large files together: enough for each of ten to be sent in parts by every client.
const TOTAL: u64 = 3_000_000_000;

/// Bytes that the disk must have free beyond that.
const MARGIN: u64 = 1_000_000_000;

/// How often each is measured, and how long that may take, for each of the two trees.
const ROUNDS: (usize, usize) = (3, 5);
const BUDGET: Duration = Duration::from_secs(65);

/// Read and written at a time by the plain copy.
const PIECE: usize = 1 << 20;

const WALL: &str = "wall, s";
const CPU: &str = "CPU, s";
const RATE: &str = "MB/s";

/// The least share of a plain copy's rate.
const SHARE: f64 = 0.9;

/// The plain copies, by the number of their connections.
const COPIES: [usize; 2] = [1, 8];

/// Who is measured, in turn.
#[derive(Clone)]
enum Who {
    /// A plain copy over so many connections.
    Copy(usize),
    Client(Way),
}

impl Who {
    fn name(&self) -> String {
        match self {
            Self::Copy(1) => "plain copy to a socket".to_owned(),
            Self::Copy(sockets) => format!("plain copy to {sockets} sockets at once"),
            Self::Client(way) => way.who.clone(),
        }
    }
}

/// Sees, before anything is measured, that the large files, and before them small ones of `before` bytes, will
/// find a disk with room for them.
pub(super) fn check_disk(before: u64) -> Result<()> {
    let place = std::env::temp_dir();
    ensure!(
        !is_in_memory(&place)?,
        "`{}` is in memory, and large files are to be read from a disk\n\n\
         hint: set `TMPDIR` to a directory on one",
        place.display()
    );
    let there = rustix::fs::statvfs(&place).context("cannot ask how much room is left")?;
    let free = there.f_bavail * there.f_frsize;
    let wanted = TOTAL.max(before) + MARGIN;
    ensure!(
        free >= wanted,
        "`{}` has {} MB free, and the trees take {} MB there\n\n\
         hint: set `TMPDIR` to a directory on a larger disk",
        place.display(),
        free / 1_000_000,
        wanted / 1_000_000
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
pub(super) fn measure(effort: Effort, report: &mut Report) -> Result<()> {
    let scratch = scratch_directory("bench-large")?;
    let [_, sockets] = COPIES;
    report.notes.push(format!(
        "Larger files: {:.1} GB in one file and in ten, on disk and not in the system's cache, are sent in \
         parts of {} MiB to a server that here trusts the client's `Content-MD5` of each part: digesting is \
         the client's work, and the server shares its processors. \
         The plain copy reads the same files {} KiB at a time, writes them to a socket on loopback and \
         throws them away at the other end, and digests nothing. Where the copy's brackets are wide, the \
         ratio to it is as uncertain. It takes part a second time with {sockets} \
         connections and parts of the files at once, as a client sends them. There is no TLS in this part, \
         since the copy has none. Afterwards each object's ETag is compared with the digest that its file's \
         parts must have.",
        TOTAL as f64 / 1e9,
        PART >> 20,
        PIECE >> 10,
    ));
    let meter = Meter::new(&scratch)?;
    let mut turns: Vec<Who> = COPIES.map(Who::Copy).to_vec();
    turns.extend(for_large_files()?.into_iter().map(Who::Client));
    for (count, case) in [(1, "one large file"), (10, "ten large files")] {
        let tree = scratch.path().join("system");
        eprintln!("bench: growth: writing {case}, {} MB", TOTAL / 1_000_000);
        let files = make(&tree, count, TOTAL / count)?;
        // What was removed before this is still being written.
        rustix::fs::sync();
        for _ in effort.rounds(ROUNDS.0, ROUNDS.1, BUDGET) {
            for turn in &turns {
                let who = turn.name();
                let (wall, used) = match turn {
                    Who::Copy(sockets) => (plain_copy(&files, *sockets)?, None),
                    Who::Client(way) => {
                        let usage = upload(way, &meter, &tree, &files)?;
                        (usage.wall, Some(usage))
                    }
                };
                let rate = TOTAL as f64 / 1e6 / wall;
                eprintln!("bench: growth: {case}: {who}: {wall:.1} s, {rate:.0} MB/s");
                report.add(case, &who, WALL, wall);
                report.add(case, &who, RATE, rate);
                if let Some(usage) = used {
                    report.add(case, &who, CPU, usage.cpu);
                    report.add(case, &who, PEAK, usage.peak_mib());
                }
            }
            turns.rotate_left(1);
        }
        for copy in COPIES.map(Who::Copy) {
            let copy = copy.name();
            let ratio = report.median(case, &copy, WALL) / report.median(case, OURS, WALL);
            let name = format!("{case}: rate, medialift ÷ {copy}");
            report.targets.push(Target::at_least(name, ratio, SHARE));
        }
        report.targets.push(Target::at_most(
            format!("{case}: peak memory, MiB"),
            report.median(case, OURS, PEAK),
            32.0,
        ));
        std::fs::remove_dir_all(&tree)?;
    }
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
        for (ours, other) in connections {
            let (pieces, next) = (&pieces, &next);
            let sender = scope.spawn(move || send_pieces(pieces, step, next, ours));
            ends.push((sender, scope.spawn(move || receive(other))));
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

/// One upload to an empty bucket, in parts of [`PART`].
fn upload(way: &Way, meter: &Meter, tree: &Path, files: &[LargeFile]) -> Result<Usage> {
    let origin = Origin::start(OriginOptions {
        profile: Profile::Release,
        bodies: Bodies::Trusted,
        ..OriginOptions::default()
    })?;
    let home = scratch_directory("bench-client")?;
    let command = way.command(&origin, tree, home.path())?;
    forget(files)?;
    let (usage, _) = meter.run(&format!("`{}`", way.who), &command)?;
    let should = Totals {
        objects: files.len() as u64,
        bytes: files.iter().map(|file| file.size).sum(),
    };
    let there = origin.totals("media")?;
    ensure!(
        there == should,
        "{}: the bucket holds {there:?}, the tree {should:?}",
        way.who
    );
    for file in files {
        let name = file.path.file_name().unwrap_or_default().to_string_lossy();
        let etag = origin.etag("media", &name)?;
        ensure!(
            etag == file.etag,
            "{}: `{name}` has the ETag `{etag}`, its file's parts make `{}`",
            way.who,
            file.etag
        );
    }
    Ok(usage)
}
