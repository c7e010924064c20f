//! MD5 of files as S3's ETags have it: plain, or of the parts' digests.

mod lanes;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use md5::{Digest, Md5};

use self::lanes::{BLOCK, Eight, LANES, padded};

/// How much is read at a time.
const CHUNK: usize = 256 * 1024;

/// How much of each range is read at a time where eight are digested side by side: all of it stays in
/// the processor's cache.
const LANE_CHUNK: usize = 32 * 1024;

/// Part sizes that other clients use, in MiB, tried when an object was not sent by us.
const USUAL_PART_MEBIBYTES: [u64; 10] = [5, 8, 10, 15, 16, 20, 25, 32, 50, 100];

/// MD5 of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

/// MD5 of each of `messages`, side by side.
pub fn of_many(messages: &[&[u8]]) -> Vec<[u8; 16]> {
    if let [message] = messages {
        return vec![of_bytes(message)];
    }
    let whole = |message: &[u8]| message.len() / BLOCK * BLOCK;
    let tails: Vec<Vec<u8>> = messages
        .iter()
        .map(|message| padded(&message[whole(message)..], message.len() as u64))
        .collect();
    let mut digests = vec![[0; 16]; messages.len()];
    let mut waiting = 0..messages.len();
    let mut lanes: [Option<Lane<'_>>; LANES] = [None; LANES];
    let mut eight = Eight::new();
    loop {
        for (number, taken) in lanes.iter_mut().enumerate() {
            if taken.is_none()
                && let Some(index) = waiting.next()
            {
                let (message, tail) = (messages[index], tails[index].as_slice());
                *taken = Some(Lane::begin(index, &message[..whole(message)], tail));
                eight.begin(number);
            }
        }
        let Some(shortest) = lanes.iter().flatten().min_by_key(|lane| lane.blocks.len()) else {
            return digests;
        };
        let (any, length) = (shortest.blocks, shortest.blocks.len());
        eight.take(lanes.map(|lane| lane.map_or(any, |lane| &lane.blocks[..length])));
        for (number, taken) in lanes.iter_mut().enumerate() {
            let Some(lane) = taken else { continue };
            *lane = Lane::begin(lane.index, &lane.blocks[length..], lane.tail);
            if lane.blocks.is_empty() {
                digests[lane.index] = eight.digest(number);
                *taken = None;
            }
        }
    }
}

/// A message on its way through a lane.
#[derive(Clone, Copy)]
struct Lane<'a> {
    /// Which one.
    index: usize,
    /// What comes next, whole blocks.
    blocks: &'a [u8],
    /// What comes after that.
    tail: &'a [u8],
}

impl<'a> Lane<'a> {
    /// Goes on to the tail where there are no blocks before it.
    fn begin(index: usize, blocks: &'a [u8], tail: &'a [u8]) -> Self {
        match blocks {
            [] => Lane {
                index,
                blocks: tail,
                tail: &[],
            },
            _ => Lane {
                index,
                blocks,
                tail,
            },
        }
    }
}

/// MD5 of ranges of a file (offset and length), as many as eight of one length side by side. An early
/// end is an error.
pub fn of_ranges(file: &File, ranges: &[(u64, u64)]) -> io::Result<Vec<[u8; 16]>> {
    let mut digests = Vec::with_capacity(ranges.len());
    for group in ranges.chunks(LANES) {
        // The last part of a file may be shorter.
        let length = group.first().map_or(0, |(_, length)| *length);
        let alike = group.iter().take_while(|range| range.1 == length).count();
        if alike > 1 && length.is_multiple_of(BLOCK as u64) {
            digests.extend(side_by_side(file, &group[..alike], length)?);
        } else {
            digests.extend(one_by_one(file, &group[..alike])?);
        }
        digests.extend(one_by_one(file, &group[alike..])?);
    }
    Ok(digests)
}

fn one_by_one(file: &File, ranges: &[(u64, u64)]) -> io::Result<Vec<[u8; 16]>> {
    let digest = |(offset, length): &(u64, u64)| of_range(file, *offset, *length);
    ranges.iter().map(digest).collect()
}

/// As [`of_ranges`], of up to eight ranges that are `length` long, a multiple of a block.
fn side_by_side(file: &File, ranges: &[(u64, u64)], length: u64) -> io::Result<Vec<[u8; 16]>> {
    let mut buffer = vec![0; LANE_CHUNK * ranges.len()];
    let mut eight = Eight::new();
    let mut done = 0;
    while done < length {
        let size = LANE_CHUNK.min(usize::try_from(length - done).unwrap_or(LANE_CHUNK));
        for ((offset, _), lane) in ranges.iter().zip(buffer.chunks_exact_mut(LANE_CHUNK)) {
            file.read_exact_at(&mut lane[..size], offset + done)?;
        }
        let lane = |index: usize| {
            let begin = index.min(ranges.len() - 1) * LANE_CHUNK;
            &buffer[begin..begin + size]
        };
        eight.take(std::array::from_fn(lane));
        done += size as u64;
    }
    eight.take([&padded(&[], length); LANES]);
    Ok((0..ranges.len()).map(|lane| eight.digest(lane)).collect())
}

/// MD5 of `length` bytes from `offset`. An early end is an error.
pub fn of_range(file: &File, offset: u64, length: u64) -> io::Result<[u8; 16]> {
    let mut hasher = Md5::new();
    let mut buffer = vec![0; CHUNK.min(usize::try_from(length).unwrap_or(CHUNK))];
    let (mut at, mut left) = (offset, length);
    while left > 0 {
        let size = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact_at(&mut buffer[..size], at)?;
        hasher.update(&buffer[..size]);
        at += size as u64;
        left -= size as u64;
    }
    Ok(hasher.finalize().into())
}

/// The ETag of an upload whose parts have these digests.
pub fn composite(parts: &[[u8; 16]]) -> String {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    format!("{}-{}", hex::encode(hasher.finalize()), parts.len())
}

/// The composite ETag of a file of `size` bytes sent in parts of `part_size`.
pub fn composite_of(file: &File, size: u64, part_size: u64) -> io::Result<String> {
    let ranges: Vec<_> = part_ranges(size, part_size).collect();
    Ok(composite(&of_ranges(file, &ranges)?))
}

/// Offset and length of each part.
pub fn part_ranges(size: u64, part_size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(part_size)).map(move |index| {
        let offset = index * part_size;
        (offset, part_size.min(size - offset))
    })
}

/// Part sizes with which `size` bytes make `count` parts, ours first.
pub fn possible_part_sizes(size: u64, count: u32, ours: u64) -> Vec<u64> {
    let mut sizes = vec![ours];
    sizes.extend(USUAL_PART_MEBIBYTES.map(|mebibytes| mebibytes << 20));
    let mut seen = Vec::new();
    for candidate in sizes {
        if size.div_ceil(candidate) == u64::from(count) && !seen.contains(&candidate) {
            seen.push(candidate);
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_the_file_and_the_composite_is_the_digest_of_digests() {
        use std::io::Write;
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"abcdefgh").unwrap();
        let ranges: Vec<_> = part_ranges(8, 3).collect();
        assert_eq!(ranges, [(0, 3), (3, 3), (6, 2)]);
        let parts = [of_bytes(b"abc"), of_bytes(b"def"), of_bytes(b"gh")];
        assert_eq!(composite_of(&file, 8, 3).unwrap(), composite(&parts));
        assert!(composite(&parts).ends_with("-3"));
        assert_eq!(hex::encode(parts[0]), "900150983cd24fb0d6963f7d28e17f72");
        assert!(of_range(&file, 0, 9).is_err());
    }

    proptest::proptest! {
        #[test]
        fn many_messages_side_by_side_have_the_digests_they_have_alone(
            messages in proptest::collection::vec(
                proptest::collection::vec(proptest::prelude::any::<u8>(), 0..400),
                0..20,
            ),
        ) {
            let slices: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
            let alone: Vec<[u8; 16]> = slices.iter().map(|bytes| of_bytes(bytes)).collect();
            proptest::prop_assert_eq!(of_many(&slices), alone);
        }
    }

    #[test]
    fn ranges_side_by_side_have_the_digests_they_have_alone() {
        use std::io::Write;
        let bytes: Vec<u8> = (0..300_000_u32)
            .map(|at| (at * 31 + at / 257) as u8)
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        for part_size in [64, 4096, 33_000, 70_016, 300_000] {
            let ranges: Vec<_> = part_ranges(300_000, part_size).collect();
            let alone: Vec<[u8; 16]> = bytes
                .chunks(usize::try_from(part_size).unwrap())
                .map(of_bytes)
                .collect();
            assert_eq!(of_ranges(&file, &ranges).unwrap(), alone, "{part_size}");
        }
        assert!(of_ranges(&file, &[(0, 262_144), (262_144, 262_144)]).is_err());
    }

    #[test]
    fn only_part_sizes_that_make_the_count_are_tried() {
        assert_eq!(
            possible_part_sizes(40 << 20, 3, 16 << 20),
            [16 << 20, 15 << 20]
        );
        assert_eq!(
            possible_part_sizes(40 << 20, 1, 16 << 20),
            [50 << 20, 100 << 20]
        );
    }
}
