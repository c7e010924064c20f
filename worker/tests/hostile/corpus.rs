//! The files of `tests/corpus`.

use std::path::Path;

/// The cases of a file: its lines without comments and empty ones, unescaped. Bytes that are not UTF-8 become
/// replacement characters, as in the runtime.
pub(crate) fn lines(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/corpus")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let cases: Vec<String> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| String::from_utf8_lossy(&unescaped(line)).into_owned())
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
