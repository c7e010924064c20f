//! The objects in the bucket, and that everyone answers with their bytes.

use std::fs;

use anyhow::{Context, Result, ensure};

use super::cases::{CASES, Kind, LARGE, SMALL};
use super::contenders::Who;
use testkit::process::scratch_directory;
use testkit::stack::{Origin, Profile};
use testkit::upload;

/// Objects that are read once by each, to look at what they answer before anything is timed.
const CHECK_SMALL: &str = "/check/small/";
const CHECK_LARGE: &str = "/check/large/";

/// Puts the objects into the bucket.
pub(super) fn fill(origin: &Origin) -> Result<()> {
    let scratch = scratch_directory("crowd")?;
    let check = |name, size| (name, 1, size);
    let objects = CASES
        .iter()
        .filter(|case| case.kind != Kind::Hit)
        .map(|case| (case.load.prefix, case.load.keys, case.load.size))
        .chain([check(CHECK_SMALL, SMALL), check(CHECK_LARGE, LARGE)]);
    let mut number = 0;
    for (prefix, keys, size) in objects {
        let directory = scratch.path().join(prefix.trim_matches('/'));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create `{}`", directory.display()))?;
        for key in 0..keys {
            let path = directory.join(format!("{key}.bin"));
            fs::write(&path, content(number, size))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            number += 1;
        }
    }
    let sent = upload::sync(origin, scratch.path(), Profile::Release)?;
    ensure!(
        sent.put_requests == number && !sent.partly,
        "{} of {number} objects were uploaded",
        sent.put_requests
    );
    Ok(())
}

/// Reads a small and a large object and compares every byte; the empty worker's lengths.
pub(super) fn look_at_answers(who: Who, url: &str) -> Result<()> {
    let before: u64 = CASES
        .iter()
        .filter(|case| case.kind != Kind::Hit)
        .map(|case| case.load.keys)
        .sum();
    for (number, prefix, size) in [
        (before, CHECK_SMALL, SMALL),
        (before + 1, CHECK_LARGE, LARGE),
    ] {
        let path = format!("{url}{prefix}0.bin");
        let mut answer = ureq::get(&path)
            .call()
            .with_context(|| format!("cannot read `{path}`"))?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(2 * LARGE)
            .read_to_vec()?;
        let right = match who {
            Who::Empty => body.len() as u64 == size,
            _ => body == content(number, size),
        };
        ensure!(
            answer.status() == 200 && right,
            "`{path}` is answered with {} and {} bytes that are not the object's",
            answer.status(),
            body.len()
        );
    }
    Ok(())
}

/// The bytes of the object of that number: no two are alike, and none compresses.
fn content(number: u64, size: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    for chunk in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_objects_are_alike() {
        assert_eq!(content(1, 20_001).len(), 20_001);
        assert_eq!(content(7, 100), content(7, 100));
        let all: std::collections::HashSet<_> = (0..2_000).map(|n| content(n, 64)).collect();
        assert_eq!(all.len(), 2_000);
    }
}
