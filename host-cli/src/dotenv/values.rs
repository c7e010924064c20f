//! The variables that the `dotenv` gem reads from a `.env` file.
//!
//! Mastodon has used versions of the gem with three different rules. The rules of systemd and Docker
//! are in [`super::readers`].

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::bytes::Regex;

use super::{Document, Piece, Quoting, parse};

/// Versions of the gem with different rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gem {
    /// 2.4 (Debian's): line by line, no value spans lines.
    V2_4,
    /// 2.8 to 3.1.4.
    V2_8,
    /// From 3.1.5 on: a lone name is set to nothing, and `export NAME=` is rejected.
    V3_1_5,
}

impl Gem {
    /// Every version.
    pub const ALL: [Gem; 3] = [Gem::V2_4, Gem::V2_8, Gem::V3_1_5];
}

/// The value of a variable.
#[derive(Clone, PartialEq, Eq)]
pub enum Value {
    /// This text.
    Known(String),
    /// It depends on this command or variable, whose value is not known.
    Unresolved(String),
}

/// The value may be a secret and is not shown.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Known(_) => f.write_str("Known(…)"),
            Value::Unresolved(reference) => write!(f, "Unresolved({reference})"),
        }
    }
}

/// The variables, by name.
pub type Values = BTreeMap<String, Value>;

/// Variables that are set before the file is read: they outrank it, and it may refer to them.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The known variables.
    pub known: Values,
    /// Whether there are no others: then a reference to any other name is empty.
    pub complete: bool,
}

/// Why the gem rejects a file: Mastodon does not start with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GemError {
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

impl GemError {
    /// The line, from 1.
    pub fn line(self) -> usize {
        match self {
            GemError::NotUtf8 { line } | GemError::ExportsNothing { line } => line,
        }
    }
}

impl std::fmt::Display for GemError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GemError::NotUtf8 { line } => write!(f, "line {line} is not UTF-8"),
            GemError::ExportsNothing { line } => {
                write!(f, "line {line} exports a name without a value")
            }
        }
    }
}

/// The variables that `gem` makes of the file. Those of `environment` are kept.
///
/// # Errors
/// Fails where the gem raises an error.
pub fn read(document: &Document, gem: Gem, environment: &Environment) -> Result<Values, GemError> {
    let text = document.to_bytes();
    if let Err(e) = std::str::from_utf8(&text) {
        let before = &text[..e.valid_up_to()];
        return Err(GemError::NotUtf8 {
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
            // Version 2.8 checks these after it has read all assignments.
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

/// A statement of a file for the gem.
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
) -> Result<(), GemError> {
    let set = |name: &String| values.contains_key(name) || environment.known.contains_key(name);
    if names.iter().all(set) {
        Ok(())
    } else {
        Err(GemError::ExportsNothing { line })
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

/// The grammar of version 2.4: that of [`parse`] within one line, and a quoted text may contain quotes.
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

/// Evaluates a value as written: removes quotes and escapes, resolves references.
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
            .unwrap_or_else(|| Value::Unresolved(reference(name)))
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

/// The name of a reference, masked unless it has the form of a variable: in a broken file it may be part
/// of a secret.
fn reference(name: &str) -> String {
    let variable = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    if name.bytes().all(variable) && name.starts_with(|c: char| c.is_ascii_uppercase()) {
        format!("${name}")
    } else {
        "$…".to_owned()
    }
}

/// Removes backslashes that escape a character, except `\$`, which [`substitute`] handles.
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

/// Replaces `$NAME` and `${NAME}`. `\$` is a dollar sign; `$(…)` is a command, which only the gem runs.
fn substitute(text: &str, find: impl Fn(&str) -> Value) -> Value {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let (before, reference) = rest.split_at(at);
        let escaped = before.ends_with('\\');
        out.push_str(before);
        if let Some(length) = command_length(reference) {
            if !escaped {
                return Value::Unresolved("$(…)".to_owned());
            }
            out.pop();
            out.push_str(&reference[..length]);
            rest = &reference[length..];
            continue;
        }
        let mut end = 1;
        // An opening parenthesis without a closing one is neither a command nor a variable.
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
                unresolved @ Value::Unresolved(_) => return unresolved,
            }
        }
        rest = &reference[end..];
    }
    out.push_str(rest);
    Value::Known(out)
}

/// The length of a `$(…)` at the start, with balanced parentheses that are not empty.
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
