//! Unusual files and their variables by each version of the gem. The expected values were taken from
//! the gem itself: versions 2.8.1 and 3.1.4, which agree, and 3.2.0.

use super::super::Document;
use super::super::values::{Environment, Gem, GemError, Value, read};

/// The variables in order of their names, or none where the gem raises an error.
type Expected = Option<&'static [(&'static str, &'static str)]>;

struct Vector {
    about: &'static str,
    file: &'static [u8],
    before_3_1_5: Expected,
    since_3_1_5: Expected,
}

/// All versions agree.
const fn same(about: &'static str, file: &'static [u8], expected: Expected) -> Vector {
    Vector {
        about,
        file,
        before_3_1_5: expected,
        since_3_1_5: expected,
    }
}

const VECTORS: [Vector; 36] = [
    same("plain", b"A=x\nB=0\n", Some(&[("A", "x"), ("B", "0")])),
    same(
        "byte order mark",
        b"\xef\xbb\xbfA=x\nB=y\n",
        Some(&[("A", "x"), ("B", "y")]),
    ),
    same(
        "a lone name before its value",
        b"A\nA=x\n",
        Some(&[("A", "x")]),
    ),
    Vector {
        about: "a lone name behind its value",
        file: b"A=x\nA\n",
        before_3_1_5: Some(&[("A", "x")]),
        since_3_1_5: Some(&[("A", "")]),
    },
    same(
        "an exported name that is set",
        b"A=x\nexport A\n",
        Some(&[("A", "x")]),
    ),
    same("an exported name that is not set", b"export A\nB=x\n", None),
    same(
        "carriage returns alone",
        b"A=x\rB=y\r",
        Some(&[("A", "x"), ("B", "y")]),
    ),
    same("a colon and no space", b"A:x\nB=y\n", Some(&[("B", "y")])),
    same(
        "a colon and a space",
        b"A: x\nB=y\n",
        Some(&[("A", "x"), ("B", "y")]),
    ),
    same(
        "the equals sign on the next line",
        b"A\n=x\n",
        Some(&[("A", "x")]),
    ),
    same(
        "an apostrophe inside a bare value",
        b"A=Ann's site <a@b.example>\nB='x'\n",
        Some(&[("A", "Ann's site <a@b.example>"), ("B", "x")]),
    ),
    same(
        "a single quote that is not closed before another opens",
        b"A='abc\nB=y\nC='x'\n",
        Some(&[("A", "'abc"), ("B", "y"), ("C", "x")]),
    ),
    same(
        "a double quote that is not closed at the end of the file",
        b"B=y\nA=\"abc",
        Some(&[("A", "\"abc"), ("B", "y")]),
    ),
    same(
        "a hash inside a bare value",
        b"A=ab#cd\nB=y\n",
        Some(&[("A", "ab"), ("B", "y")]),
    ),
    same(
        "a hash inside quotes",
        b"A='ab #cd' # e\n",
        Some(&[("A", "ab #cd")]),
    ),
    same(
        "space around the equals sign",
        b"A = x\nB =y\nC= z\n",
        Some(&[("A", "x"), ("B", "y"), ("C", "z")]),
    ),
    same(
        "several assignments",
        b"A=x\n# c\nA=y\nA=\"z\"\n",
        Some(&[("A", "z")]),
    ),
    same(
        "an escaped backslash at the end of double quotes",
        b"A=\"abc\\\\\"\nB=\"y\"\n",
        Some(&[("A", "abc\\"), ("B", "y")]),
    ),
    same(
        "a value over several lines",
        b"A=\"one\nB=no\ntwo\"\nB=y\n",
        Some(&[("A", "one\nB=no\ntwo"), ("B", "y")]),
    ),
    same(
        "a line separator of Unicode is no line end",
        "A=x\u{2028}B=no\nB=y\n".as_bytes(),
        Some(&[("A", "x\u{2028}B=no"), ("B", "y")]),
    ),
    Vector {
        about: "an exported name with an equals sign and nothing",
        file: b"export A=\nB=y\n",
        before_3_1_5: Some(&[("A", ""), ("B", "y")]),
        since_3_1_5: None,
    },
    same(
        "an exported empty value in quotes",
        b"export A=''\n",
        Some(&[("A", "")]),
    ),
    same(
        "an exported name, an equals sign and a space",
        b"export A= \nB=y\n",
        Some(&[("A", ""), ("B", "y")]),
    ),
    same(
        "two quoted texts",
        b"A='x' 'y'\nB=z\n",
        Some(&[("A", "x' 'y"), ("B", "z")]),
    ),
    same(
        "bytes that are not UTF-8, in a comment",
        b"# caf\xe9\nA=x\n",
        None,
    ),
    same(
        "quotes that do not match in a comment",
        b"A=\"x\" # that's \"it\nB=y\n",
        Some(&[("A", "x"), ("B", "y")]),
    ),
    same(
        "text behind a closing quote",
        b"A='it'self\nB='y'\n",
        Some(&[("A", "'it'self"), ("B", "y")]),
    ),
    same(
        "a comment that is not ASCII",
        "A=x # \u{8bf4}\u{660e}\nB=y\n".as_bytes(),
        Some(&[("A", "x"), ("B", "y")]),
    ),
    same(
        "a quoted text further down is the value of nothing",
        b"A=\n\n\n\"--- mail ---\"\nB=y\n",
        Some(&[("A", "--- mail ---"), ("B", "y")]),
    ),
    same(
        "a quoted text further down, a value before it",
        b"A=x\n\n\"--- mail ---\"\nB=y\n",
        Some(&[("A", "x"), ("B", "y")]),
    ),
    same(
        "an empty value in quotes before a quoted text",
        b"A=''\n\"--- mail ---\"\n",
        Some(&[("A", "")]),
    ),
    same(
        "old line breaks",
        b"DOTENV_LINEBREAK_MODE=legacy\nA=\"a\\nb\"\n",
        Some(&[("A", "a\nb"), ("DOTENV_LINEBREAK_MODE", "legacy")]),
    ),
    same("new line breaks", b"A=\"a\\nb\"\n", Some(&[("A", "a\\nb")])),
    same("a comment and no line end", b"# nothing", Some(&[])),
    Vector {
        about: "a heading",
        file: b"A=x\nHEAD\n---\nB\n",
        before_3_1_5: Some(&[("A", "x")]),
        since_3_1_5: Some(&[("A", "x"), ("B", ""), ("HEAD", "")]),
    },
    same(
        "references",
        b"N=x\nA=$N-${N}\nB='$N'\nC=\\$N\nD=\"\\${N}\"\nE=$\n",
        Some(&[
            ("A", "x-x"),
            ("B", "$N"),
            ("C", "$N"),
            ("D", "${N}"),
            ("E", "$"),
            ("N", "x"),
        ]),
    ),
];

fn nothing_else() -> Environment {
    Environment {
        complete: true,
        ..Environment::default()
    }
}

#[test]
fn each_file_is_what_the_gem_makes_of_it() {
    for vector in &VECTORS {
        let document = Document::parse(vector.file);
        assert_eq!(document.to_bytes(), vector.file, "{}", vector.about);
        for (gem, expected) in [
            (Gem::V2_8, vector.before_3_1_5),
            (Gem::V3_1_5, vector.since_3_1_5),
        ] {
            let found = read(&document, gem, &nothing_else()).ok().map(|values| {
                let text = |value| match value {
                    Value::Known(text) => text,
                    Value::Unresolved(on) => format!("depends on {on}"),
                };
                values
                    .into_iter()
                    .map(|(key, value)| (key, text(value)))
                    .collect::<Vec<_>>()
            });
            let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
            let expected = expected.map(|pairs| pairs.iter().map(owned).collect::<Vec<_>>());
            assert_eq!(found, expected, "{} ({gem:?})", vector.about);
        }
    }
}

#[test]
fn what_stands_outside_the_file_is_not_known() {
    let values = |file: &[u8]| read(&Document::parse(file), Gem::V3_1_5, &Environment::default());
    for (file, on) in [
        (b"A=$ELSEWHERE\n".as_slice(), "$ELSEWHERE"),
        (b"A=x${ELSEWHERE}y\n", "$ELSEWHERE"),
        (b"A=$(cat name)\n", "$(…)"),
        (b"B=$(a (b))\nA=\"$B\"\n", "$(…)"),
    ] {
        let found = values(file).unwrap().remove("A");
        assert_eq!(found, Some(Value::Unresolved(on.to_owned())));
    }
    // An escaped command, and parentheses that are none, are text.
    for (file, text) in [(b"A=\\$(b)\n".as_slice(), "$(b)"), (b"A=$()$(\n", "$()$(")] {
        let found = values(file).unwrap().remove("A");
        assert_eq!(found, Some(Value::Known(text.to_owned())));
    }
}

#[test]
fn a_refusal_names_its_line() {
    for (file, expected) in [
        (
            b"A=x\n\nexport B=\n".as_slice(),
            GemError::ExportsNothing { line: 3 },
        ),
        (b"A=x\r\nB=\xff\r\n", GemError::NotUtf8 { line: 2 }),
    ] {
        let found = read(&Document::parse(file), Gem::V3_1_5, &Environment::default());
        assert_eq!(found, Err(expected));
    }
}
