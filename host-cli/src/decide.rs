//! What is to be done about one key: pure, no I/O, no clock.
//!
//! One fact decides what may be done: who owns the media. Before the switch the disk is the truth, and
//! after it the bucket is: Mastodon then writes and deletes there only, and the disk is a stale copy.
//! Where that cannot be determined, whatever could lose something is left.
//!
//! | local | object | journal | disk owns | bucket owns | nobody knows |
//! |---|---|---|---|---|---|
//! | there | absent | not recorded | send | send¹ | send¹ |
//! | there | absent | recorded | send | deleted there: left, never sent again | conflict |
//! | there | absent | about to be sent³ | send | conflict; `--send-unrecorded` sends | conflict; `--send-unrecorded` sends |
//! | there | the same | – | same | same | same |
//! | there | another | ours² | send: the file is newer than the record | conflict | conflict |
//! | there | another | not ours | conflict; `--replace` sends | conflict | conflict |
//! | there | open | – | compare: read the file, decide again | compare | compare |
//! | hidden | – | – | hidden: left out unless `--include-hidden` | hidden | hidden |
//! | absent | there | ours² | only there; `--delete` deletes | only there: Mastodon's own | only there |
//! | absent | there | not ours | only there: it may never have been a file here | only there | only there |
//! | absent | absent | recorded | gone: the record is forgotten | gone: kept | gone: kept |
//!
//! ¹ Only with a journal that knows this bucket: an empty one cannot tell what was never sent from
//! what Mastodon deleted since, so it is a conflict unless `--send-unrecorded`. A directory that does
//! not look like media, and that no Mastodon uses, needs none.
//! ² The object still is what the record says that we put there or found equal.
//! ³ A run was killed while it sent it: whether it ever was there is not known.
//!
//! *The same*: equal size and equal MD5, taken from the journal while the file is as it was recorded.
//! A plain MD5 beside a multipart ETag (`…-N`) tells nothing: that is *open*. Under `--size-only` an
//! equal size is the same; under `--checksum` the journal's digests are not believed.

use serde::Serialize;

use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::s3::Listed;
use crate::tree::{Entry, LocalFile, SkipReason};

/// What the command line asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// How equal content is told.
    pub compare: Compare,
    /// Replace objects that differ and are not ours.
    pub replace: bool,
    /// Delete objects whose local file is gone.
    pub delete: bool,
    /// Hidden files take part as any other.
    pub include_hidden: bool,
    /// What the bucket lacks and no record tells of was never there: the journal has records of this
    /// bucket, or no Mastodon has to do with the directory.
    pub unrecorded_is_new: bool,
    /// Send what the bucket lacks although it is not known whether it ever was there.
    pub send_unclear: bool,
}

/// How equal content is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By the digest of the journal, or else of the file.
    #[default]
    Digest,
    /// By the size alone.
    SizeOnly,
    /// By the digest of the file, read anew.
    Read,
}

/// What is to be done about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send the file.
    Send(Why),
    /// Read the file, then [`decide_read`].
    Compare,
    /// Both sides are the same.
    Same,
    /// Leave both, and name the path.
    Conflict(Conflict),
    /// Mastodon has deleted the object: leave it so. The local file is settled.
    DeletedThere,
    /// An object without a local file, left alone.
    OnlyThere,
    /// An object whose local file is gone, to be deleted.
    Delete,
    /// A file that Mastodon has hidden, left out.
    Hidden,
    /// An entry that can have no object.
    Skip(SkipReason),
    /// Neither side has it any more.
    Gone,
}

/// Why a file is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The bucket has no such object.
    New,
    /// The file has changed since it was sent, and the object has not.
    Changed,
    /// `--replace`.
    Replace,
}

/// Why both sides are left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// The object differs, and was not put there by us.
    NotOurs,
    /// The object differs, and Mastodon owns it.
    BucketOwns,
    /// The object differs or is not there, and who owns the media cannot be determined.
    OwnerUnknown,
    /// The bucket lacks it, Mastodon owns the bucket, and the journal does not tell whether it was ever
    /// there.
    NoJournal,
}

impl Conflict {
    /// The reason in words.
    pub fn words(self) -> &'static str {
        match self {
            Conflict::NotOurs => {
                "the object differs and was not put there by medialift; `--replace` sends the file"
            }
            Conflict::BucketOwns => {
                "the object differs, and Mastodon keeps its media in the bucket: it is never overwritten"
            }
            Conflict::OwnerUnknown => {
                "the bucket lacks it or has another, and whether Mastodon keeps its media here or there cannot be determined; say it with `owner` under `[mastodon]` in medialift.toml, or with `--not-mastodon` where there is no Mastodon; for the first upload, before the switch, `--send-unrecorded` sends what the bucket lacks"
            }
            Conflict::NoJournal => {
                "the bucket lacks it, and no journal tells whether Mastodon deleted it there; `--send-unrecorded` sends it"
            }
        }
    }
}

/// What is known about the content of a local file beside its object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Same,
    Another,
    Open,
}

/// Decides by the table above.
pub fn decide(pair: &Pair, owner: &Owner, flags: Flags) -> Decision {
    match (&pair.local, &pair.object) {
        (Some(Entry::File(file)), Some(object)) => {
            let content = content(file, object, pair.known.as_ref(), flags.compare);
            decide_file(pair, file, content, owner, flags)
        }
        (Some(Entry::File(file)), None) => decide_file(pair, file, Content::Another, owner, flags),
        (Some(Entry::Skipped(skipped)), _) => Decision::Skip(skipped.reason),
        (None, Some(object)) if flags.delete && *owner == Owner::Disk && is_ours(pair, object) => {
            Decision::Delete
        }
        (None, Some(_)) => Decision::OnlyThere,
        (None, None) => Decision::Gone,
    }
}

/// Decides once the file has been read and compared: never [`Decision::Compare`].
pub fn decide_read(pair: &Pair, same: bool, owner: &Owner, flags: Flags) -> Decision {
    let content = if same {
        Content::Same
    } else {
        Content::Another
    };
    match &pair.local {
        Some(Entry::File(file)) => decide_file(pair, file, content, owner, flags),
        _ => decide(pair, owner, flags),
    }
}

fn decide_file(
    pair: &Pair,
    file: &LocalFile,
    content: Content,
    owner: &Owner,
    flags: Flags,
) -> Decision {
    if file.hidden && !flags.include_hidden {
        return Decision::Hidden;
    }
    let Some(object) = &pair.object else {
        return match (owner, &pair.known) {
            (Owner::Disk, _) => Decision::Send(Why::New),
            (Owner::Bucket, Some(known)) if !known.sending => Decision::DeletedThere,
            (Owner::Bucket, _) if flags.send_unclear => Decision::Send(Why::New),
            (Owner::Bucket, None) if flags.unrecorded_is_new => Decision::Send(Why::New),
            (Owner::Bucket, _) => Decision::Conflict(Conflict::NoJournal),
            (Owner::Unknown(_), None) if flags.unrecorded_is_new || flags.send_unclear => {
                Decision::Send(Why::New)
            }
            (Owner::Unknown(_), Some(known)) if known.sending && flags.send_unclear => {
                Decision::Send(Why::New)
            }
            (Owner::Unknown(_), _) => Decision::Conflict(Conflict::OwnerUnknown),
        };
    };
    match (content, owner) {
        (Content::Open, _) => Decision::Compare,
        (Content::Same, _) => Decision::Same,
        (Content::Another, Owner::Bucket) => Decision::Conflict(Conflict::BucketOwns),
        (Content::Another, Owner::Unknown(_)) => Decision::Conflict(Conflict::OwnerUnknown),
        (Content::Another, Owner::Disk) => match (is_ours(pair, object), flags.replace) {
            (true, _) => Decision::Send(Why::Changed),
            (false, true) => Decision::Send(Why::Replace),
            (false, false) => Decision::Conflict(Conflict::NotOurs),
        },
    }
}

/// Whether the object still is what the record says that we put there, or found equal to a file. What
/// Mastodon uploaded while it used the bucket never is: it had no file here.
fn is_ours(pair: &Pair, object: &Listed) -> bool {
    pair.known
        .is_some_and(|known| known.same && known.etag() == object.etag)
}

fn content(
    file: &LocalFile,
    object: &Listed,
    known: Option<&Recorded>,
    compare: Compare,
) -> Content {
    if file.stamp.size != object.size {
        return Content::Another;
    }
    match (compare, known) {
        (Compare::SizeOnly, _) => Content::Same,
        (Compare::Digest, Some(known)) if known.same && known.stamp == file.stamp => {
            let etag = known.etag();
            if etag == object.etag {
                Content::Same
            } else if part_count(&etag) == part_count(&object.etag) {
                Content::Another
            } else {
                Content::Open
            }
        }
        _ => Content::Open,
    }
}

/// The `N` of a multipart ETag `…-N`.
pub fn part_count(etag: &str) -> Option<u32> {
    etag.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests;
