//! An object's bytes and header fields are passed on unaltered, or not at all.

use super::scripted::ScriptedStack;
use super::stack::default_stack;
use e2e::scripted::Answer;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write as _;

/// A text whose characters are these bytes, as the script wants a field.
fn octets(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn with_fields(fields: &[&[u8]]) -> Answer {
    Answer {
        headers: fields.iter().map(|field| octets(field)).collect(),
        ..Answer::default()
    }
}

#[test]
fn fields_beyond_ascii_are_passed_as_they_are() {
    let name = "inline; filename=\"blåbær 猫.png\"".as_bytes();
    let tag = "\"v-ä-猫\"".as_bytes();
    let field = |name: &str, value: &[u8]| [name.as_bytes(), b": ", value].concat();
    let object = with_fields(&[&field("Content-Disposition", name), &field("ETag", tag)]);
    let stack = ScriptedStack::start([("utf-8.png", object)], &[]);
    let miss = stack.send("GET", "/utf-8.png", &[]);
    let hit = stack.until_hit("/utf-8.png");
    for answer in [miss, hit] {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header_bytes("content-disposition"), name);
        assert_eq!(answer.header_bytes("etag"), tag);
    }
}

#[test]
fn a_field_that_is_not_utf_8_is_passed_as_it_is_or_not_at_all() {
    // ISO 8859-1, which HTTP allows and the runtime cannot read.
    let name = b"inline; filename=\"bl\xe5b\xe6r.png\"";
    let object = with_fields(&[&[&b"Content-Disposition: "[..], name].concat()]);
    let stack = ScriptedStack::start([("latin-1.png", object)], &[]);
    let miss = stack.send("GET", "/latin-1.png", &[]);
    let hit = stack.until_hit("/latin-1.png");
    for answer in [miss, hit] {
        assert_eq!((answer.status, answer.body.len()), (200, 1_000));
        let passed = answer.header_bytes("content-disposition");
        assert!(passed.is_empty() || passed == name, "{passed:?}");
    }
}

#[test]
fn what_the_runtime_has_decoded_has_no_strong_validator() {
    let stack = default_stack();
    let text = "a line of text that is worth compressing\n".repeat(1_000);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "gzip"),
    ];
    stack.put_with(
        "media",
        "bytes/packed.bin",
        &headers,
        &encoder.finish().unwrap(),
    );
    let miss = stack.send("GET", "/bytes/packed.bin", &[]);
    let hit = stack.until_hit("/bytes/packed.bin");
    for answer in [miss, hit] {
        assert!(answer.body == text.as_bytes());
        let tag = answer.header("etag");
        assert!(tag.is_empty() || tag.starts_with("W/"), "{tag}");
    }
}
