//! The commands of a page of documentation, so that tests run what a person would type.
//!
//! `<!-- step: NAME -->` before a block of `sh` makes it a step of the migration, `<!-- file: NAME -->`
//! before any block says that a person writes it to that file. Other blocks of `sh`, and commands in the
//! text, are run by the suite `documents`.

use anyhow::{Result, bail, ensure};
use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What a page holds of code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Its fenced blocks, in their order.
    pub blocks: Vec<Block>,
    /// The code within its text, with the numbers of the lines.
    pub spans: Vec<(usize, String)>,
}

/// A fenced block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The line of its opening fence.
    pub line: usize,
    /// What stands after the fence: `sh`.
    pub language: String,
    /// What it is for.
    pub kind: Kind,
    /// The mark's name; empty without a mark.
    pub name: String,
    /// What stands between the fences.
    pub text: String,
}

/// What a block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A step of the migration.
    Step,
    /// To be written to a file.
    File,
    /// Without a mark.
    Plain,
}

/// Reads a page.
///
/// # Errors
/// Fails on an unknown mark, on one without a block, and on a step that is not `sh`.
pub fn read(page: &str) -> Result<Page> {
    let mut found = Page::default();
    let mut mark: Option<(Kind, String)> = None;
    let mut open: Option<Block> = None;
    for (event, range) in Parser::new_ext(page, Options::ENABLE_TABLES).into_offset_iter() {
        let line = page[..range.start].matches('\n').count() + 1;
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                let (kind, name) = mark.take().unwrap_or((Kind::Plain, String::new()));
                let is_shell = &*language == "sh";
                ensure!(
                    kind != Kind::Step || is_shell,
                    "the step `{name}` is `{language}`, not `sh`"
                );
                open = Some(Block {
                    line,
                    language: language.into_string(),
                    kind,
                    name,
                    text: String::new(),
                });
            }
            Event::Text(text) => {
                if let Some(block) = &mut open {
                    block.text.push_str(&text);
                }
            }
            Event::End(TagEnd::CodeBlock) => found.blocks.extend(open.take()),
            Event::Code(text) => found.spans.push((line, text.into_string())),
            Event::Html(html) => {
                if let Some(next) = marked(&html)? {
                    ensure!(mark.is_none(), "line {line}: two marks before one block");
                    mark = Some(next);
                }
            }
            Event::Start(Tag::HtmlBlock) | Event::End(TagEnd::HtmlBlock) => {}
            Event::Start(_) => {
                if let Some((_, name)) = &mark {
                    bail!("no block follows the mark `{name}`");
                }
            }
            _ => {}
        }
    }
    ensure!(mark.is_none(), "no block follows the last mark");
    Ok(found)
}

/// The mark that a comment is, if it is one.
fn marked(html: &str) -> Result<Option<(Kind, String)>> {
    let mark = html
        .trim()
        .strip_prefix("<!-- ")
        .and_then(|rest| rest.strip_suffix(" -->"))
        .and_then(|rest| rest.split_once(": "));
    Ok(match mark {
        Some(("step", name)) => Some((Kind::Step, name.to_owned())),
        Some(("file", name)) => Some((Kind::File, name.to_owned())),
        Some((other, _)) => bail!("unknown mark `{other}`"),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_read_with_their_marks_and_spans_with_their_lines() {
        let page = "<!-- step: one -->\n```sh\nls\npwd\n```\n\n1. a list\n\n   ```sh\n   id\n   ```\n\n| `ls -l` |\n|---|\n| `a\\|b` |\n";
        let page = read(page).unwrap();
        let blocks: Vec<_> = page
            .blocks
            .iter()
            .map(|block| (block.line, block.kind, &*block.name, &*block.text))
            .collect();
        assert_eq!(
            blocks,
            [
                (2, Kind::Step, "one", "ls\npwd\n"),
                (9, Kind::Plain, "", "id\n")
            ]
        );
        assert_eq!(page.spans, [(13, "ls -l".into()), (15, "a|b".into())]);
    }

    #[test]
    fn a_command_that_only_looks_tested_is_refused() {
        assert!(read("<!-- step: one -->\ntext\n").is_err());
        assert!(read("<!-- step: one -->\n").is_err());
        assert!(read("<!-- step: one -->\n```text\nls\n```\n").is_err());
        assert!(read("<!-- stop: one -->\n").is_err());
    }
}
