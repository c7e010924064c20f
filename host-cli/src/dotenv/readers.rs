//! Other programs that read `.env.production`: systemd's `EnvironmentFile=`, Compose's `env_file:` and
//! `docker run --env-file`. Their rules differ, so that one line can have three values.

use std::collections::BTreeMap;

/// A program that reads the file instead of, or before, the gem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// `EnvironmentFile=` (`systemd.exec(5)`): no `export`, a comment only at the start of a line.
    Systemd,
    /// `env_file:` of Docker Compose: quotes as in a shell, and ` #` begins a comment.
    Compose,
    /// `docker run --env-file`: everything after the `=` is the value, quotes included.
    DockerRun,
}

impl Reader {
    /// Its name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Reader::Systemd => "systemd",
            Reader::Compose => "Docker Compose",
            Reader::DockerRun => "`docker run --env-file`",
        }
    }

    /// The variables that it reads, without names that it rejects. References are not resolved.
    pub fn read(self, text: &str) -> BTreeMap<String, String> {
        match self {
            Reader::Systemd => systemd(text),
            Reader::Compose => compose(text),
            Reader::DockerRun => docker_run(text),
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Quoted and bare parts may follow each other; a backslash escapes, or joins lines at the end of one.
fn systemd(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut rest = text.chars().peekable();
    while rest.peek().is_some() {
        let mut name = String::new();
        let mut ended = false;
        while let Some(c) = rest.next() {
            if c == '=' || c == '\n' || c == '\r' {
                ended = c != '=';
                break;
            }
            name.push(c);
            if matches!(name.trim_start().chars().next(), Some('#' | ';')) {
                for c in rest.by_ref() {
                    if c == '\n' || c == '\r' {
                        break;
                    }
                }
                ended = true;
                break;
            }
        }
        if ended {
            continue;
        }
        let value = systemd_value(&mut rest);
        if is_name(name.trim()) {
            values.insert(name.trim().to_owned(), value);
        }
    }
    values
}

fn systemd_value(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> String {
    let mut value = String::new();
    // Length of the value without blanks at its end.
    let mut kept = 0;
    let mut at_start = true;
    while let Some(c) = rest.next() {
        match c {
            '\n' | '\r' => break,
            '\'' if at_start => {
                value.extend(rest.by_ref().take_while(|&c| c != '\''));
                kept = value.len();
            }
            '"' if at_start => {
                while let Some(c) = rest.next().filter(|&c| c != '"') {
                    match (c, rest.peek()) {
                        ('\\', Some('"' | '\\' | '`' | '$')) => value.extend(rest.next()),
                        ('\\', Some('\n')) => drop(rest.next()),
                        _ => value.push(c),
                    }
                }
                kept = value.len();
            }
            '\\' => {
                at_start = false;
                value.extend(rest.next().filter(|&c| c != '\n'));
                kept = value.len();
            }
            c if c.is_whitespace() => {
                if !at_start {
                    value.push(c);
                }
            }
            c => {
                at_start = false;
                value.push(c);
                kept = value.len();
            }
        }
    }
    value.truncate(kept);
    value
}

fn compose(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let line = rest.lines().next().unwrap_or_default();
        let start = line.trim_start();
        let name_and_value = start
            .strip_prefix("export ")
            .unwrap_or(start)
            .split_once(['=', ':']);
        let Some((name, value)) = name_and_value.filter(|_| !start.starts_with('#')) else {
            rest = after_line(rest);
            continue;
        };
        // The value and everything after it, since quotes may span lines.
        let from = line.len() - value.len();
        let all = rest[from..].trim_start_matches([' ', '\t']);
        let quote = all.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (value, end) = match quote.and_then(|quote| compose_quoted(all, quote)) {
            Some((value, length)) => (value, &all[length..]),
            None => {
                let line = all.lines().next().unwrap_or_default();
                let comment = line
                    .char_indices()
                    .find(|&(at, c)| c == '#' && (at == 0 || line[..at].ends_with([' ', '\t'])));
                let value = &line[..comment.map_or(line.len(), |(at, _)| at)];
                (value.trim_end().to_owned(), all)
            }
        };
        if is_name(name.trim()) {
            values.insert(name.trim().to_owned(), value);
        }
        rest = after_line(end);
    }
    values
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, rest)| rest)
}

/// A quoted value, and its length including the quotes; none where the quote is not closed.
fn compose_quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        match (c, rest.peek().map(|&(_, next)| next)) {
            (c, _) if c == quote => return Some((value, at + 1)),
            ('\\', Some(next)) if next == quote || quote == '"' && "\\$".contains(next) => {
                value.push(next);
                rest.next();
            }
            ('\\', Some('n')) if quote == '"' => {
                value.push('\n');
                rest.next();
            }
            _ => value.push(c),
        }
    }
    None
}

fn docker_run(text: &str) -> BTreeMap<String, String> {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| is_name(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Reader::{Compose, DockerRun, Systemd};
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: [(Reader, Option<&str>); 3]) {
        for (reader, expected) in expected {
            let values = reader.read(text);
            assert_eq!(
                values.get("A").map(String::as_str),
                expected,
                "{reader:?}: {text:?}"
            );
        }
    }

    #[test]
    fn each_reader_has_rules_of_its_own() {
        let all = |value| {
            [
                (Systemd, Some(value)),
                (Compose, Some(value)),
                (DockerRun, Some(value)),
            ]
        };
        check("A=b\n", all("b"));
        check("A=b\r\nB=c\r\n", all("b"));
        check("A=\nB=c\n", all(""));
        check("# A=b\nA=c", all("c"));
        check("A=abc#def\n", all("abc#def"));
        check(
            "A=''\n",
            [
                (Systemd, Some("")),
                (Compose, Some("")),
                (DockerRun, Some("''")),
            ],
        );
        check(
            "A=b # c\n",
            [
                (Systemd, Some("b # c")),
                (Compose, Some("b")),
                (DockerRun, Some("b # c")),
            ],
        );
        check(
            "A='b # c'\n",
            [
                (Systemd, Some("b # c")),
                (Compose, Some("b # c")),
                (DockerRun, Some("'b # c'")),
            ],
        );
        check(
            "A=\"it's \\\"\\$\\\\\"\n",
            [
                (Systemd, Some("it's \"$\\")),
                (Compose, Some("it's \"$\\")),
                (DockerRun, Some("\"it's \\\"\\$\\\\\"")),
            ],
        );
        check(
            "export A=b\n",
            [(Systemd, None), (Compose, Some("b")), (DockerRun, None)],
        );
        check(
            "A = b\n",
            [
                (Systemd, Some("b")),
                (Compose, Some("b")),
                (DockerRun, None),
            ],
        );
        check(
            "A=b \n",
            [
                (Systemd, Some("b")),
                (Compose, Some("b")),
                (DockerRun, Some("b ")),
            ],
        );
        check(
            "A: b\n",
            [(Systemd, None), (Compose, Some("b")), (DockerRun, None)],
        );
        check(
            "A='one\ntwo'\nB=c\n",
            [
                (Systemd, Some("one\ntwo")),
                (Compose, Some("one\ntwo")),
                (DockerRun, Some("'one")),
            ],
        );
        check(
            "A=b \\\nc\n",
            [
                (Systemd, Some("b c")),
                (Compose, Some("b \\")),
                (DockerRun, Some("b \\")),
            ],
        );
    }
}
