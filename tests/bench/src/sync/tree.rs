//! The tree that the clients upload: files of 10 to 100 KB, laid out as Mastodon lays them out, the
//! same at every run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use md5::{Digest, Md5};

/// Bytes that the files are cut from; no client compresses, so any will do that are not all alike.
const BLOCK: usize = 128 * 1024;

/// Least and greatest size of a file, bytes.
const SIZES: (u64, u64) = (10_000, 100_000);

/// Files whose digests are kept, for a look at what arrived.
const SAMPLES: u64 = 25;

/// A tree on disk, and what a bucket must hold once it is uploaded.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) path: PathBuf,
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Path below the tree and MD5, in hex, of some files.
    pub(super) samples: Vec<(String, String)>,
}

/// Writes `files` files below `path`.
pub(super) fn make(path: PathBuf, files: u64) -> Result<Tree> {
    let mut random = Random(0x6d65_6469_616c_6966);
    let block: Vec<u8> = (0..BLOCK / 8)
        .flat_map(|_| random.next().to_le_bytes())
        .collect();
    let mut tree = Tree {
        path,
        files,
        bytes: 0,
        samples: Vec::new(),
    };
    let step = (files / SAMPLES).max(1);
    for number in 0..files {
        let name = name(number, &mut random);
        let size = SIZES.0 + random.next() % (SIZES.1 - SIZES.0);
        let begin = random.next() % (BLOCK as u64 - size);
        let mut bytes = block[begin as usize..(begin + size) as usize].to_vec();
        // No two files alike.
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        write(&tree.path.join(&name), &bytes)?;
        tree.bytes += size;
        if number % step == 0 {
            tree.samples.push((name, hex::encode(Md5::digest(&bytes))));
        }
    }
    Ok(tree)
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

/// A small generator, for bytes and names that look random and are always the same (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
