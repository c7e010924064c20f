//! The media directory and the bucket as `cutover`, `prune` and `rollback` compare them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{Target, TargetArgs};
use crate::context::Context;
use crate::decide::{Compare, Decision, DecisionOptions, decide};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::guards::{Permission, may_ignore_mastodon};
use crate::identity::Identity;
use crate::journal::Journal;
use crate::ledger;
use crate::mastodon::{Installation, Owner};
use crate::pairs::{self, Pair, Pairs};
use crate::progress::Progress;
use crate::prove::is_as_uploaded;
use crate::s3::Client;
use crate::tree;
use crate::ui::Ui;

/// A directory, a bucket, the journal of what was uploaded, and who owns the media.
#[derive(Debug)]
pub(crate) struct DirectoryAndBucket {
    /// The bucket.
    pub(crate) client: Client,
    /// The directory.
    pub(crate) root: PathBuf,
    /// `Bucket`: an object that Mastodon has deleted is not missing. `Disk`, where no Mastodon uses the
    /// directory: every file without an object is missing.
    pub(crate) owner: Owner,
    follow_links: bool,
    journal: Journal,
}

impl DirectoryAndBucket {
    /// Opens the journal of `root` and this bucket, to read only.
    pub(crate) fn open(
        client: Client,
        root: PathBuf,
        owner: Owner,
        follow_links: bool,
        context: &Context,
    ) -> Result<DirectoryAndBucket> {
        let identity = Identity::of_directory(&root).map_err(|e| {
            Error::usage(format!("read the media directory `{}`", root.display()))
                .cause(e)
                .hint("check the path and its permissions")
        })?;
        let path = ledger::journal_path(&context.state_dir()?, client.target(), &identity);
        let (journal, note) = Journal::read_only(&path)?;
        if let Some(note) = note {
            context.ui.say(format!("note: {note}"));
        }
        Ok(DirectoryAndBucket {
            client,
            root,
            owner,
            follow_links,
            journal,
        })
    }

    /// How the directory is walked.
    pub(crate) fn walk_options(&self) -> tree::WalkOptions {
        tree::WalkOptions {
            root: self.root.clone(),
            prefix_length: self.client.target().key_prefix.len(),
            follow_links: self.follow_links,
        }
    }

    /// Begins to show progress.
    pub(crate) fn progress(&self, ui: Ui) -> Result<Progress> {
        let everything = Filter::new(&[], &[])?;
        let count = Some((self.walk_options(), everything));
        Ok(Progress::begin(ui, count, self.client.clone()))
    }

    /// Begins the join.
    pub(crate) fn pairs(&self) -> Result<Pairs> {
        self.join(None)
    }

    /// Begins the join of these paths alone.
    pub(crate) fn pairs_of(&self, paths: Vec<OsString>) -> Result<Pairs> {
        self.join(Some(paths))
    }

    fn join(&self, files_from: Option<Vec<OsString>>) -> Result<Pairs> {
        let options = pairs::JoinOptions {
            walk: self.walk_options(),
            files_from,
            filter: Filter::new(&[], &[])?,
            sort_listing: false,
        };
        Pairs::begin(&self.client, self.journal.cursor(), &options)
    }

    /// Decides upon a pair. Hidden files are treated as any other.
    pub(crate) fn decide(&self, pair: &Pair, compare: Compare) -> Decision {
        decide(pair, &self.owner, self.decision_options(compare))
    }

    /// The options of these decisions.
    pub(crate) fn decision_options(&self, compare: Compare) -> DecisionOptions {
        DecisionOptions {
            compare,
            include_hidden: true,
            unrecorded_is_new: self.journal.is_complete(),
            ..DecisionOptions::default()
        }
    }

    /// Whether Mastodon has replaced the object since the file was uploaded.
    pub(crate) fn was_replaced_in_bucket(pair: &Pair) -> bool {
        let (Some(object), Some(recorded)) = (&pair.object, &pair.recorded) else {
            return false;
        };
        is_as_uploaded(pair) && recorded.etag() != object.etag
    }
}

/// The installation of `path`, where `guard` allows the operation; none where there is no Mastodon.
pub(crate) async fn installation(
    not_mastodon: bool,
    path: &Path,
    target: &Target,
    guard: fn(&Installation, &Target) -> Permission,
    operation: String,
    context: &Context,
) -> Result<Option<Installation>> {
    let mut installation = Installation::find(Some(path), &context.file)?;
    if not_mastodon {
        may_ignore_mastodon(&installation).or_refuse(operation)?;
        return Ok(None);
    }
    installation.query_instance().await;
    guard(&installation, target).or_refuse(operation)?;
    Ok(Some(installation))
}

/// The owner of the media, for [`DirectoryAndBucket::open`].
pub(crate) fn owner(installation: Option<&Installation>) -> Owner {
    installation.map_or(Owner::Disk, |installation| installation.owner.clone())
}

/// A client of this bucket.
pub(crate) fn client(args: &TargetArgs, target: Target, context: &Context) -> Result<Client> {
    let credentials = args.credentials(&context.file)?;
    let operation = format!("prepare requests to `{target}`");
    Client::new(target, &credentials).map_err(|e| e.into_error(operation))
}
