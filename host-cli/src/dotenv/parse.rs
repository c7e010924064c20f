//! Where one piece of a `.env` file ends and the next begins, and how a value is quoted.
//!
//! The grammar is that of the `dotenv` gem, read off its documented behaviour: optional `export`,
//! a name of letters, digits, `_` and `.`, `=` (or `: `), a quoted or a bare value, a comment.

use super::{Assignment, Piece, Quoting};

/// Splits a file so that the pieces put end to end are the file again.
pub(super) fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, length) = match assignment(rest) {
            Some(found) => found,
            None => {
                let length = line_length(rest);
                (Piece::Verbatim(rest[..length].to_vec()), length)
            }
        };
        pieces.push(piece);
        rest = &rest[length..];
    }
    pieces
}

/// The length of the first line, its end (`\n`, `\r\n` or a lone `\r`) included.
fn line_length(bytes: &[u8]) -> usize {
    match bytes.iter().position(|&b| b == b'\n' || b == b'\r') {
        None => bytes.len(),
        Some(at) if bytes[at..].starts_with(b"\r\n") => at + 2,
        Some(at) => at + 1,
    }
}

fn blanks(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take_while(|&&b| matches!(b, b' ' | b'\t' | 0x0b | 0x0c))
        .count()
}

/// An assignment at the start of `bytes`, and its length with the line end.
fn assignment(bytes: &[u8]) -> Option<(Piece, usize)> {
    let mut at = blanks(bytes);
    if let Some(after) = bytes[at..].strip_prefix(b"export") {
        let space = blanks(after);
        if space > 0 {
            at += b"export".len() + space;
        }
    }
    let key_start = at;
    let key_length = bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
        .count();
    if key_length == 0 {
        return None;
    }
    at += key_length;
    let separator_start = at;
    let space = blanks(&bytes[at..]);
    if bytes.get(at + space) == Some(&b'=') {
        at += space + 1;
        at += blanks(&bytes[at..]);
    } else if bytes.get(at) == Some(&b':') && blanks(&bytes[at + 1..]) > 0 {
        at += 1 + blanks(&bytes[at + 1..]);
    } else {
        return None;
    }
    let value_start = at;
    let value_length = quoted_length(&bytes[at..]).unwrap_or_else(|| bare_length(&bytes[at..]));
    at += value_length;
    let end = at + line_length(&bytes[at..]);
    let key = std::str::from_utf8(&bytes[key_start..separator_start]).ok()?;
    let assignment = Assignment {
        before: bytes[..key_start].to_vec(),
        key: key.to_owned(),
        separator: bytes[separator_start..value_start].to_vec(),
        written: bytes[value_start..at].to_vec(),
        after: bytes[at..end].to_vec(),
    };
    Some((Piece::Assignment(assignment), end))
}

/// The length of a quoted value with its quotes, if one starts here and nothing but a comment
/// follows it on its line. It may span lines.
fn quoted_length(bytes: &[u8]) -> Option<usize> {
    let quote = *bytes.first().filter(|&&b| b == b'\'' || b == b'"')?;
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        if byte == b'\\' && bytes.get(at + 1) == Some(&quote) {
            at += 2;
        } else if byte == quote {
            let length = at + 1;
            let rest = &bytes[length..];
            let after = rest.get(blanks(rest)).copied();
            let ends = matches!(after, None | Some(b'\n' | b'\r' | b'#'));
            return ends.then_some(length);
        } else {
            at += 1;
        }
    }
    None
}

/// The length of a bare value without the space behind it.
fn bare_length(bytes: &[u8]) -> usize {
    let end = bytes
        .iter()
        .position(|b| matches!(b, b'#' | b'\n' | b'\r'))
        .unwrap_or(bytes.len());
    bytes[..end].trim_ascii_end().len()
}

pub(super) fn quoting(written: &[u8]) -> Quoting {
    match written {
        [b'\'', .., b'\''] => Quoting::Single,
        [b'"', .., b'"'] => Quoting::Double,
        _ => Quoting::Bare,
    }
}

pub(super) fn unquote(written: &[u8]) -> Vec<u8> {
    match quoting(written) {
        Quoting::Single => written[1..written.len() - 1].to_vec(),
        Quoting::Double => unescape(&written[1..written.len() - 1]),
        Quoting::Bare => unescape(written),
    }
}

/// A backslash goes and the byte behind it stays, but for `\$`, which is the escaped dollar sign,
/// and `\n`, `\r`, which the gem keeps as two characters.
fn unescape(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match (byte, rest.peek()) {
            (b'\\', Some(b'n' | b'r')) => out.push(b'\\'),
            (b'\\', Some(_)) => out.extend(rest.next()),
            (byte, _) => out.push(byte),
        }
    }
    out
}

/// Writes `value` in the wished quoting, or in the nearest that can hold it.
pub(super) fn quote(value: &str, wished: Quoting) -> Vec<u8> {
    let bare_is_safe = value
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"_-./:@%+,=~".contains(&b));
    let single_is_safe = !value.contains('\'') && !value.ends_with('\\');
    match wished {
        Quoting::Bare if bare_is_safe => value.as_bytes().to_vec(),
        Quoting::Bare | Quoting::Single if single_is_safe => format!("'{value}'").into_bytes(),
        Quoting::Bare | Quoting::Single | Quoting::Double => {
            let mut out = vec![b'"'];
            for byte in value.bytes() {
                if matches!(byte, b'\\' | b'"' | b'$') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
            out.push(b'"');
            out
        }
    }
}
