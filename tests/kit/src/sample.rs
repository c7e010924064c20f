//! A sample media tree: real files of every kind, laid out and named as Mastodon does.
//!
//! Eight small seeds ship in `tests/fixtures/media`; each file written is one of them with a
//! comment of its own, put where its format allows one. So every file opens in a player or a
//! browser, and no two have the same bytes. Nothing here knows of buckets or servers.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// What [`create`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Number of files.
    pub files: u64,
    /// The sum of their sizes, in bytes.
    pub bytes: u64,
}

/// A shipped seed and how its format takes a comment.
#[derive(Clone, Copy)]
enum Seed {
    Jpeg,
    HeaderPng,
    EmojiPng,
    Gif,
    Webp,
    Mp4,
    Mp3,
    M4a,
}

impl Seed {
    fn bytes(self) -> &'static [u8] {
        match self {
            Seed::Jpeg => include_bytes!("../../fixtures/media/avatar.jpg"),
            Seed::HeaderPng => include_bytes!("../../fixtures/media/header.png"),
            Seed::EmojiPng => include_bytes!("../../fixtures/media/emoji.png"),
            Seed::Gif => include_bytes!("../../fixtures/media/animation.gif"),
            Seed::Webp => include_bytes!("../../fixtures/media/picture.webp"),
            Seed::Mp4 => include_bytes!("../../fixtures/media/clip.mp4"),
            Seed::Mp3 => include_bytes!("../../fixtures/media/sound.mp3"),
            Seed::M4a => include_bytes!("../../fixtures/media/voice.m4a"),
        }
    }

    /// The seed with `comment` (at most 99 bytes) in it.
    fn with_comment(self, comment: &str) -> Vec<u8> {
        let seed = self.bytes();
        let text = comment.as_bytes();
        // Lossless: the caller keeps comments under 100 bytes.
        let length = text.len() as u8;
        let mut file = Vec::with_capacity(seed.len() + 160);
        match self {
            Seed::Jpeg => {
                // A COM segment right after the start-of-image marker.
                file.extend_from_slice(&seed[..2]);
                file.extend_from_slice(&[0xff, 0xfe, 0, length + 2]);
                file.extend_from_slice(text);
                file.extend_from_slice(&seed[2..]);
            }
            Seed::HeaderPng | Seed::EmojiPng => {
                // A tEXt chunk before IEND, which is always the last twelve bytes.
                let (head, end) = seed.split_at(seed.len() - 12);
                let body = [b"tEXtComment\0", text].concat();
                file.extend_from_slice(head);
                file.extend_from_slice(&u32::from(length + 8).to_be_bytes());
                file.extend_from_slice(&body);
                file.extend_from_slice(&crc32fast::hash(&body).to_be_bytes());
                file.extend_from_slice(end);
            }
            Seed::Gif => {
                // A comment extension before the trailer byte.
                let (head, end) = seed.split_at(seed.len() - 1);
                file.extend_from_slice(head);
                file.extend_from_slice(&[0x21, 0xfe, length]);
                file.extend_from_slice(text);
                file.push(0);
                file.extend_from_slice(end);
            }
            Seed::Webp => {
                // The seed is of the extended format, which allows unknown chunks at its end;
                // chunks are padded to an even length and counted in the RIFF header.
                file.extend_from_slice(seed);
                file.extend_from_slice(b"NOTE");
                file.extend_from_slice(&u32::from(length).to_le_bytes());
                file.extend_from_slice(text);
                if length % 2 == 1 {
                    file.push(0);
                }
                let riff = (file.len() - 8) as u32;
                file[4..8].copy_from_slice(&riff.to_le_bytes());
            }
            Seed::Mp4 | Seed::M4a => {
                // A `free` box at the end.
                file.extend_from_slice(seed);
                file.extend_from_slice(&u32::from(length + 8).to_be_bytes());
                file.extend_from_slice(b"free");
                file.extend_from_slice(text);
            }
            Seed::Mp3 => {
                // An ID3v1 tag: 128 bytes, of which the title and the comment are ours.
                let mut tag = [0u8; 128];
                tag[..3].copy_from_slice(b"TAG");
                tag[3..9].copy_from_slice(b"sample");
                let kept = text.len().min(90);
                tag[33..33 + kept].copy_from_slice(&text[text.len() - kept..]);
                file.extend_from_slice(seed);
                file.extend_from_slice(&tag);
            }
        }
        file
    }
}

/// Names an administrator's tree may hold and a careless proxy breaks on.
const AWKWARD: &[(&str, Seed)] = &[
    ("summer photo.jpg", Seed::Jpeg),
    ("  two  spaces .jpg", Seed::Jpeg),
    ("a+b.png", Seed::HeaderPng),
    ("100%.png", Seed::HeaderPng),
    ("50%25 off.png", Seed::HeaderPng),
    ("%2e%2e.jpg", Seed::Jpeg),
    ("写真.webp", Seed::Webp),
    ("사진 앨범.webp", Seed::Webp),
    ("фото.jpg", Seed::Jpeg),
    ("e\u{301}te\u{301}.jpg", Seed::Jpeg),
    ("\u{1f9a3}.png", Seed::EmojiPng),
    (
        "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}.png",
        Seed::EmojiPng,
    ),
    ("it's (1).gif", Seed::Gif),
    ("a&b=c.gif", Seed::Gif),
    ("what?.jpg", Seed::Jpeg),
    ("hash#tag.jpg", Seed::Jpeg),
    ("semi;colon,comma.png", Seed::HeaderPng),
    ("[square]{curly}.png", Seed::HeaderPng),
    ("quote\"s.png", Seed::HeaderPng),
    ("back\\slash.jpg", Seed::Jpeg),
    ("~tilde~!$*@:.mp3", Seed::Mp3),
    ("clip of the day.mp4", Seed::Mp4),
];

/// Snowflake-like id `n` cut into Mastodon's folders of three digits.
fn partition(n: u64, digits: usize) -> String {
    let id = format!("{n:0digits$}");
    id.as_bytes()
        .chunks(3)
        .map(|group| String::from_utf8_lossy(group).into_owned())
        .collect::<Vec<_>>()
        .join("/")
}

/// The relative paths of the tree, each with its seed; always the same.
fn paths() -> Vec<(String, Seed)> {
    let mut paths = Vec::new();
    // Mastodon names files by sixteen random hex digits; these only look so.
    let mut serial = 0u64;
    let mut name = |extension: &str| {
        serial += 1;
        format!(
            "{:016x}.{extension}",
            serial.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        )
    };
    for n in 0..20u64 {
        let local = partition(109_302_111_222_000_000 + n * 7_919, 18);
        let remote = partition(110_555_000_111_000_000 + n * 104_729, 18);
        for (root, id) in [("accounts", &local), ("cache/accounts", &remote)] {
            let jpeg = name("jpg");
            paths.push((format!("{root}/avatars/{id}/original/{jpeg}"), Seed::Jpeg));
            let png = name("png");
            paths.push((
                format!("{root}/headers/{id}/original/{png}"),
                Seed::HeaderPng,
            ));
            if n % 5 == 0 {
                let gif = name("gif");
                paths.push((format!("{root}/avatars/{id}/original/{gif}"), Seed::Gif));
                paths.push((
                    format!("{root}/avatars/{id}/static/{}", gif.replace("gif", "png")),
                    Seed::EmojiPng,
                ));
            }
        }
        for (root, id) in [
            ("media_attachments", &local),
            ("cache/media_attachments", &remote),
        ] {
            let files = format!("{root}/files/{id}");
            let (seed, extension) = match n % 5 {
                0 => (Seed::Mp4, "mp4"),
                1 => (Seed::Mp3, "mp3"),
                2 => (Seed::Webp, "webp"),
                3 => (Seed::M4a, "m4a"),
                _ => (Seed::Jpeg, "jpeg"),
            };
            let original = name(extension);
            paths.push((format!("{files}/original/{original}"), seed));
            if !matches!(seed, Seed::Mp3 | Seed::M4a) {
                paths.push((
                    format!("{files}/small/{}", original.replace(extension, "png")),
                    Seed::HeaderPng,
                ));
            }
        }
        let emoji = partition(1_000 + n, 9);
        paths.push((
            format!("custom_emojis/images/{emoji}/original/{}", name("png")),
            Seed::EmojiPng,
        ));
        paths.push((
            format!(
                "cache/custom_emojis/images/{emoji}/original/{}",
                name("png")
            ),
            Seed::EmojiPng,
        ));
        paths.push((
            format!("cache/custom_emojis/images/{emoji}/static/{}", name("png")),
            Seed::EmojiPng,
        ));
        paths.push((
            format!(
                "cache/preview_cards/images/{}/original/{}",
                partition(20_000 + n, 9),
                name("jpg")
            ),
            Seed::Jpeg,
        ));
    }
    for (name, seed) in AWKWARD {
        paths.push((
            format!("site_uploads/files/000/000/001/original/{name}"),
            *seed,
        ));
    }
    // A folder and a file that sort apart: `a.txt` comes before `a/b`, byte by byte.
    paths.push((
        "site_uploads/files/000/000/002/@1x/a.jpg".into(),
        Seed::Jpeg,
    ));
    paths.push(("site_uploads/files/000/000/002/@1x.jpg".into(), Seed::Jpeg));
    paths
}

/// Writes the sample tree into `directory`, which must be empty or absent.
///
/// The same bytes each time, so a second run has nothing to upload.
pub fn create(directory: &Path) -> Result<Written> {
    fs::create_dir_all(directory).with_context(|| format!("create {}", directory.display()))?;
    ensure!(
        fs::read_dir(directory)?.next().is_none(),
        "{} is not empty: the sample tree goes into a folder of its own",
        directory.display()
    );
    let mut written = Written::default();
    for (number, (path, seed)) in paths().into_iter().enumerate() {
        let file = directory.join(&path);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        }
        let bytes = seed.with_comment(&format!("medialift sample {number}"));
        fs::write(&file, &bytes).with_context(|| format!("write {}", file.display()))?;
        written.files += 1;
        written.bytes += bytes.len() as u64;
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_file_has_a_path_and_bytes_of_its_own() {
        let mut seen_paths = HashSet::new();
        let mut seen_bytes = HashSet::new();
        for (number, (path, seed)) in paths().into_iter().enumerate() {
            assert!(seen_paths.insert(path.clone()), "{path} stands twice");
            assert!(
                seen_bytes.insert(seed.with_comment(&format!("medialift sample {number}"))),
                "{path} has another's bytes"
            );
        }
        assert!(seen_paths.len() > 250, "{} files", seen_paths.len());
    }

    #[test]
    fn a_folder_that_is_not_empty_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "x").unwrap();
        assert!(create(folder.path()).is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
