//! Guards: whether a command that could lose data may run at all.
//!
//! A guard that lacks information refuses. Pure functions over an [`Installation`]. What happens to a
//! single file is left to [`crate::decide`].

use std::path::Path;

use crate::config::Target;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::format::counted;
use crate::mastodon::{DirectoryRelation, Installation, Owner, Running};

/// The result of a guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Permission {
    /// The command may run.
    Allowed,
    /// The command may not run.
    Refused {
        /// The cause of the error, without a full stop.
        reason: String,
        /// What to do instead.
        hint: String,
    },
}

impl Permission {
    /// The refusal as the error of `operation`, exit code 2.
    ///
    /// # Errors
    /// Fails where the guard refuses.
    pub fn or_refuse(self, operation: impl Into<String>) -> Result<()> {
        match self {
            Permission::Allowed => Ok(()),
            Permission::Refused { reason, hint } => {
                Err(Error::usage(operation).cause(reason).hint(hint))
            }
        }
    }

    /// The refusal as the error of `operation`, exit code 3: for guards that depend on a comparison.
    ///
    /// # Errors
    /// Fails where the guard refuses.
    pub fn or_problem(self, operation: impl Into<String>) -> Result<()> {
        match self {
            Permission::Allowed => Ok(()),
            Permission::Refused { reason, hint } => Err(Error::new(operation)
                .exit(Exit::Problem)
                .cause(reason)
                .hint(hint)),
        }
    }

    fn and(self, next: impl FnOnce() -> Permission) -> Permission {
        match self {
            Permission::Allowed => next(),
            refused => refused,
        }
    }
}

fn refuse(reason: impl Into<String>, hint: impl Into<String>) -> Permission {
    Permission::Refused {
        reason: reason.into(),
        hint: hint.into(),
    }
}

/// How the directory that `rollback` puts back differs from the bucket. A count is 0 where a flag
/// allows that difference.
#[derive(Clone, Copy, Debug)]
pub struct RollbackDifference<'a> {
    /// Objects without a local file.
    pub only_in_bucket: u64,
    /// Local files whose objects Mastodon has deleted.
    pub deleted_in_bucket: u64,
    /// `prune` has deleted local files.
    pub after_prune: bool,
    /// The directory with the media, `system_`.
    pub kept: &'a Path,
}

/// `rollback`: may Mastodon use the directory again although it differs from the bucket?
pub fn may_put_back(difference: &RollbackDifference<'_>) -> Permission {
    let kept = difference.kept.display();
    let (mut causes, mut hints) = (Vec::new(), Vec::new());
    if difference.only_in_bucket > 0 {
        let objects = counted(difference.only_in_bucket, "object is", "objects are");
        let files = if difference.after_prune {
            "; those that `prune` deleted are among them"
        } else {
            ""
        };
        causes.push(format!(
            "{objects} in the bucket and not on the disk{files}: Mastodon would not show them once it uses the disk again"
        ));
        hints.push(format!(
            "copy these objects into `{kept}` first (`rclone copy`, `b2 sync`), or add `--leave-in-bucket`"
        ));
    }
    if difference.deleted_in_bucket > 0 {
        let files = counted(
            difference.deleted_in_bucket,
            "file that Mastodon has deleted in the bucket is",
            "files that Mastodon has deleted in the bucket are",
        );
        causes.push(format!(
            "{files} still on the disk: anybody who knows an address could read it again"
        ));
        hints.push(format!(
            "delete these files from `{kept}` first, or add `--with-deleted`"
        ));
    }
    if causes.is_empty() {
        return Permission::Allowed;
    }
    refuse(
        causes.join("; "),
        format!("{}; nothing was changed", hints.join("; ")),
    )
}

/// How many local files have no object, as `prune` has counted them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MissingObjects {
    /// Objects in the bucket.
    pub objects: u64,
    /// Files without an object: Mastodon has deleted it.
    pub deleted: u64,
    /// Files outside `cache/`: the instance's own media.
    pub own: u64,
    /// Files outside `cache/` without an object.
    pub own_deleted: u64,
}

/// Deletions of own media that need no flag, since posts and accounts are deleted every day: one tenth
/// of the files, but at least 20 and at most 1,000.
const DELETED_SHARE: u64 = 10;
const DELETED_AT_LEAST: u64 = 20;
const DELETED_AT_MOST: u64 = 1000;

/// `prune`: do files without an object count as deleted by Mastodon, rather than as lost by the bucket?
/// `limit`: how many of the own media may be, instead of the limit by [`DELETED_SHARE`].
pub fn may_count_as_deleted(
    missing: MissingObjects,
    limit: Option<u64>,
    bucket: &str,
) -> Permission {
    const HINT: &str = "check the bucket: if it has lost objects, these files are the last copies; if Mastodon has deleted that many, add `--max-deleted-in-bucket N`; nothing was deleted";
    if missing.objects == 0 && missing.deleted > 0 {
        return refuse(format!("the bucket `{bucket}` has no object at all"), HINT);
    }
    let share = missing.own / DELETED_SHARE;
    let limit = limit.unwrap_or(share.clamp(DELETED_AT_LEAST, DELETED_AT_MOST));
    if missing.own_deleted > limit {
        return refuse(
            format!(
                "{} of {} files outside `cache/` are missing from the bucket `{bucket}`, more than {limit}",
                missing.own_deleted, missing.own
            ),
            HINT,
        );
    }
    Permission::Allowed
}

/// `sync`: is this the media directory, so that its paths are Mastodon's keys?
pub fn may_sync(installation: &Installation) -> Permission {
    is_media_dir(installation)
}

/// `sync --delete`: may objects without a local file be deleted?
///
/// Not when Mastodon writes to this bucket: what it uploads has no local file.
pub fn may_sync_delete(installation: &Installation, target: &Target) -> Permission {
    is_in_use(installation).and(|| {
        bucket_is_a_copy(
            installation,
            target,
            "leave `--delete` out; nothing was changed",
        )
    })
}

/// `sync --delete`: may objects be deleted whose local file was deleted since? Not after `prune`: then
/// they are the only copies.
pub fn may_delete_after(pruned: bool) -> Permission {
    if !pruned {
        return Permission::Allowed;
    }
    refuse(
        "`medialift prune` has deleted files of this directory: the bucket has their only copies",
        "leave `--delete` out; nothing was changed",
    )
}

/// `sync --replace`: may an object be replaced by a local file with other content?
///
/// Not when Mastodon writes to this bucket: then the object may be the newer one.
pub fn may_overwrite(installation: &Installation, target: &Target) -> Permission {
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
/// Only when Mastodon uses this bucket: otherwise it would have no media at all.
pub fn may_cutover(installation: &Installation, target: &Target) -> Permission {
    is_media_dir(installation).and(|| uses_bucket(installation, target))
}

/// `prune`: may local files be deleted?
pub fn may_prune(installation: &Installation, target: &Target) -> Permission {
    is_media_dir(installation).and(|| uses_bucket(installation, target))
}

/// `rollback`: may the old media directory take its place again?
///
/// It moves directories and overwrites nothing, so it is allowed whoever owns the media, also where
/// the owner cannot be determined.
pub fn may_rollback(installation: &Installation) -> Permission {
    is_media_dir(installation)
}

/// `env --undo`: may the former settings be restored?
///
/// Not where they turn the bucket off and the media directory was moved aside: Mastodon would use an
/// empty directory.
pub fn may_undo(moved_aside: Option<&Path>, turns_bucket_off: bool) -> Permission {
    match moved_aside {
        Some(directory) if turns_bucket_off => refuse(
            format!(
                "Mastodon would keep its media in `{}` again, and `medialift cutover` has moved them aside from there",
                directory.display()
            ),
            "run `medialift rollback` first, then this command; nothing was changed",
        ),
        _ => Permission::Allowed,
    }
}

/// `--not-mastodon`: may a command treat the directory as one that no Mastodon uses?
pub fn may_ignore_mastodon(installation: &Installation) -> Permission {
    match &installation.root {
        None => Permission::Allowed,
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

/// `sync --not-mastodon`: may the directory count as the source of truth? Not after a cutover.
pub fn may_sync_without_mastodon(installation: &Installation) -> Permission {
    may_ignore_mastodon(installation).and(|| is_not_moved_aside(installation))
}

/// The media directory, and no cutover has moved it aside.
fn is_in_use(installation: &Installation) -> Permission {
    is_media_dir(installation).and(|| is_not_moved_aside(installation))
}

fn is_not_moved_aside(installation: &Installation) -> Permission {
    match &installation.moved_aside {
        None => Permission::Allowed,
        Some(directory) => refuse(
            format!(
                "`{}` has been moved aside by `medialift cutover`",
                directory.display()
            ),
            "later uploads and deletions are in the bucket only; `medialift rollback` moves the directory back; nothing was changed",
        ),
    }
}

/// Paths relative to another directory would be other keys.
fn is_media_dir(installation: &Installation) -> Permission {
    let media_dir = installation.media_dir.display();
    let alternatives = match installation.root {
        Some(_) => "",
        None => {
            ", or put `root` of Mastodon under `[mastodon]` in medialift.toml, or add `--not-mastodon` if no Mastodon uses it"
        }
    };
    let hint = format!("give `{media_dir}` itself{alternatives}; nothing was changed");
    match &installation.relation {
        DirectoryRelation::MediaDir | DirectoryRelation::MovedAside => Permission::Allowed,
        DirectoryRelation::Below(path) => refuse(
            format!(
                "it is `{}` below the media directory `{media_dir}`",
                path.display()
            ),
            hint,
        ),
        DirectoryRelation::Above => refuse(
            format!("the media directory `{media_dir}` is only a part of it"),
            hint,
        ),
    }
}

fn bucket_is_a_copy(installation: &Installation, target: &Target, hint: &str) -> Permission {
    match installation.owner_by_settings(target) {
        Owner::Unknown(reason) => owner_unknown(&reason),
        Owner::Bucket => refuse(
            format!(
                "Mastodon writes to this bucket, `{}`: what it uploads is there only",
                target.bucket
            ),
            hint,
        ),
        Owner::Disk => runs_with_its_settings(installation),
    }
}

fn runs_with_its_settings(installation: &Installation) -> Permission {
    if let Running::Unknown(reason) = &installation.running {
        return refuse(
            reason,
            "name the instance as `instance_url` in medialift.toml, so that it can be queried, or set `owner` under `[mastodon]` there; nothing was changed",
        );
    }
    match installation.differs_from_settings() {
        None => Permission::Allowed,
        Some(reason) => refuse(
            reason,
            "restart Mastodon (`systemctl restart 'mastodon-*.service'`, or `docker compose up -d --force-recreate`), then run this command again; nothing was changed",
        ),
    }
}

fn uses_bucket(installation: &Installation, target: &Target) -> Permission {
    let hint = "write the settings with `medialift env`, restart Mastodon, run `medialift sync` once more, then this command; nothing was changed";
    match &installation.owner {
        Owner::Unknown(reason) => return owner_unknown(reason),
        Owner::Disk => {
            return refuse(
                "Mastodon keeps its media in the directory (`S3_ENABLED` is not `true`), and would find none",
                hint,
            );
        }
        Owner::Bucket => {}
    }
    if !installation.owns_in(target) {
        let storage = installation.storage.as_ref();
        let used = storage.map_or_else(
            || "an unknown bucket".to_owned(),
            |storage| format!("`{storage}`"),
        );
        return refuse(
            format!("Mastodon keeps its media in {used}, and this is `{target}`"),
            "give Mastodon's own bucket, endpoint and key prefix; if medialift.toml has `owner = \"bucket\"`, correct them there; nothing was changed",
        );
    }
    runs_with_its_settings(installation)
}

fn owner_unknown(reason: &str) -> Permission {
    refuse(
        format!("where Mastodon keeps its media cannot be determined: {reason}"),
        "set `root` or `owner` under `[mastodon]` in medialift.toml, or add `--not-mastodon` if no Mastodon uses the directory; nothing was changed",
    )
}

#[cfg(test)]
mod tests;
