//! The tree that the clients upload: laid out as Mastodon lays it out, with sizes as media have them (many
//! thumbnails and pictures, few clips), the same at every run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use md5::{Digest, Md5};

use super::super::report::figure;

/// Sizes are log-normal: their median in bytes, and the standard deviation of their natural logarithm.
const MEDIAN: f64 = 50_000.0;
const SIGMA: f64 = 1.4;

/// Least and greatest size of a file, bytes.
const SIZES: (f64, f64) = (10_000.0, 10_000_000.0);

/// Bytes that the files are cut from; no client compresses, so any will do that are not all alike.
const BLOCK: usize = 16 << 20;

/// Files whose digests are kept, for a look at what arrived; larger ones may be sent in parts, and then
/// their ETags are no digests.
const SAMPLES: u64 = 25;
const LARGEST_SAMPLE: usize = 5_000_000;

/// A tree on disk, and what a bucket must hold once it is uploaded.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) path: PathBuf,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Path below the tree and MD5, in hex, of some files.
    pub(super) samples: Vec<(String, String)>,
    /// What the sizes are, for a reader.
    pub(super) described: String,
}

/// Writes `files` files below `path`.
pub(super) fn make(path: PathBuf, files: u64) -> Result<Tree> {
    let mut random = Random(0x6d65_6469_616c_6966);
    let block: Vec<u8> = (0..BLOCK / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    let (mut samples, mut sizes) = (Vec::new(), Vec::new());
    let step = (files / SAMPLES).max(1);
    for number in 0..files {
        let name = name(number, &mut random);
        let size = random.size();
        let begin = random.next() as usize % (BLOCK - size);
        let mut bytes = block[begin..begin + size].to_vec();
        // No two files alike.
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        write(&path.join(&name), &bytes)?;
        sizes.push(size as u64);
        if number % step == 0 && size < LARGEST_SAMPLE {
            samples.push((name, hex::encode(Md5::digest(&bytes))));
        }
    }
    sizes.sort_unstable();
    let bytes = sizes.iter().sum();
    Ok(Tree {
        path,
        files,
        bytes,
        samples,
        described: describe(&sizes, bytes),
    })
}

fn describe(sizes: &[u64], bytes: u64) -> String {
    let share = |of: usize| {
        let size = sizes.get(sizes.len() * of / 100).or(sizes.last());
        figure(size.copied().unwrap_or_default() as f64 / 1e3)
    };
    format!(
        "{} files, {:.2} GB in all, laid out as Mastodon lays them out. Their sizes are log-normal (σ {SIGMA}), \
         as those of media are: from {} KB, half of them up to {} KB, one in ten over {} KB, one in a hundred \
         over {} KB, the largest {} KB.",
        figure(sizes.len() as f64),
        bytes as f64 / 1e9,
        share(0),
        share(50),
        share(90),
        share(99),
        share(100)
    )
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create `{}`", directory.display()))?;
    }
    fs::write(path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Where the file stands: an id in folders of three digits, then the style, then a name of hex
/// digits. Two files, of the two styles, share an id.
fn name(number: u64, random: &mut Random) -> String {
    let (root, extension) = match number / 2 % 4 {
        0 => ("media_attachments/files", "jpg"),
        1 => ("cache/media_attachments/files", "png"),
        2 => ("cache/accounts/avatars", "jpg"),
        _ => ("cache/media_attachments/files", "webp"),
    };
    let style = if number.is_multiple_of(2) {
        "original"
    } else {
        "small"
    };
    // Ids of snowflakes: close together in their first digits, scattered in the rest.
    let id = 109_302_000_000_000_000 + (number / 2).wrapping_mul(0x9e37_79b9) % 1_000_000_000_000;
    let id = id.to_string();
    let mut name = root.to_owned();
    for at in (0..id.len()).step_by(3) {
        name.push('/');
        name.push_str(&id[at..at + 3]);
    }
    format!("{name}/{style}/{:016x}.{extension}", random.next())
}

/// A small generator, for bytes, names and sizes that look random and are always the same (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly between 0, which it never is, and 1.
    fn share(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Bytes of a file.
    fn size(&mut self) -> usize {
        let angle = self.share() * std::f64::consts::TAU;
        let normal = (-2.0 * self.share().ln()).sqrt() * angle.cos();
        (MEDIAN * (SIGMA * normal).exp()).clamp(SIZES.0, SIZES.1) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_sizes_are_below_the_median_and_few_are_large() {
        let mut random = Random(1);
        let sizes: Vec<usize> = (0..100_000).map(|_| random.size()).collect();
        let above = |limit: f64| sizes.iter().filter(|size| **size as f64 > limit).count();
        assert!((49_000..51_000).contains(&above(MEDIAN)));
        assert!((1_400..1_900).contains(&above(1e6)));
        assert!(
            sizes
                .iter()
                .all(|size| (10_000..=10_000_000).contains(size))
        );
    }
}
