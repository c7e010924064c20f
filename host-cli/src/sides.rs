//! Disk and bucket side by side, as `cutover`, `prune` and `rollback` look at them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{Target, TargetArgs};
use crate::context::Context;
use crate::decide::{Compare, Decision, Flags, decide};
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
pub(crate) struct Sides {
    /// The bucket.
    pub(crate) client: Client,
    /// The directory.
    pub(crate) root: PathBuf,
    /// Bucket: what Mastodon deleted there is settled. Disk, where there is no Mastodon: whatever
    /// the bucket lacks is missing.
    pub(crate) owner: Owner,
    follow_links: bool,
    journal: Journal,
}

impl Sides {
    /// Opens the journal of `root` and this bucket to read.
    pub(crate) fn open(
        client: Client,
        root: PathBuf,
        owner: Owner,
        follow_links: bool,
        context: &Context,
    ) -> Result<Sides> {
        let identity = Identity::of_directory(&root).map_err(|e| {
            Error::usage(format!("read the media directory `{}`", root.display())).cause(e)
        })?;
        let path = ledger::journal_path(&context.state_dir()?, client.target(), &identity);
        let (journal, said) = Journal::read_only(&path)?;
        if let Some(said) = said {
            context.ui.say(format!("note: {said}"));
        }
        Ok(Sides {
            client,
            root,
            owner,
            follow_links,
            journal,
        })
    }

    /// How the directory is walked.
    pub(crate) fn tree(&self) -> tree::Options {
        tree::Options {
            root: self.root.clone(),
            prefix_length: self.client.target().key_prefix.len(),
            follow_links: self.follow_links,
        }
    }

    /// Begins to show how far a command is.
    pub(crate) fn progress(&self, ui: Ui) -> Result<Progress> {
        let everything = Filter::new(&[], &[])?;
        let count = Some((self.tree(), everything));
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
        let options = pairs::Options {
            tree: self.tree(),
            files_from,
            filter: Filter::new(&[], &[])?,
            sort_listing: false,
        };
        Pairs::begin(&self.client, self.journal.cursor(), &options)
    }

    /// What is to be done about a pair. Every file counts, hidden ones too.
    pub(crate) fn decide(&self, pair: &Pair, compare: Compare) -> Decision {
        decide(pair, &self.owner, self.flags(compare))
    }

    /// The flags of that decision.
    pub(crate) fn flags(&self, compare: Compare) -> Flags {
        Flags {
            compare,
            include_hidden: true,
            unrecorded_is_new: self.journal.is_settled(),
            ..Flags::default()
        }
    }

    /// Whether Mastodon has replaced the object since: it once was this very file.
    pub(crate) fn was_replaced_there(pair: &Pair) -> bool {
        let (Some(object), Some(known)) = (&pair.object, &pair.known) else {
            return false;
        };
        is_as_uploaded(pair) && known.etag() != object.etag
    }
}

/// The installation that `path` belongs to, where `guard` allows what is to be done; none where there
/// is no Mastodon.
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

/// The owner of the media for [`Sides`].
pub(crate) fn owner(installation: Option<&Installation>) -> Owner {
    installation.map_or(Owner::Disk, |installation| installation.owner.clone())
}

/// A client of this bucket with the key that is found.
pub(crate) fn client(args: &TargetArgs, target: Target, context: &Context) -> Result<Client> {
    let credentials = args.credentials(&context.file)?;
    let operation = format!("prepare requests to `{target}`");
    Client::new(target, &credentials).map_err(|e| e.into_error(operation))
}
