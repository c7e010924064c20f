//! `.env.production` as a lossless document.
//!
//! A document is a list of pieces that, put end to end, are the file byte for byte: comments,
//! blank lines, order, quoting, duplicates, line ends and bytes that are not UTF-8 all stay. What
//! a value *means* follows the `dotenv` gem that Mastodon loads the file with: the last of several
//! assignments wins, an unquoted value ends at `#`, a quoted one may span lines.
//! Leaves to others: which settings are right ([`lint`]), which to write ([`settings`]), and the
//! file on disk ([`store`]).

mod parse;

pub mod lint;
pub mod settings;
pub mod store;

/// A `.env` file, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    pieces: Vec<Piece>,
}

/// One stretch of the file, line end included.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A blank line, a comment, or a line that is no assignment.
    Verbatim(Vec<u8>),
    Assignment(Assignment),
}

/// `export KEY = "value" # comment`, in the parts it was written in.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment {
    /// Leading space and `export`.
    before: Vec<u8>,
    key: String,
    /// The `=` (or `:`) with the space around it.
    separator: Vec<u8>,
    /// The value as written, quotes and all, trailing space not included.
    written: Vec<u8>,
    /// Trailing space, comment and line end.
    after: Vec<u8>,
}

/// A debug print must not show what may be a secret.
impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}=…", self.key)
    }
}

/// How a value is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Not at all: ends at `#` or the line's end, outer space is cut off.
    Bare,
    /// `'…'`: taken as it stands.
    Single,
    /// `"…"`: backslash escapes and `$` are acted upon.
    Double,
}

/// What [`Document::set`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The key had this value already; not a byte changed.
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

    /// What follows the value on its line: trailing space, comment, line end.
    pub fn after(&self) -> &[u8] {
        &self.after
    }

    /// How the value is quoted.
    pub fn quoting(&self) -> Quoting {
        parse::quoting(&self.written)
    }

    /// The value as Mastodon reads it, before `$` substitutions.
    pub fn value(&self) -> Vec<u8> {
        parse::unquote(&self.written)
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
    /// Splits `bytes`. Every input is a document; what is no assignment stays as it is.
    pub fn parse(bytes: &[u8]) -> Self {
        Document {
            pieces: parse::pieces(bytes),
        }
    }

    /// The file again.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Verbatim(bytes) => out.extend_from_slice(bytes),
                Piece::Assignment(assignment) => {
                    assignment.bytes().for_each(|b| out.extend_from_slice(b));
                }
            }
        }
        out
    }

    /// Whether the file, read again, is this document.
    ///
    /// It is not when a quote is left open before a value that was set, so that the new value's
    /// quote closes it: such a file must be mended by hand first.
    pub fn is_stable(&self) -> bool {
        Document::parse(&self.to_bytes()) == *self
    }

    /// Every assignment in order, with its line number from 1. Duplicates all appear.
    pub fn assignments(&self) -> Vec<(usize, &Assignment)> {
        let mut line = 1;
        let mut out = Vec::new();
        for piece in &self.pieces {
            if let Piece::Assignment(assignment) = piece {
                out.push((line, assignment));
            }
            line += piece.line_ends();
        }
        out
    }

    /// Lines that are neither blank, comment nor assignment, with their numbers.
    pub fn stray_lines(&self) -> Vec<(usize, &[u8])> {
        let mut line = 1;
        let mut out = Vec::new();
        for piece in &self.pieces {
            if let Piece::Verbatim(bytes) = piece {
                let text = bytes.trim_ascii();
                if !text.is_empty() && !text.starts_with(b"#") {
                    out.push((line, text));
                }
            }
            line += piece.line_ends();
        }
        out
    }

    /// The assignment of `key` that counts: the last one.
    pub fn get(&self, key: &str) -> Option<&Assignment> {
        self.pieces.iter().rev().find_map(|piece| match piece {
            Piece::Assignment(assignment) if assignment.key == key => Some(assignment),
            _ => None,
        })
    }

    /// The value of `key` that counts, as text; bytes that are not UTF-8 are replaced.
    pub fn value(&self, key: &str) -> Option<String> {
        self.get(key)
            .map(|a| String::from_utf8_lossy(&a.value()).into_owned())
    }

    /// Makes `key` mean `value` and changes nothing else.
    ///
    /// The last assignment is edited in place: its `export`, spacing and comment stay, and so
    /// does its quoting where the value allows. A missing key is added after the last key of the
    /// same family (the part of the name before the first `_`), or else at the end.
    pub fn set(&mut self, key: &str, value: &str) -> Change {
        if self.get(key).is_some_and(|a| a.value() == value.as_bytes()) {
            return Change::Unchanged;
        }
        let position = self
            .pieces
            .iter()
            .rposition(|p| matches!(p, Piece::Assignment(a) if a.key == key));
        match position {
            Some(index) => {
                let line = self.line_of(index);
                if let Piece::Assignment(assignment) = &mut self.pieces[index] {
                    assignment.written = parse::quote(value, assignment.quoting());
                }
                Change::Replaced { line }
            }
            None => self.add(key, value),
        }
    }

    /// Adds a line at the end, e.g. a comment. `text` has no line end.
    pub fn append_line(&mut self, text: &str) {
        let end = self.line_end();
        self.finish_last_line(&end);
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend_from_slice(&end);
        self.pieces.push(Piece::Verbatim(bytes));
    }

    /// Whether a key of this family (`S3` of `S3_BUCKET`) is assigned anywhere.
    pub fn has_family(&self, family: &str) -> bool {
        self.pieces
            .iter()
            .any(|p| matches!(p, Piece::Assignment(a) if family_of(&a.key) == family))
    }

    fn add(&mut self, key: &str, value: &str) -> Change {
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
            written: parse::quote(value, Quoting::Bare),
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

    /// The line end this file uses: that of its first line, `\n` for a file of none.
    fn line_end(&self) -> Vec<u8> {
        let bytes = self.to_bytes();
        match bytes.iter().position(|&b| b == b'\n') {
            Some(at) if at > 0 && bytes[at - 1] == b'\r' => b"\r\n".to_vec(),
            _ => b"\n".to_vec(),
        }
    }

    /// Ends a last line that has no line end, so that one can follow it.
    fn finish_last_line(&mut self, end: &[u8]) {
        let last = match self.pieces.last_mut() {
            None => return,
            Some(Piece::Verbatim(bytes)) => bytes,
            Some(Piece::Assignment(assignment)) => &mut assignment.after,
        };
        if !last.ends_with(b"\n") && !last.ends_with(b"\r") {
            last.extend_from_slice(end);
        }
    }
}

impl Piece {
    fn line_ends(&self) -> usize {
        let count = |bytes: &[u8]| {
            let feeds = bytes.iter().filter(|&&b| b == b'\n').count();
            let lone_returns = bytes
                .iter()
                .enumerate()
                .filter(|&(i, &b)| b == b'\r' && bytes.get(i + 1) != Some(&b'\n'))
                .count();
            feeds + lone_returns
        };
        match self {
            Piece::Verbatim(bytes) => count(bytes),
            Piece::Assignment(a) => a.bytes().map(count).sum(),
        }
    }
}

/// `S3` of `S3_BUCKET`; a name without `_` is its own family.
fn family_of(key: &str) -> &str {
    key.split_once('_').map_or(key, |(family, _)| family)
}

#[cfg(test)]
mod tests;
