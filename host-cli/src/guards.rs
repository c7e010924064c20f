//! Every "may I?" of the commands that could lose something, in one place.
//!
//! A guard that cannot look refuses. Pure: reads an [`Installation`], touches nothing. What happens
//! to a single file is decided elsewhere; here it is whether a command may run at all.

use std::path::Path;

use crate::config::Target;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::mastodon::{Installation, Owner, Place, Running};
use crate::words::counted;

/// A guard's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Do not.
    Refuse {
        /// What speaks against it, without a full stop.
        why: String,
        /// What the person can do.
        what_to_do: String,
    },
}

impl Verdict {
    /// The refusal as the error of `operation`, exit code 2.
    ///
    /// # Errors
    /// Fails where it is refused.
    pub fn or_refuse(self, operation: impl Into<String>) -> Result<()> {
        match self {
            Verdict::Allow => Ok(()),
            Verdict::Refuse { why, what_to_do } => {
                Err(Error::usage(operation).cause(why).hint(what_to_do))
            }
        }
    }

    /// The refusal as the error of `operation`, exit code 3: what was found speaks against it.
    ///
    /// # Errors
    /// Fails where it is refused.
    pub fn or_problem(self, operation: impl Into<String>) -> Result<()> {
        match self {
            Verdict::Allow => Ok(()),
            Verdict::Refuse { why, what_to_do } => Err(Error::new(operation)
                .exit(Exit::Problem)
                .cause(why)
                .hint(what_to_do)),
        }
    }

    fn and(self, next: impl FnOnce() -> Verdict) -> Verdict {
        match self {
            Verdict::Allow => next(),
            refused => refused,
        }
    }
}

fn refuse(why: impl Into<String>, what_to_do: impl Into<String>) -> Verdict {
    Verdict::Refuse {
        why: why.into(),
        what_to_do: what_to_do.into(),
    }
}

/// In what the disk is another than the bucket, where media are to be put back; 0 of what was allowed.
#[derive(Clone, Copy, Debug)]
pub struct Difference<'a> {
    /// Objects that are not on the disk.
    pub only_there: u64,
    /// Files that Mastodon has deleted in the bucket.
    pub deleted_there: u64,
    /// `prune` has deleted files.
    pub after_prune: bool,
    /// Where the media are.
    pub kept: &'a Path,
}

/// `rollback`: may the disk be shown again as it is?
pub fn may_put_back(difference: &Difference<'_>) -> Verdict {
    let kept = difference.kept.display();
    let (mut causes, mut hints) = (Vec::new(), Vec::new());
    if difference.only_there > 0 {
        let objects = counted(difference.only_there, "object is", "objects are");
        let files = if difference.after_prune {
            "; those that `prune` deleted are among them"
        } else {
            ""
        };
        causes.push(format!(
            "{objects} in the bucket and not on the disk{files}: Mastodon would not show them once it uses the disk again"
        ));
        hints.push(format!(
            "copy what is only in the bucket into `{kept}` first (`rclone copy`, `b2 sync`), or add `--leave-in-bucket`"
        ));
    }
    if difference.deleted_there > 0 {
        let files = counted(
            difference.deleted_there,
            "file that Mastodon has deleted in the bucket is",
            "files that Mastodon has deleted in the bucket are",
        );
        causes.push(format!(
            "{files} still on the disk: whoever knows an address could see it again"
        ));
        hints.push(format!(
            "delete what is named above from `{kept}` first, or add `--with-deleted`"
        ));
    }
    if causes.is_empty() {
        return Verdict::Allow;
    }
    refuse(
        causes.join("; "),
        format!("{}; nothing was changed", hints.join("; ")),
    )
}

/// What `prune` has found of files whose objects are gone.
#[derive(Clone, Copy, Debug)]
pub struct Gone {
    /// Objects in the bucket.
    pub objects: u64,
    /// Files without an object.
    pub deleted: u64,
    /// Files outside `cache/`.
    pub own: u64,
    /// Those of them without an object.
    pub own_deleted: u64,
}

/// How many files outside `cache/` may be gone from the bucket unasked, for posts and accounts are deleted
/// every day: the lesser of a number and of one in so many, and these on the smallest instance.
const MOST_SETTLED: u64 = 1000;
const SHARE_SETTLED: u64 = 10;
const ALWAYS_SETTLED: u64 = 20;

/// `prune`: may what the bucket lacks pass for deleted by Mastodon? `most`: so much may.
pub fn may_settle(gone: Gone, most: Option<u64>, bucket: &str) -> Verdict {
    const LOOK: &str = "look at the bucket: if it has lost objects, these files are their last copies; if Mastodon has deleted so many, add `--max-settled N`; nothing was deleted";
    if gone.objects == 0 && gone.deleted > 0 {
        return refuse(format!("the bucket `{bucket}` has no object at all"), LOOK);
    }
    let share = gone.own / SHARE_SETTLED;
    let most = most.unwrap_or(share.clamp(ALWAYS_SETTLED, MOST_SETTLED));
    if gone.own_deleted > most {
        return refuse(
            format!(
                "{} of {} files outside `cache/` are gone from the bucket `{bucket}`, more than {most}",
                gone.own_deleted, gone.own
            ),
            LOOK,
        );
    }
    Verdict::Allow
}

/// `sync`: are the keys that this directory's paths make Mastodon's?
pub fn may_sync(installation: &Installation) -> Verdict {
    names_the_media(installation)
}

/// `sync --delete`: may objects without a local file be deleted?
///
/// Not when Mastodon writes to this bucket: what it uploads has no local file.
pub fn may_sync_delete(installation: &Installation, target: &Target) -> Verdict {
    is_in_use(installation).and(|| {
        bucket_is_a_copy(
            installation,
            target,
            "leave `--delete` out; nothing was changed",
        )
    })
}

/// `sync --delete`: may what had a local file be deleted where `prune` has been at work?
///
/// Then the bucket may have the only copies of what has no file any more.
pub fn may_delete_after(pruned: bool) -> Verdict {
    if !pruned {
        return Verdict::Allow;
    }
    refuse(
        "`medialift prune` has deleted files of this directory: the bucket has their only copies",
        "leave `--delete` out; nothing was changed",
    )
}

/// `sync --replace`: may an object be replaced by a local file with other content?
///
/// Not when Mastodon writes to this bucket: then the object is the newer one.
pub fn may_overwrite(installation: &Installation, target: &Target) -> Verdict {
    is_in_use(installation).and(|| {
        bucket_is_a_copy(
            installation,
            target,
            "leave `--replace` out; nothing was changed",
        )
    })
}

/// `cutover`: may the media directory be moved aside?
///
/// Only when Mastodon works with this bucket: else it is left without a single picture.
pub fn may_cutover(installation: &Installation, target: &Target) -> Verdict {
    names_the_media(installation).and(|| works_with(installation, target))
}

/// `prune`: may local files be deleted?
pub fn may_prune(installation: &Installation, target: &Target) -> Verdict {
    names_the_media(installation).and(|| works_with(installation, target))
}

/// `rollback`: may the old media directory take its place again?
///
/// It moves directories back and overwrites nothing, whoever owns the media: it is the way out also
/// where nothing can be told.
pub fn may_rollback(installation: &Installation) -> Verdict {
    names_the_media(installation)
}

/// `env --undo`: may the settings be put back that were there before?
///
/// Not those that turn the bucket off while the media are aside: Mastodon would look into an empty
/// directory.
pub fn may_undo(moved_aside: Option<&Path>, turns_bucket_off: bool) -> Verdict {
    match moved_aside {
        Some(directory) if turns_bucket_off => refuse(
            format!(
                "Mastodon would keep its media in `{}` again, and `medialift cutover` has moved them aside from there",
                directory.display()
            ),
            "run `medialift rollback` first, then this; nothing was changed",
        ),
        _ => Verdict::Allow,
    }
}

/// `--not-mastodon`: may a command do without an installation?
pub fn may_do_without(installation: &Installation) -> Verdict {
    match &installation.root {
        None => Verdict::Allow,
        Some(root) => refuse(
            format!(
                "`{}` is the media directory of the Mastodon installation in `{}`",
                installation.media_dir.display(),
                root.display()
            ),
            "leave `--not-mastodon` out",
        ),
    }
}

/// `sync --not-mastodon`: is the directory the truth? Not where the bucket has taken its place.
pub fn may_sync_without(installation: &Installation) -> Verdict {
    may_do_without(installation).and(|| is_in_place(installation))
}

/// The directory that Mastodon uses, and not what a cutover has put aside.
fn is_in_use(installation: &Installation) -> Verdict {
    names_the_media(installation).and(|| is_in_place(installation))
}

fn is_in_place(installation: &Installation) -> Verdict {
    match &installation.moved_aside {
        None => Verdict::Allow,
        Some(directory) => refuse(
            format!(
                "`{}` has been moved aside by `medialift cutover`",
                directory.display()
            ),
            "what was uploaded or deleted from then on is told by the bucket only; `medialift rollback` is the way back; nothing was changed",
        ),
    }
}

/// Paths below another directory would be other keys.
fn names_the_media(installation: &Installation) -> Verdict {
    let media_dir = installation.media_dir.display();
    let or_else = match installation.root {
        Some(_) => "",
        None => {
            ", or put `root` of Mastodon under `[mastodon]` in medialift.toml, or add `--not-mastodon` where there is none"
        }
    };
    let what_to_do = format!("name `{media_dir}` itself{or_else}; nothing was changed");
    match &installation.place {
        Place::Whole | Place::Kept => Verdict::Allow,
        Place::Below(path) => refuse(
            format!(
                "it is `{}` below the media directory `{media_dir}`",
                path.display()
            ),
            what_to_do,
        ),
        Place::Above => refuse(
            format!("the media directory `{media_dir}` is only a part of it"),
            what_to_do,
        ),
    }
}

fn bucket_is_a_copy(installation: &Installation, target: &Target, what_to_do: &str) -> Verdict {
    match installation.owner_by_settings(target) {
        Owner::Unknown(why) => cannot_tell(&why),
        Owner::Bucket => refuse(
            format!(
                "Mastodon writes to this bucket, `{}`: what it uploads is there only",
                target.bucket
            ),
            what_to_do,
        ),
        Owner::Disk => runs_by_its_settings(installation),
    }
}

fn runs_by_its_settings(installation: &Installation) -> Verdict {
    if let Running::Unclear(why) = &installation.running {
        return refuse(
            why,
            "name the instance as `instance_url` in medialift.toml, so that it can be asked, or say `owner` under `[mastodon]` there; nothing was changed",
        );
    }
    match installation.runs_otherwise() {
        None => Verdict::Allow,
        Some(why) => refuse(
            why,
            "restart Mastodon (`systemctl restart 'mastodon-*.service'`, or `docker compose up -d --force-recreate`), then run this again; nothing was changed",
        ),
    }
}

fn works_with(installation: &Installation, target: &Target) -> Verdict {
    let fix = "let `medialift env` write the settings, restart Mastodon, run `medialift sync` once more, then this; nothing was changed";
    match &installation.owner {
        Owner::Unknown(why) => return cannot_tell(why),
        Owner::Disk => {
            return refuse(
                "Mastodon keeps its media in the directory (`S3_ENABLED` is not `true`): it would be left without them",
                fix,
            );
        }
        Owner::Bucket => {}
    }
    if !installation.owns_in(target) {
        let storage = installation.storage.as_ref();
        let its = storage.map_or_else(
            || "a bucket that is not known".to_owned(),
            |s| format!("`{}`", [&*s.endpoint, &s.bucket, &s.key_prefix].join("/")),
        );
        return refuse(
            format!("Mastodon keeps its media in {its}, and this is `{target}`"),
            "name Mastodon's own bucket, endpoint and key prefix; where medialift.toml says `owner = \"bucket\"`, name them there; nothing was changed",
        );
    }
    runs_by_its_settings(installation)
}

fn cannot_tell(why: &str) -> Verdict {
    refuse(
        format!("it cannot be told where Mastodon keeps its media: {why}"),
        "say what cannot be found under `[mastodon]` in medialift.toml (`root`, or `owner`), or add `--not-mastodon` where there is no Mastodon; nothing was changed",
    )
}

#[cfg(test)]
mod tests;
