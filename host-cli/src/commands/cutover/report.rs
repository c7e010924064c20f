//! The report of `cutover`.

use std::path::PathBuf;

use serde::Serialize;

use super::compare::Compared;
use crate::format::{counted, human_bytes};
use crate::swap::CutoverResult;

#[derive(Debug, Serialize)]
pub(super) struct CutoverReport {
    pub(super) media_dir: PathBuf,
    pub(super) kept_dir: PathBuf,
    pub(super) dry_run: bool,
    /// The comparison of all files: before the move, or after it where an earlier run had moved the media.
    pub(super) compared: Option<Compared>,
    /// What was done to the directories; none where nothing was.
    pub(super) cutover: Option<CutoverResult>,
    /// The comparison, after the move, of files that were written during the first.
    pub(super) written_during_comparison: Compared,
    /// The comparison after the move was interrupted.
    pub(super) interrupted: bool,
}

impl CutoverReport {
    /// The sum of both comparisons.
    pub(super) fn count(&self, of: fn(&Compared) -> u64) -> u64 {
        of(&self.written_during_comparison) + self.compared.as_ref().map_or(0, of)
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        if let Some(compared) = &self.compared {
            out.push_str(&format!(
                "{} in the bucket ({}), compared by size and MD5\n",
                counted(compared.same, "file is", "files are"),
                human_bytes(compared.bytes)
            ));
            out.push_str(&explained(compared));
            out.push_str(&unproven(compared));
        }
        match (
            self.cutover,
            self.count(|compared| compared.different.count),
        ) {
            (Some(_), _) => {
                out.push_str(&format!(
                    "`{}` is empty now; the media are in `{}`",
                    self.media_dir.display(),
                    self.kept_dir.display()
                ));
                out.push_str(&written_text(&self.written_during_comparison));
                if self.interrupted {
                    out.push_str("\ninterrupted: the comparison is not complete");
                }
            }
            (None, 0) if self.dry_run => out.push_str(&format!(
                "`{}` would become `{}`",
                self.media_dir.display(),
                self.kept_dir.display()
            )),
            (None, _) => out.push_str("the cutover is refused; nothing was changed"),
        }
        out
    }
}

/// The files that were written during the comparison.
fn written_text(written: &Compared) -> String {
    if written.total() == 0 {
        return String::new();
    }
    let mut out = format!(
        "\n{} written during the comparison: {} in the bucket",
        counted(written.total(), "file was", "files were"),
        counted(written.same, "is", "are")
    );
    for more in [explained(written), unproven(written)] {
        if !more.is_empty() {
            out.push('\n');
            out.push_str(more.trim_end());
        }
    }
    out
}

/// Files that the bucket lacks for a known reason.
fn explained(compared: &Compared) -> String {
    let mut out = String::new();
    for (number, one, many) in [
        (
            compared.deleted_in_bucket,
            "file was deleted in the bucket by Mastodon since it was uploaded",
            "files were deleted in the bucket by Mastodon since they were uploaded",
        ),
        (
            compared.replaced_in_bucket,
            "file was replaced in the bucket by Mastodon since it was uploaded",
            "files were replaced in the bucket by Mastodon since they were uploaded",
        ),
        (
            compared.vanished,
            "file was deleted before it was compared",
            "files were deleted before they were compared",
        ),
    ] {
        if number > 0 {
            out.push_str(&format!("{}\n", counted(number, one, many)));
        }
    }
    out
}

/// Files that the bucket is not proven to have, by path.
fn unproven(compared: &Compared) -> String {
    let mut out = String::new();
    for (list, one, many) in [
        (
            &compared.hidden,
            "file is hidden and not in the bucket, and stays on the disk",
            "files are hidden and not in the bucket, and stay on the disk",
        ),
        (
            &compared.different,
            "file is not in the bucket, or differs",
            "files are not in the bucket, or differ",
        ),
        (
            &compared.not_uploadable,
            "entry cannot be stored in a bucket",
            "entries cannot be stored in a bucket",
        ),
    ] {
        if list.count > 0 {
            let what = counted(list.count, one, many);
            out.push_str(&format!("{what}:\n{}", list.lines()));
        }
    }
    out
}
