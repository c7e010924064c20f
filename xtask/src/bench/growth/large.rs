//! Large files: `medialift sync` of one and of ten beside a plain copy of the same bytes to a socket.
//!
//! The plain copy is what disk and loopback can do: read a piece, write it to a connection, and throw
//! it away at the other end. Before every run the files are put out of the system's cache, so that
//! both really read the disk.

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use md5::{Digest, Md5};
use rustix::fs::Advice;

use super::super::report::{Report, Target};
use super::super::rounds;
use super::{OURS, sync};
use crate::process::{ScratchDirectory, scratch_directory};
use crate::stack::{Bodies, Origin, OriginOptions, Profile, Totals};
use crate::usage::Meter;

/// Bytes of all large files together, where disk and time allow; `BENCH_LARGE_MB` scales it down.
const TOTAL: u64 = 10_000_000_000;

/// How often each is measured at most, and how long that may take.
const ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_secs(60);

/// Read and written at a time by the plain copy.
const PIECE: usize = 1 << 20;

/// Bytes of a part, as `medialift sync` has it by itself.
const PART: u64 = 16 << 20;

const WALL: &str = "wall, s";
const PEAK: &str = "peak, MiB";
const RATE: &str = "MB/s";
const PLAIN: &str = "plain copy to a socket";

/// Measures one large file and ten smaller ones of as many bytes in all.
pub(super) fn measure(report: &mut Report) -> Result<()> {
    let total = match std::env::var("BENCH_LARGE_MB") {
        Ok(text) => {
            text.parse::<u64>()
                .context("`BENCH_LARGE_MB` is not a number")?
                * 1_000_000
        }
        Err(_) => TOTAL,
    };
    report.notes.push(format!(
        "Larger files: {:.1} GB in one file and in ten, on disk and not in the system's cache, are sent in \
         parts to the same server, which here takes the digest of each part that the client has announced \
         (`Content-MD5`) for true: digesting is the client's work, and the server shares its processors. \
         The plain copy reads the same files a mebibyte at a time, writes them to a socket on loopback and \
         throws them away at the other end. Afterwards each object's ETag is compared with the digest that \
         its file's parts must have.",
        total as f64 / 1e9
    ));
    let scratch = scratch_directory("bench-large")?;
    let meter = Meter::new(&scratch)?;
    for (count, case) in [(1, "one large file"), (10, "ten large files")] {
        let tree = scratch.path().join("system");
        eprintln!("bench: growth: writing {case}, {} MB", total / 1_000_000);
        let files = make(&tree, count, total / count)?;
        // What was removed before this is still being written.
        rustix::fs::sync();
        for round in rounds(2, ROUNDS, BUDGET) {
            let plain = plain_copy(&files)?;
            let (wall, peak) = upload(&meter, &scratch, &tree, &files, round)?;
            for (who, wall) in [(PLAIN, plain), (OURS, wall)] {
                let rate = total as f64 / 1e6 / wall;
                eprintln!("bench: growth: {case}: {who}: {wall:.1} s, {rate:.0} MB/s");
                report.add(case, who, WALL, wall);
                report.add(case, who, RATE, rate);
            }
            report.add(case, OURS, PEAK, peak);
        }
        let ratio = report.median(case, PLAIN, WALL) / report.median(case, OURS, WALL);
        report.targets.push(Target::at_least(
            format!("{case}: rate, medialift ÷ {PLAIN}"),
            ratio,
            0.9,
        ));
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

/// Puts the files out of the system's cache.
fn forget(files: &[LargeFile]) -> Result<()> {
    for LargeFile { path, .. } in files {
        let file = File::open(path)?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)
            .with_context(|| format!("cannot put `{}` out of the cache", path.display()))?;
    }
    Ok(())
}

/// Reads the files and writes them to a socket; seconds.
fn plain_copy(files: &[LargeFile]) -> Result<f64> {
    forget(files)?;
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
    let address = listener.local_addr()?;
    let sink = thread::spawn(move || -> io::Result<u64> {
        let (mut stream, _) = listener.accept()?;
        let mut buffer = vec![0; PIECE];
        let mut received = 0;
        loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(received),
                length => received += length as u64,
            }
        }
    });
    let begin = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![0; PIECE];
    let mut sent = 0;
    for LargeFile { path, .. } in files {
        let mut file =
            File::open(path).with_context(|| format!("cannot open `{}`", path.display()))?;
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => {
                    stream.write_all(&buffer[..length])?;
                    sent += length as u64;
                }
            }
        }
    }
    drop(stream);
    let received = sink
        .join()
        .map_err(|_| anyhow!("the plain copy's other end panicked"))??;
    ensure!(
        sent == received,
        "the plain copy sent {sent} bytes, {received} arrived"
    );
    Ok(begin.elapsed().as_secs_f64())
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
