//! Commands out of a page of documentation, so that a test runs what a person would type.
//!
//! `<!-- step: NAME -->` before a block of `sh` names it; `<!-- file: NAME -->` before any block
//! says that a person writes it to that file. Blocks without a mark are for other machines.

use anyhow::{Result, bail, ensure};

/// A marked block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What it is for.
    pub kind: Kind,
    /// The mark's name.
    pub name: String,
    /// What stands between the fences.
    pub text: String,
}

/// What a marked block is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To be run.
    Step,
    /// To be written to a file.
    File,
}

/// The marked blocks of `page`, in their order.
///
/// # Errors
/// Fails on a mark without a block, a step that is not `sh`, and an `sh` block without a mark, which
/// would look tested and not be.
pub fn blocks(page: &str) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut mark: Option<(Kind, String)> = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let marked = line
            .strip_prefix("<!-- ")
            .and_then(|l| l.strip_suffix(" -->"))
            .and_then(|l| l.split_once(": "));
        if let Some((kind, name)) = marked {
            let kind = match kind {
                "step" => Kind::Step,
                "file" => Kind::File,
                other => bail!("unknown mark `{other}`"),
            };
            ensure!(mark.is_none(), "two marks before one block: `{name}`");
            mark = Some((kind, name.to_owned()));
        } else if let Some(language) = line.strip_prefix("```") {
            let text: String = lines
                .by_ref()
                .take_while(|line| *line != "```")
                .flat_map(|line| [line, "\n"])
                .collect();
            match mark.take() {
                Some((Kind::Step, name)) => {
                    ensure!(
                        language == "sh",
                        "the step `{name}` is `{language}`, not `sh`"
                    );
                    blocks.push(Block {
                        kind: Kind::Step,
                        name,
                        text,
                    });
                }
                Some((Kind::File, name)) => blocks.push(Block {
                    kind: Kind::File,
                    name,
                    text,
                }),
                None => ensure!(language != "sh", "a block of `sh` without a mark:\n{text}"),
            }
        } else if let Some((_, name)) = &mark {
            ensure!(line.is_empty(), "no block follows the mark `{name}`");
        }
    }
    Ok(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marked_blocks_are_read_and_others_are_not_run() {
        let page = "<!-- step: one -->\n```sh\nls\npwd\n```\n\n```text\nelsewhere\n```\n";
        let found = blocks(page).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].kind, found[0].text.as_str()),
            (Kind::Step, "ls\npwd\n")
        );
    }

    #[test]
    fn a_command_that_only_looks_tested_is_refused() {
        assert!(blocks("```sh\nls\n```\n").is_err());
        assert!(blocks("<!-- step: one -->\ntext\n").is_err());
        assert!(blocks("<!-- step: one -->\n```text\nls\n```\n").is_err());
        assert!(blocks("<!-- stop: one -->\n").is_err());
    }
}
