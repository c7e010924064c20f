//! Parses a `.env` file into pieces, and quotes values.
//!
//! The grammar is that of the `dotenv` gem, as one regular expression: optional `export`, a name of
//! letters, digits, `_` and `.`, `=` (or `: `), a quoted or bare value, a comment. By this grammar a
//! quoted text on the line after `NAME=` is the value of `NAME`.

use std::sync::LazyLock;

use regex::bytes::{Captures, Regex};

use super::{Assignment, LoneName, Piece, Quoting};

/// An assignment or a lone name, in text with `\n` as line end. Versions of the gem before 3.1.5 do not
/// match lone names.
#[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?mx-u)
        ^ \s* (?<export> export \s+ )? (?<key> [\w.]+ )
        (?:
            (?<separator> \s* = \s*? | : \s+? )
            (?<value> \s* ' (?: \\' | [^'] )* ' | \s* " (?: \\" | [^"] )* " | [^\#\n]+ )?
        )?
        \s* (?: \# .* )? $"#,
    )
    .unwrap()
});

pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The file without byte order mark and with `\n` as line end, as the gem matches it; and the offset in the
/// file of each of its bytes and of its end.
fn normalised(bytes: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let start = if bytes.starts_with(BYTE_ORDER_MARK) {
        BYTE_ORDER_MARK.len()
    } else {
        0
    };
    let (mut text, mut places) = (Vec::new(), Vec::new());
    let mut at = start;
    while at < bytes.len() {
        places.push(at);
        if bytes[at] == b'\r' {
            text.push(b'\n');
            at += usize::from(bytes.get(at + 1) == Some(&b'\n'));
        } else {
            text.push(bytes[at]);
        }
        at += 1;
    }
    places.push(bytes.len());
    (text, places)
}

/// The file without byte order mark and with `\n` as line end.
pub(super) fn lines_normalised(bytes: &[u8]) -> Vec<u8> {
    normalised(bytes).0
}

/// Splits a file into pieces, whose concatenation is the file.
pub(super) fn pieces(bytes: &[u8]) -> Vec<Piece> {
    let (text, places) = normalised(bytes);
    let of = |from: usize, to: usize| bytes[places[from]..places[to]].to_vec();
    let mut pieces = Vec::new();
    if places[0] > 0 {
        pieces.push(Piece::Verbatim(bytes[..places[0]].to_vec()));
    }
    let mut done = 0;
    let verbatim = |from: usize, to: usize, pieces: &mut Vec<Piece>| {
        let mut line = from;
        while line < to {
            let end = line_end(&text, line).min(to);
            pieces.push(Piece::Verbatim(of(line, end)));
            line = end;
        }
    };
    for found in LINE.captures_iter(&text) {
        let Spans { start, key, value } = Spans::of(&found, &text);
        let end = line_end(&text, value.as_ref().map_or(key.end, |value| value.end));
        verbatim(done, start, &mut pieces);
        let name = String::from_utf8_lossy(&text[key.clone()]).into_owned();
        let before = of(start, key.start);
        pieces.push(match value {
            Some(value) => Piece::Assignment(Assignment {
                before,
                key: name,
                separator: of(key.end, value.start),
                written: of(value.start, value.end),
                after: of(value.end, end),
            }),
            None => Piece::LoneName(LoneName {
                exported: found.name("export").is_some(),
                key: name,
                bytes: of(start, end),
            }),
        });
        done = end;
    }
    verbatim(done, text.len(), &mut pieces);
    pieces
}

/// Ranges of the parts of one match.
struct Spans {
    /// The start of the line with `export`, or else with the name.
    start: usize,
    key: std::ops::Range<usize>,
    /// The trimmed value, which may be empty; none for a lone name.
    value: Option<std::ops::Range<usize>>,
}

impl Spans {
    fn of(found: &Captures<'_>, text: &[u8]) -> Self {
        let range = |name: &str| found.name(name).map(|part| part.range());
        let whole = found.get(0).map_or(0..0, |part| part.range());
        let key = range("key").unwrap_or(whole.clone());
        let first = range("export").map_or(key.start, |export| export.start);
        let start = text[whole.start..first]
            .iter()
            .rposition(|&b| b == b'\n')
            .map_or(whole.start, |at| whole.start + at + 1);
        let value = range("separator").map(|separator| match range("value") {
            None => separator.end..separator.end,
            Some(value) => {
                let part = &text[value.clone()];
                let leading = part.len() - part.trim_ascii_start().len();
                let length = part.trim_ascii().len();
                value.start + leading..value.start + leading + length
            }
        });
        Spans { start, key, value }
    }
}

/// Number of line ends in `bytes`: `\n`, `\r\n` or a single `\r`.
pub(super) fn line_ends(bytes: &[u8]) -> usize {
    lines_normalised(bytes)
        .iter()
        .filter(|&&b| b == b'\n')
        .count()
}

/// The end of the line that contains `at`, its `\n` included.
fn line_end(text: &[u8], at: usize) -> usize {
    text[at..]
        .iter()
        .position(|&b| b == b'\n')
        .map_or(text.len(), |length| at + length + 1)
}

pub(super) fn quoting(written: &[u8]) -> Quoting {
    match written {
        [b'\'', .., b'\''] => Quoting::Single,
        [b'"', .., b'"'] => Quoting::Double,
        _ => Quoting::Bare,
    }
}

/// Quotes `value` in the preferred way, or in the nearest one that can represent it. An empty value is
/// `''`: for `NAME=` the gem takes a quoted text on the next line as the value, and it rejects
/// `export NAME=`.
pub(super) fn quote(value: &str, preferred: Quoting) -> Vec<u8> {
    let bare_is_safe = !value.is_empty()
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-./:@%+,=~".contains(&b));
    let single_is_safe = !value.contains('\'') && !value.ends_with('\\');
    match preferred {
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
