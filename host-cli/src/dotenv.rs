//! `.env.production` as a lossless document.
//!
//! A document is a list of pieces whose concatenation is the file byte for byte: comments, blank lines,
//! order, quoting, duplicates, line ends and bytes that are not UTF-8 are kept. Pieces follow the
//! grammar of the `dotenv` gem, by which Mastodon loads the file: an unquoted value ends at `#`, a
//! quoted one may span lines.
//!
//! Leaves to others: the values of variables ([`values`], and [`readers`] for systemd and Docker), the
//! search for mistakes ([`lint`]), the settings to write ([`settings`]), and the file on disk ([`store`]).

mod parse;

pub mod lint;
pub mod readers;
pub mod settings;
pub mod store;
pub mod values;

use values::{Environment, Gem, Value};

/// A `.env` file, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pieces: Vec<Piece>,
}

/// A part of the file, line end included.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A blank line, a comment, or a line that is no assignment.
    Verbatim(Vec<u8>),
    Assignment(Assignment),
    LoneName(LoneName),
}

/// `KEY` or `export KEY` without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LoneName {
    exported: bool,
    key: String,
    bytes: Vec<u8>,
}

/// `export KEY = "value" # comment`, split into its parts.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Leading space, and `export` if it is there.
    before: Vec<u8>,
    key: String,
    /// The `=` (or `:`) with the space around it.
    separator: Vec<u8>,
    /// The value as written, with quotes, without trailing space.
    written: Vec<u8>,
    /// Trailing space, comment and line end.
    after: Vec<u8>,
}

/// The value may be a secret and is not shown.
impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.key)
    }
}

/// How a value is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Unquoted: ends at `#` or the end of the line, and is trimmed.
    Bare,
    /// `'…'`: taken literally.
    Single,
    /// `"…"`: backslash escapes and `$` are evaluated.
    Double,
}

/// How [`Document::set`] writes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Quoted where necessary: for the gem, systemd and Compose.
    Quoted,
    /// Never quoted: `docker run --env-file` includes quotes in the value.
    Literal,
}

impl Style {
    fn write(self, value: &str, preferred: Quoting) -> Vec<u8> {
        match self {
            Style::Quoted => parse::quote(value, preferred),
            Style::Literal => value.as_bytes().to_vec(),
        }
    }
}

/// The effect of [`Document::set`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key had this value already; no byte was changed.
    Unchanged,
    /// The value on this line (from 1) was replaced.
    Replaced {
        /// Line number, from 1, at the time of the change.
        line: usize,
    },
    /// The key was missing; its line was added.
    Added {
        /// Line number, from 1, at the time of the change.
        line: usize,
    },
}

impl Assignment {
    /// The variable's name.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The value as written, quotes included.
    pub fn written(&self) -> &[u8] {
        &self.written
    }

    /// The rest of the line after the value: trailing space, comment, line end.
    pub fn after(&self) -> &[u8] {
        &self.after
    }

    /// How the value is quoted.
    pub fn quoting(&self) -> Quoting {
        parse::quoting(&self.written)
    }

    /// Whether it begins with `export`.
    pub fn is_exported(&self) -> bool {
        !self.before.trim_ascii().is_empty()
    }

    /// Whether this is `export NAME=` without a value, which the gem rejects from 3.1.5 on, unless a space
    /// follows the `=`.
    fn exports_nothing(&self) -> bool {
        let separator = self.separator.trim_ascii_start();
        self.is_exported() && self.written.is_empty() && (separator == b"=" || separator == b": ")
    }

    /// Whether nothing follows the value on its line.
    fn ends_at_its_value(&self) -> bool {
        matches!(&*self.after, b"" | b"\n" | b"\r\n" | b"\r")
    }

    fn bytes(&self) -> impl Iterator<Item = &[u8]> {
        [
            self.before.as_slice(),
            self.key.as_bytes(),
            &self.separator,
            &self.written,
            &self.after,
        ]
        .into_iter()
    }
}

impl Document {
    /// Parses `bytes`. Every input is a document; lines that are no assignment are kept verbatim.
    pub fn parse(bytes: &[u8]) -> Self {
        Document {
            pieces: parse::pieces(bytes),
        }
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Verbatim(bytes) => out.extend_from_slice(bytes),
                Piece::Assignment(assignment) => {
                    assignment.bytes().for_each(|b| out.extend_from_slice(b));
                }
                Piece::LoneName(name) => out.extend_from_slice(&name.bytes),
            }
        }
        out
    }

    /// Whether parsing the bytes gives this document again.
    ///
    /// It does not where an open quote before a value that was set is closed by the quote of the new
    /// value; such a file must be corrected by hand first.
    pub fn is_stable(&self) -> bool {
        Document::parse(&self.to_bytes()) == *self
    }

    /// Every piece, with the number of its first line from 1.
    fn numbered(&self) -> impl Iterator<Item = (usize, &Piece)> {
        self.pieces.iter().scan(1, |line, piece| {
            let first = *line;
            *line += piece.line_ends();
            Some((first, piece))
        })
    }

    /// Every assignment in order, duplicates included, with its line number from 1.
    pub fn assignments(&self) -> Vec<(usize, &Assignment)> {
        self.numbered()
            .filter_map(|(line, piece)| match piece {
                Piece::Assignment(assignment) => Some((line, assignment)),
                _ => None,
            })
            .collect()
    }

    /// Names without `=` on a line, with its number. The gem sets them to nothing from 3.1.5 on.
    pub fn lone_names(&self) -> Vec<(usize, &str)> {
        self.numbered()
            .filter_map(|(line, piece)| match piece {
                Piece::LoneName(name) if !name.exported => Some((line, name.key.as_str())),
                _ => None,
            })
            .collect()
    }

    /// Lines that are neither blank, a comment, an assignment nor a lone name, with their numbers.
    pub fn stray_lines(&self) -> Vec<(usize, &[u8])> {
        self.numbered()
            .filter_map(|(line, piece)| match piece {
                Piece::Verbatim(bytes) => Some((line, bytes.trim_ascii())),
                _ => None,
            })
            .filter(|(_, text)| {
                !text.is_empty() && !text.starts_with(b"#") && *text != parse::BYTE_ORDER_MARK
            })
            .collect()
    }

    /// The last assignment of `key`, which is the one that counts.
    pub fn get(&self, key: &str) -> Option<&Assignment> {
        self.pieces.iter().rev().find_map(|piece| match piece {
            Piece::Assignment(assignment) if assignment.key == key => Some(assignment),
            _ => None,
        })
    }

    /// The value of `key` by the newest gem and this file alone; none where it is not set, or depends on
    /// variables that are not in the file.
    pub fn value(&self, key: &str) -> Option<String> {
        let values = values::read(self, Gem::V3_1_5, &Environment::default());
        match values.ok()?.remove(key)? {
            Value::Known(text) => Some(text),
            Value::Unresolved(_) => None,
        }
    }

    /// Sets `key` to `value` and changes nothing else.
    ///
    /// The last assignment is edited in place. It keeps `export`, and its quoting if the value allows. A
    /// comment after the value, which systemd and `docker run` include in the value, is moved to a line
    /// of its own. A missing key is added after the last key of the same family (the part of the name
    /// before the first `_`), or else at the end.
    pub fn set(&mut self, key: &str, value: &str, style: Style) -> Change {
        let position = self
            .pieces
            .iter()
            .rposition(|p| matches!(p, Piece::Assignment(a) if a.key == key));
        let unchanged = self.get(key).is_some_and(|a| a.ends_at_its_value())
            && self.value(key).as_deref() == Some(value);
        match position {
            _ if unchanged => Change::Unchanged,
            Some(index) => {
                let end = self.line_end();
                let line = self.line_of(index);
                let Piece::Assignment(assignment) = &mut self.pieces[index] else {
                    return Change::Unchanged;
                };
                assignment.separator = b"=".to_vec();
                assignment.written = style.write(value, assignment.quoting());
                let comment = assignment.after.trim_ascii().to_vec();
                let ended = assignment.after.ends_with(b"\n") || assignment.after.ends_with(b"\r");
                assignment.after = if ended { end.clone() } else { Vec::new() };
                if comment.is_empty() {
                    return Change::Replaced { line };
                }
                let own_line = Piece::Verbatim([comment, end].concat());
                self.pieces.insert(index, own_line);
                Change::Replaced { line: line + 1 }
            }
            None => self.add(key, value, style),
        }
    }

    fn add(&mut self, key: &str, value: &str, style: Style) -> Change {
        let end = self.line_end();
        let index = self
            .pieces
            .iter()
            .rposition(|p| matches!(p, Piece::Assignment(a) if family_of(&a.key) == family_of(key)))
            .map_or(self.pieces.len(), |at| at + 1);
        if index == self.pieces.len() {
            self.finish_last_line(&end);
        }
        let assignment = Assignment {
            before: Vec::new(),
            key: key.to_owned(),
            separator: b"=".to_vec(),
            written: style.write(value, Quoting::Bare),
            after: end,
        };
        let line = self.line_of(index);
        self.pieces.insert(index, Piece::Assignment(assignment));
        Change::Added { line }
    }

    fn line_of(&self, index: usize) -> usize {
        1 + self.pieces[..index]
            .iter()
            .map(Piece::line_ends)
            .sum::<usize>()
    }

    /// The line end of the first line; `\n` if there is none.
    fn line_end(&self) -> Vec<u8> {
        let bytes = self.to_bytes();
        match bytes.iter().position(|&b| b == b'\n') {
            Some(at) if at > 0 && bytes[at - 1] == b'\r' => b"\r\n".to_vec(),
            _ => b"\n".to_vec(),
        }
    }

    /// Adds a line end to a last line without one.
    fn finish_last_line(&mut self, end: &[u8]) {
        let last = match self.pieces.last_mut() {
            None => return,
            Some(Piece::Verbatim(bytes)) => bytes,
            Some(Piece::LoneName(name)) => &mut name.bytes,
            Some(Piece::Assignment(assignment)) => &mut assignment.after,
        };
        if !last.ends_with(b"\n") && !last.ends_with(b"\r") {
            last.extend_from_slice(end);
        }
    }
}

impl Piece {
    fn line_ends(&self) -> usize {
        match self {
            Piece::Verbatim(bytes) | Piece::LoneName(LoneName { bytes, .. }) => {
                parse::line_ends(bytes)
            }
            Piece::Assignment(a) => parse::line_ends(&a.bytes().collect::<Vec<_>>().concat()),
        }
    }
}

/// `S3` of `S3_BUCKET`; a name without `_` is its own family.
fn family_of(key: &str) -> &str {
    key.split_once('_').map_or(key, |(family, _)| family)
}

#[cfg(test)]
mod tests;
