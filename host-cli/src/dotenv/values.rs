//! What the variables of a `.env` file are after the `dotenv` gem has read it.
//!
//! Three readings of the gem differ; Mastodon has used each. Only the gem's own rules are here:
//! those of systemd and Docker are in [`super::readers`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Document, Piece, Quoting, parse};

/// Versions of the gem that read a file differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gem {
    /// 2.4 (Debian's): line by line, no value spans lines.
    V2_4,
    /// 2.8 to 3.1.4.
    V2_8,
    /// From 3.1.5 on: a lone name is set to nothing, and `export NAME=` is refused.
    V3_1_5,
}

impl Gem {
    /// Every reading.
    pub const ALL: [Gem; 3] = [Gem::V2_4, Gem::V2_8, Gem::V3_1_5];
}

/// What a variable is.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// This text.
    Known(String),
    /// It depends on a command, or on a variable that is not known here; which.
    Unclear(String),
}

/// A debug print must not show what may be a secret.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Known(_) => f.write_str("Known(…)"),
            Value::Unclear(reference) => write!(f, "Unclear({reference})"),
        }
    }
}

/// The variables, by name.
pub type Values = BTreeMap<String, Value>;

/// Variables from elsewhere, which outrank those of the file and which it may refer to.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Those that are known.
    pub known: Values,
    /// Whether there are no others: then a name that is neither known nor set in the file is empty.
    pub complete: bool,
}

/// Why the gem refuses a whole file: Mastodon does not start with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A byte on this line (from 1) is not UTF-8.
    NotUtf8 {
        /// Line number, from 1.
        line: usize,
    },
    /// `export NAME`, and the name has no value.
    ExportsNothing {
        /// Line number, from 1.
        line: usize,
    },
}

impl Refused {
    /// The line it is about, from 1.
    pub fn line(self) -> usize {
        match self {
            Refused::NotUtf8 { line } | Refused::ExportsNothing { line } => line,
        }
    }
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::NotUtf8 { line } => write!(f, "line {line} is not UTF-8"),
            Refused::ExportsNothing { line } => {
                write!(f, "line {line} exports a name without a value")
            }
        }
    }
}

/// The variables that `gem` makes of the file. Those of `environment` are kept.
///
/// # Errors
/// Fails where the gem raises.
pub fn read(document: &Document, gem: Gem, environment: &Environment) -> Result<Values, Refused> {
    let text = document.to_bytes();
    if let Err(e) = std::str::from_utf8(&text) {
        let before = &text[..e.valid_up_to()];
        return Err(Refused::NotUtf8 {
            line: 1 + parse::line_ends(before),
        });
    }
    let mut values = Values::new();
    let mut exports = Vec::new();
    for statement in statements(document, gem) {
        match statement {
            Statement::Set { key, written } => {
                let value = match environment.known.get(&key) {
                    Some(outer) => outer.clone(),
                    None => evaluate(&written, gem, &values, environment),
                };
                values.insert(key, value);
            }
            // Version 2.8 looks at these when it has read all the others.
            export if gem == Gem::V2_8 => exports.push(export),
            Statement::Export { line, names } => check_export(line, &names, &values, environment)?,
        }
    }
    for export in exports {
        if let Statement::Export { line, names } = export {
            check_export(line, &names, &values, environment)?;
        }
    }
    Ok(values)
}

/// What the gem acts upon.
enum Statement {
    Set {
        key: String,
        written: Vec<u8>,
    },
    /// `export NAME …` without a value.
    Export {
        line: usize,
        names: Vec<String>,
    },
}

fn check_export(
    line: usize,
    names: &[String],
    values: &Values,
    environment: &Environment,
) -> Result<(), Refused> {
    let set = |name: &String| values.contains_key(name) || environment.known.contains_key(name);
    if names.iter().all(set) {
        Ok(())
    } else {
        Err(Refused::ExportsNothing { line })
    }
}

fn statements(document: &Document, gem: Gem) -> Vec<Statement> {
    if gem == Gem::V2_4 {
        return statements_by_line(document);
    }
    let mut statements = Vec::new();
    for (line, piece) in document.numbered() {
        let statement = match piece {
            Piece::Assignment(a) if gem == Gem::V3_1_5 && a.exports_nothing() => {
                Statement::Export {
                    line,
                    names: vec![a.key().to_owned()],
                }
            }
            Piece::Assignment(a) => Statement::Set {
                key: a.key().to_owned(),
                written: parse::lines_normalised(a.written()),
            },
            Piece::LoneName(name) if name.exported => Statement::Export {
                line,
                names: vec![name.key.clone()],
            },
            Piece::LoneName(name) if gem == Gem::V3_1_5 => Statement::Set {
                key: name.key.clone(),
                written: Vec::new(),
            },
            Piece::Verbatim(text) if gem == Gem::V2_8 => match exported_names(text) {
                Some(names) => Statement::Export { line, names },
                None => continue,
            },
            Piece::LoneName(_) | Piece::Verbatim(_) => continue,
        };
        statements.push(statement);
    }
    statements
}

/// The grammar of version 2.4: as that of [`parse`], within one line, and with quotes in quotes.
#[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
static ONE_LINE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?x-u)
        \A \s* (?: export \s+ )? (?<key> [\w.]+ ) (?: \s* = \s* | : \s+? )
        (?<value> ' .* ' | " .* " | [^\#\n]+ )?
        \s* (?: \# .* )? \z"#,
    )
    .unwrap()
});

fn statements_by_line(document: &Document) -> Vec<Statement> {
    let text = parse::lines_normalised(&document.to_bytes());
    let mut statements = Vec::new();
    for (line, text) in (1..).zip(text.split(|&b| b == b'\n')) {
        if let Some(found) = ONE_LINE.captures(text) {
            let written = found.name("value").map_or(b"".as_slice(), |v| v.as_bytes());
            statements.push(Statement::Set {
                key: String::from_utf8_lossy(&found["key"]).into_owned(),
                written: written.trim_ascii().to_vec(),
            });
        } else if let Some(names) = exported_names(text) {
            statements.push(Statement::Export { line, names });
        }
    }
    statements
}

/// The names of an `export NAME …` line.
fn exported_names(line: &[u8]) -> Option<Vec<String>> {
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace();
    (words.next() == Some("export")).then(|| words.map(str::to_owned).collect())
}

/// The value of what is written, quotes and all: unquoted, unescaped, references resolved.
fn evaluate(written: &[u8], gem: Gem, values: &Values, environment: &Environment) -> Value {
    let text = String::from_utf8_lossy(written);
    let quoting = parse::quoting(written);
    let inner = match quoting {
        Quoting::Bare => &*text,
        Quoting::Single | Quoting::Double => &text[1..text.len() - 1],
    };
    let find = |name: &str| {
        environment
            .known
            .get(name)
            .or_else(|| values.get(name))
            .cloned()
            .or_else(|| environment.complete.then(|| Value::Known(String::new())))
            .unwrap_or_else(|| Value::Unclear(reference(name)))
    };
    let legacy = find("DOTENV_LINEBREAK_MODE") == Value::Known("legacy".to_owned());
    let unescaped = match quoting {
        Quoting::Single => return Value::Known(inner.to_owned()),
        Quoting::Double if gem == Gem::V2_4 || legacy => {
            unescape(&inner.replace(r"\n", "\n").replace(r"\r", "\r"))
        }
        // `\n` stays as two characters.
        Quoting::Double => unescape(&inner.replace(r"\n", r"\\n").replace(r"\r", r"\\r")),
        Quoting::Bare if gem == Gem::V2_4 => inner.to_owned(),
        Quoting::Bare => unescape(inner),
    };
    substitute(&unescaped, find)
}

/// A reference as it may be shown: in a broken file it may be a part of a secret.
fn reference(name: &str) -> String {
    let variable = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if name.bytes().all(variable) && name.starts_with(|c: char| c.is_ascii_uppercase()) {
        format!("${name}")
    } else {
        "$…".to_owned()
    }
}

/// A backslash goes and what is behind it stays, but for `\$`, which [`substitute`] reads.
fn unescape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match rest.peek() {
            Some(&next) if c == '\\' && next != '$' => {
                out.push(next);
                rest.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// Replaces `$NAME` and `${NAME}`. `\$` is a dollar sign; `$(…)` is a command, whose output nobody
/// knows but the gem.
fn substitute(text: &str, find: impl Fn(&str) -> Value) -> Value {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, reference) = rest.split_at(at);
        let escaped = before.ends_with('\\');
        out.push_str(before);
        if let Some(length) = command_length(reference) {
            if !escaped {
                return Value::Unclear("$(…)".to_owned());
            }
            out.pop();
            out.push_str(&reference[..length]);
            rest = &reference[length..];
            continue;
        }
        let mut end = 1;
        // An opening parenthesis that is never closed is no command and no variable.
        if reference[end..].starts_with('(') {
            out.push('$');
            rest = &reference[end..];
            continue;
        }
        end += usize::from(reference[end..].starts_with('{'));
        let name = &reference[end..];
        let length = name
            .bytes()
            .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
            .count();
        let name = &name[..length];
        end += length;
        end += usize::from(reference[end..].starts_with('}'));
        if escaped {
            out.pop();
            out.push_str(&reference[..end]);
        } else if name.is_empty() {
            out.push_str(&reference[..end]);
        } else {
            match find(name) {
                Value::Known(value) => out.push_str(&value),
                unclear @ Value::Unclear(_) => return unclear,
            }
        }
        rest = &reference[end..];
    }
    out.push_str(rest);
    Value::Known(out)
}

/// The length of `$(…)` at the start, its parentheses balanced and not empty.
fn command_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix("$(")?;
    let mut depth = 1;
    for (at, byte) in inner.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if at == 0 => return None,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some("$(".len() + at + 1);
        }
    }
    None
}
