//! The worker's corpus of hostile input, as bytes.

use std::fs;

/// The cases of a file: its lines, less comments and empty ones, with their escapes undone.
pub(crate) fn cases(file: &str) -> Vec<Vec<u8>> {
    let path = testkit::root().join("worker/tests/corpus").join(file);
    let text = fs::read_to_string(path).unwrap();
    let cases: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(unescaped)
        .collect();
    assert!(!cases.is_empty(), "{file} has no cases");
    cases
}

fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => panic!("{line:?}: unknown escape {other:?}"),
        });
    }
    bytes
}
