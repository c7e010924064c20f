//! The words of a source file, read as tokens: what stands in a comment or a text is none.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Every path, of one word or more: `use a::{b, c::d};` is `use`, `a::b` and `a::c::d`.
pub(super) fn paths(tokens: TokenStream) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    collect(tokens, &[], &mut found);
    found
}

/// The paths of `tokens`, each after `prefix`: not empty in the braces of a `use`.
fn collect(tokens: TokenStream, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    let (mut colons, mut is_alias) = (0, false);
    // One more than there are, for the path at the end.
    for token in tokens.into_iter().map(Some).chain([None]) {
        match &token {
            Some(TokenTree::Punct(mark)) if mark.as_char() == ':' => {
                colons += 1;
                continue;
            }
            Some(TokenTree::Ident(word)) if colons == 2 => path.push(word.to_string()),
            Some(TokenTree::Group(group)) if colons == 2 && is_braces(group) => {
                collect(group.stream(), &path, found);
                path.clear();
            }
            _ => {
                if path.len() > prefix.len() {
                    found.push(std::mem::take(&mut path));
                }
                path.clear();
                match token {
                    Some(TokenTree::Ident(word)) => {
                        // `b as c` in braces is `b`.
                        let is_as = !prefix.is_empty() && word == "as";
                        if !is_as && !is_alias {
                            path = [prefix, &[word.to_string()]].concat();
                        }
                        is_alias = is_as;
                    }
                    Some(TokenTree::Group(group)) => collect(group.stream(), &[], found),
                    _ => {}
                }
            }
        }
        colons = 0;
    }
}

fn is_braces(group: &Group) -> bool {
    group.delimiter() == Delimiter::Brace
}

/// The words of all attributes, `#[…]` and `#![…]`, at any depth: one may be in a `cfg_attr`.
pub(super) fn attributes(tokens: TokenStream) -> Vec<String> {
    let mut found = Vec::new();
    let mut after_hash = false;
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            found.extend(match after_hash {
                true => paths(group.stream()).concat(),
                false => attributes(group.stream()),
            });
        }
        let mark =
            |expected: char| matches!(&token, TokenTree::Punct(mark) if mark.as_char() == expected);
        after_hash = mark('#') || (after_hash && mark('!'));
    }
    found
}

/// Without what is compiled for tests alone: each item after a `#[cfg(test)]`, up to its `;` or its braces.
pub(super) fn without_tests(tokens: TokenStream) -> TokenStream {
    let mut is_test = false;
    let kept = tokens.into_iter().filter_map(|token| {
        let ends = match &token {
            TokenTree::Group(group) if group.to_string().replace(' ', "") == "[cfg(test)]" => {
                is_test = true;
                false
            }
            TokenTree::Group(group) => is_braces(group),
            TokenTree::Punct(mark) => mark.as_char() == ';',
            _ => false,
        };
        let kept = !is_test;
        is_test &= !ends;
        kept.then_some(token)
    });
    kept.collect()
}
