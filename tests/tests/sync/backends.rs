//! What must hold on every S3 server: the B2-like origin and SeaweedFS.

use std::fs;

use super::world::{Kind, World};

/// Names that a URL, a signature or a listing could get wrong.
const NAMES: [&str; 14] = [
    "a b.png",
    "plus+and%percent.png",
    "100%25.png",
    "日本語/絵.webp",
    "emoji/🎉🎉.gif",
    "quote'\"&<>.jpg",
    "semi;colon,comma=equals@at$dollar!.jpg",
    "brackets[1](2){3}.jpg",
    "back`tick^caret|pipe~tilde.jpg",
    "q?uestion#hash.mp4",
    ".hidden/.file",
    "é/decomposed-e\u{301}.png",
    "a/b/c/d/e/f/g/h/i/j/k.mp3",
    "no-extension",
];

fn every_name_arrives_and_the_second_run_sends_nothing(kind: Kind) {
    let world = World::new(kind);
    // SeaweedFS lists `a/b/c` before `a/b.txt`, which is not the order of the keys.
    let flags: &[&str] = match kind {
        Kind::Origin => &[],
        Kind::Seaweed => &["--sort-listing"],
    };
    let report = |more: &[&str]| world.report(&[flags, more].concat(), 0);
    for name in NAMES {
        world.write(name, format!("content of {name}"));
    }
    world.write("empty.bin", "");
    world.write("a.txt", "sorts before a/b");
    world.write("a/b.txt", "sorts after a.txt");
    world.write("a-b/c.txt", "sorts before a.txt");
    world.fill(300, 20_000);
    let files = world.files().len() as u64;

    report(&[]).expect(files, 0);
    world.assert_all_there("");
    report(&[]).expect(0, files);

    // Without the journal everything is read, and still nothing is sent.
    fs::remove_dir_all(world.directory.path().join("state")).expect("the journal is there");
    report(&[]).expect(0, files);
    report(&["--checksum"]).expect(0, files);
    report(&["--size-only"]).expect(0, files);
}

fn only_what_changed_is_sent_again(kind: Kind) {
    let world = World::new(kind);
    world.fill(60, 2000);
    world.write("same-size.txt", "one");
    world.write("longer.txt", "short");
    world.report(&[], 0).expect(62, 0);
    world.write("same-size.txt", "two");
    world.write("longer.txt", "longer than before");
    world.write("new.txt", "new");
    world.report(&[], 0).expect(3, 60);
    world.assert_all_there("");
    world.report(&[], 0).expect(0, 63);
}

fn a_large_file_goes_in_parts_and_is_recognised(kind: Kind) {
    let world = World::new(kind);
    let content: Vec<u8> = (0..12_000_000_u32).map(|n| (n / 7) as u8).collect();
    world.write("video.mp4", &content);
    let parts = ["--multipart-from", "6MiB", "--part-size", "5MiB"];
    world.report(&parts, 0).expect(1, 0);
    world.assert_all_there("");
    world.report(&parts, 0).expect(0, 1);
    fs::remove_dir_all(world.directory.path().join("state")).expect("the journal is there");
    // The part size with which it was sent is found from the ETag.
    world
        .report(&["--multipart-from", "6MiB", "--part-size", "8MiB"], 0)
        .expect(0, 1);
    world.write("video.mp4", [&content[1..], b"x"].concat());
    world.report(&parts, 0).expect(1, 0);
    world.assert_all_there("");
}

fn a_prefix_is_put_before_every_key(kind: Kind) {
    let world = World::new(kind);
    world.fill(20, 100);
    world
        .report(&["--key-prefix", "mastodon/files"], 0)
        .expect(20, 0);
    world.assert_all_there("mastodon/files/");
    world
        .report(&["--key-prefix", "/mastodon/files/"], 0)
        .expect(0, 20);
    world.report(&[], 0).expect(20, 0);
}

fn types_and_caching_are_as_mastodon_sets_them(kind: Kind) {
    let world = World::new(kind);
    world.write("a.png", "not really a picture");
    world.write("picture-without-a-name", b"\x89PNG\r\n\x1a\n and so on");
    world.write("unknown", "?");
    world.write("old-name.bin", b"GIF89a and so on");
    world.write("voice.m4a", b"\0\0\0\x18ftypM4A \0\0\x02\0isomiso2mp41");
    world.report(&[], 0).expect(5, 0);
    for (key, expected) in [
        ("a.png", "image/png"),
        ("picture-without-a-name", "image/png"),
        ("unknown", "application/octet-stream"),
        ("old-name.bin", "image/gif"),
        ("voice.m4a", "audio/mp4"),
    ] {
        let answer = world.object(key);
        assert_eq!(answer.header("content-type"), expected, "{key}");
        assert_eq!(
            answer.header("cache-control"),
            "public, max-age=315576000, immutable",
            "{key}"
        );
    }
}

macro_rules! on_every_server {
    ($($name:ident),* $(,)?) => {
        mod origin {
            $(#[test] fn $name() { super::$name(super::Kind::Origin); })*
        }
        mod seaweed {
            $(#[test] fn $name() { super::$name(super::Kind::Seaweed); })*
        }
    };
}

on_every_server!(
    every_name_arrives_and_the_second_run_sends_nothing,
    only_what_changed_is_sent_again,
    a_large_file_goes_in_parts_and_is_recognised,
    a_prefix_is_put_before_every_key,
    types_and_caching_are_as_mastodon_sets_them,
);
