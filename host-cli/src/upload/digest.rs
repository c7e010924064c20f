//! MD5 of files as S3's ETags have it: plain, or of the parts' digests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use md5::{Digest, Md5};

/// Bytes read at a time: few enough to stay in the processor's cache.
const CHUNK: usize = 128 * 1024;

/// Part sizes of other clients, MiB: tried on objects that were not sent by this one.
const USUAL_PART_MEBIBYTES: [u64; 10] = [5, 8, 10, 15, 16, 20, 25, 32, 50, 100];

/// MD5 of bytes in memory.
pub fn of_bytes(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
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
    let digests = part_ranges(size, part_size)
        .map(|(offset, length)| of_range(file, offset, length))
        .collect::<io::Result<Vec<_>>>()?;
    Ok(composite(&digests))
}

/// Offset and length of each part.
pub fn part_ranges(size: u64, part_size: u64) -> impl Iterator<Item = (u64, u64)> {
    (0..size.div_ceil(part_size)).map(move |index| {
        let offset = index * part_size;
        (offset, part_size.min(size - offset))
    })
}

/// Part sizes with which `size` bytes make `count` parts, `configured` first.
pub fn possible_part_sizes(size: u64, count: u32, configured: u64) -> Vec<u64> {
    let mut sizes = vec![configured];
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
