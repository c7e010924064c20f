//! Decides what is done about one key. Pure: no I/O, no clock.
//!
//! The owner of the media decides what may be done. Before the switch the disk is the source of truth.
//! After it the bucket is: Mastodon writes and deletes there only, and the disk is a stale copy. Where the
//! owner cannot be determined, nothing is done that could lose a file or an object.
//!
//! | local | object | journal | disk owns | bucket owns | unknown |
//! |---|---|---|---|---|---|
//! | there | absent | not recorded | send | send¹ | send¹ |
//! | there | absent | recorded | send | deleted in the bucket: left, never sent again | conflict |
//! | there | absent | about to be sent³ | send | conflict; `--send-unrecorded` sends | conflict; `--send-unrecorded` sends |
//! | there | the same | – | same | same | same |
//! | there | different | ours² | send: the file is newer than the record | conflict | conflict |
//! | there | different | not ours | conflict; `--replace` sends | conflict | conflict |
//! | there | not compared | – | compare: read the file, decide again | compare | compare |
//! | hidden | – | – | hidden: left out unless `--include-hidden` | hidden | hidden |
//! | absent | there | ours² | only in the bucket; `--delete` deletes | only in the bucket: Mastodon's own | only in the bucket |
//! | absent | there | not ours | only in the bucket: it may never have been a file here | only in the bucket | only in the bucket |
//! | absent | absent | recorded | gone: the record is removed | gone: the record stays | gone: the record stays |
//!
//! ¹ Only with a complete journal ([`crate::journal::Journal::is_complete`]): without it, a file that
//! was never sent and one whose object Mastodon deleted are the same, so it is a conflict unless
//! `--send-unrecorded`. A directory that no Mastodon uses needs no journal.
//! ² The object has the ETag of the record: medialift sent it, or found it equal to the file.
//! ³ A run was killed while it sent the file: whether it was stored is not known.
//!
//! *The same*: equal size and equal MD5, taken from the journal while the file is as it was recorded.
//! A plain MD5 and a multipart ETag (`…-N`) cannot be compared: that is *not compared*. With `--size-only` an
//! equal size is the same; with `--checksum` the journal's digests are not used.

use serde::Serialize;

use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::s3::ListedObject;
use crate::tree::{LocalFile, SkipReason, TreeEntry};

/// The options of a decision, most of them flags of the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecisionOptions {
    /// How content is compared.
    pub compare: Compare,
    /// Replace objects that differ and are not ours.
    pub replace: bool,
    /// Delete objects whose local file is gone.
    pub delete: bool,
    /// Send hidden files as any other.
    pub include_hidden: bool,
    /// A file that neither the bucket nor the journal has was never sent: the journal is complete, or
    /// no Mastodon uses the directory.
    pub unrecorded_is_new: bool,
    /// `--send-unrecorded`: send what the bucket lacks although Mastodon may have deleted it there.
    pub send_unrecorded: bool,
}

/// How content is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// By the journal's digest, or else the file's.
    #[default]
    Digest,
    /// By the size alone.
    SizeOnly,
    /// By the file's digest.
    Read,
}

/// What is done about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send the file.
    Send(Why),
    /// Read the file, then [`decide_read`].
    Compare,
    /// File and object are the same.
    Same,
    /// Leave both and report the path.
    Conflict(Conflict),
    /// Mastodon has deleted the object: the local file is not sent again.
    DeletedInBucket,
    /// An object without a local file, left.
    OnlyInBucket,
    /// An object whose local file is gone, to be deleted.
    Delete,
    /// A file that Mastodon has hidden, left out.
    Hidden,
    /// An entry that can have no object.
    Skip(SkipReason),
    /// Only the journal has it.
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

/// Why file and object are left as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Conflict {
    /// The object differs, and medialift did not send it.
    NotOurs,
    /// The object differs, and Mastodon owns it.
    BucketOwns,
    /// The object differs or is not there, and who owns the media cannot be determined.
    OwnerUnknown,
    /// The bucket lacks it, Mastodon owns the bucket, and the journal does not have it or is not
    /// complete.
    NoJournal,
}

impl Conflict {
    /// The reason as text.
    pub fn description(self) -> &'static str {
        match self {
            Conflict::NotOurs => {
                "the object differs and was not uploaded by medialift; `--replace` uploads the file"
            }
            Conflict::BucketOwns => {
                "the object differs, and Mastodon keeps its media in the bucket: the object is never overwritten"
            }
            Conflict::OwnerUnknown => {
                "the bucket lacks it or has other content, and whether Mastodon keeps its media on the disk or in the bucket cannot be determined; set `owner` under `[mastodon]` in medialift.toml, or add `--not-mastodon` if no Mastodon uses the directory; for the first upload, before the switch, `--send-unrecorded` uploads what the bucket lacks"
            }
            Conflict::NoJournal => {
                "the bucket lacks it, and no journal shows whether Mastodon deleted it there; `--send-unrecorded` uploads it"
            }
        }
    }
}

/// How the content of a local file compares with its object's.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ContentMatch {
    Same,
    Different,
    /// The file has to be read.
    NotCompared,
}

/// Decides by the table above.
pub fn decide(pair: &Pair, owner: &Owner, options: DecisionOptions) -> Decision {
    match (&pair.local, &pair.object) {
        (Some(TreeEntry::File(file)), Some(object)) => {
            let content = compare_content(file, object, pair.recorded.as_ref(), options.compare);
            decide_file(pair, file, content, owner, options)
        }
        (Some(TreeEntry::File(file)), None) => {
            decide_file(pair, file, ContentMatch::Different, owner, options)
        }
        (Some(TreeEntry::Skipped(skipped)), _) => Decision::Skip(skipped.reason),
        (None, Some(object))
            if options.delete && *owner == Owner::Disk && is_ours(pair, object) =>
        {
            Decision::Delete
        }
        (None, Some(_)) => Decision::OnlyInBucket,
        (None, None) => Decision::Gone,
    }
}

/// Decides once the file has been read and compared: never [`Decision::Compare`].
pub fn decide_read(pair: &Pair, same: bool, owner: &Owner, options: DecisionOptions) -> Decision {
    let content = if same {
        ContentMatch::Same
    } else {
        ContentMatch::Different
    };
    match &pair.local {
        Some(TreeEntry::File(file)) => decide_file(pair, file, content, owner, options),
        _ => decide(pair, owner, options),
    }
}

fn decide_file(
    pair: &Pair,
    file: &LocalFile,
    content: ContentMatch,
    owner: &Owner,
    options: DecisionOptions,
) -> Decision {
    if file.hidden && !options.include_hidden {
        return Decision::Hidden;
    }
    let Some(object) = &pair.object else {
        return match (owner, &pair.recorded) {
            (Owner::Disk, _) => Decision::Send(Why::New),
            (Owner::Bucket, Some(recorded)) if !recorded.sending => Decision::DeletedInBucket,
            (Owner::Bucket, _) if options.send_unrecorded => Decision::Send(Why::New),
            (Owner::Bucket, None) if options.unrecorded_is_new => Decision::Send(Why::New),
            (Owner::Bucket, _) => Decision::Conflict(Conflict::NoJournal),
            (Owner::Unknown(_), None) if options.unrecorded_is_new || options.send_unrecorded => {
                Decision::Send(Why::New)
            }
            (Owner::Unknown(_), Some(recorded)) if recorded.sending && options.send_unrecorded => {
                Decision::Send(Why::New)
            }
            (Owner::Unknown(_), _) => Decision::Conflict(Conflict::OwnerUnknown),
        };
    };
    match (content, owner) {
        (ContentMatch::NotCompared, _) => Decision::Compare,
        (ContentMatch::Same, _) => Decision::Same,
        (ContentMatch::Different, Owner::Bucket) => Decision::Conflict(Conflict::BucketOwns),
        (ContentMatch::Different, Owner::Unknown(_)) => Decision::Conflict(Conflict::OwnerUnknown),
        (ContentMatch::Different, Owner::Disk) => match (is_ours(pair, object), options.replace) {
            (true, _) => Decision::Send(Why::Changed),
            (false, true) => Decision::Send(Why::Replace),
            (false, false) => Decision::Conflict(Conflict::NotOurs),
        },
    }
}

/// Whether the object is the recorded one: sent by medialift, or found equal to a file. An object that
/// Mastodon uploaded to the bucket never is: it had no file here.
fn is_ours(pair: &Pair, object: &ListedObject) -> bool {
    pair.recorded
        .is_some_and(|recorded| recorded.same && recorded.etag() == object.etag)
}

/// Compares without reading the file.
fn compare_content(
    file: &LocalFile,
    object: &ListedObject,
    recorded: Option<&Recorded>,
    compare: Compare,
) -> ContentMatch {
    if file.stamp.size != object.size {
        return ContentMatch::Different;
    }
    match (compare, recorded) {
        (Compare::SizeOnly, _) => ContentMatch::Same,
        (Compare::Digest, Some(recorded)) if recorded.same && recorded.stamp == file.stamp => {
            let etag = recorded.etag();
            if etag == object.etag {
                ContentMatch::Same
            } else if part_count(&etag) == part_count(&object.etag) {
                ContentMatch::Different
            } else {
                ContentMatch::NotCompared
            }
        }
        _ => ContentMatch::NotCompared,
    }
}

/// The `N` of a multipart ETag `…-N`.
pub fn part_count(etag: &str) -> Option<u32> {
    etag.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests;
