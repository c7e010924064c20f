//! `provision`: creates the bucket and an application key that is restricted to it.
//!
//! Both are looked up by name first, so that a second run changes nothing. The master key is used for
//! these calls and is not stored.

mod key_file;
mod report;
mod rules;

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use self::key_file::KeyFile;
use self::report::{BucketReport, KeyReport, ProvisionReport, ResourceChange, advise, text};
use self::rules::{HIDDEN_DAYS, cors, has_lifecycle, lifecycle};
use crate::b2::{self, Bucket, BucketName, CAPABILITIES, CallError, CorsRule, Key, Session};
use crate::config::{KEY, KEY_ID, Visibility, find_credentials};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

const EXAMPLE: &str = "\
Examples:
  # Show what would be created
  medialift provision --bucket example-social-media --private --dry-run

  # Create the bucket and its key, and write the key to a file that only you can read
  medialift provision --bucket example-social-media --private --key-file b2.key

The account's master key, or another key that can create buckets and keys, is read from
B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY, or from a prompt. It is used once and is not stored.";

/// Flags of `provision`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE, group = ArgGroup::new("visibility").args(["public", "private"]))]
pub struct ProvisionArgs {
    /// Name of the bucket to create or find: 6 to 63 lower-case letters, digits and `-`
    #[arg(long, value_name = "NAME", env = "B2_BUCKET")]
    pub(crate) bucket: Option<String>,
    /// Anybody who knows the address of an object can read it, account archives included
    #[arg(long)]
    public: bool,
    /// Only the worker and Mastodon read it, each with a key (recommended)
    #[arg(long)]
    private: bool,
    /// Name of the key [default: the bucket's name and `-mastodon`]
    #[arg(long, value_name = "NAME")]
    key_name: Option<String>,
    /// Write the new key to this file (mode 0600) instead of printing it
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Create a key even if there is one of this name, e.g. because the key was lost
    #[arg(long)]
    another_key: bool,
    /// Add missing rules to an existing bucket
    #[arg(long)]
    update: bool,
    /// Show what would be created, and create nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
}

/// Runs `provision`.
pub async fn run(args: ProvisionArgs, context: &Context) -> Result<Exit> {
    let wanted = Wanted::from(&args, context)?;
    let realm = b2::realm(&context.file)?;
    if std::env::var_os(KEY_ID).is_none() && context.ui.interactive {
        context
            .ui
            .say("this needs the account's master key, for this command only; it is not stored");
    }
    let master = find_credentials(None, None)?;
    let session = Session::open(&realm, &master)
        .await
        .map_err(|error| failed(format!("authorize at `{realm}`"), error))?;
    check_capabilities(&session)?;

    let found = session
        .bucket(wanted.name.as_str())
        .await
        .map_err(|error| {
            failed(
                format!("look up the bucket `{}`", wanted.name.as_str()),
                error,
            )
        })?;
    let mut warnings = Vec::new();
    let (bucket, bucket_change) = bucket(&session, &wanted, found, &mut warnings).await?;
    let key = key(&session, &wanted, bucket.as_ref(), &mut warnings).await?;

    let report = ProvisionReport {
        bucket: BucketReport {
            name: wanted.name.as_str().to_owned(),
            visibility: bucket
                .as_ref()
                .and_then(Bucket::visibility)
                .or(wanted.visibility)
                .map_or_else(|| "unknown".to_owned(), |v| v.to_string()),
            change: bucket_change,
        },
        key,
        endpoint: session.s3_endpoint.authority().to_owned(),
        region: session.s3_endpoint.region().map(str::to_owned),
        warnings,
    };
    context.ui.data(&report, text(&report));
    advise(&report, context);
    Ok(Exit::Done)
}

struct Wanted {
    name: BucketName,
    visibility: Option<Visibility>,
    key_name: String,
    key_file: Option<PathBuf>,
    another_key: bool,
    update: bool,
    dry_run: bool,
}

impl Wanted {
    fn from(args: &ProvisionArgs, context: &Context) -> Result<Wanted> {
        let name = args
            .bucket
            .clone()
            .or_else(|| context.file.bucket.clone())
            .filter(|name| !name.is_empty())
            .ok_or_else(|| {
                Error::usage("create a bucket")
                    .cause("no bucket is named")
                    .hint("give `--bucket`: names are unique among all accounts, so use your domain, such as `example-social-media`")
            })?;
        let parsed = BucketName::parse(&name).map_err(|fault| {
            Error::usage(format!("use the bucket name `{name}`"))
                .cause(fault)
                .hint("choose another name with `--bucket`")
        })?;
        let key_name = args
            .key_name
            .clone()
            .unwrap_or_else(|| format!("{name}-mastodon"));
        let fits = (1..=100).contains(&key_name.len())
            && key_name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !fits {
            return Err(Error::usage(format!("use the key name `{key_name}`"))
                .cause("a key's name has 1 to 100 letters, digits and `-`")
                .hint("choose another with `--key-name`"));
        }
        let visibility = match (args.public, args.private) {
            (true, _) => Some(Visibility::Public),
            (_, true) => Some(Visibility::Private),
            _ => context.file.visibility,
        };
        Ok(Wanted {
            name: parsed,
            visibility,
            key_name,
            key_file: args.key_file.clone(),
            another_key: args.another_key,
            update: args.update,
            dry_run: args.dry_run,
        })
    }
}

fn failed(operation: impl Into<String>, error: CallError) -> Error {
    let hint = match error.code() {
        Some("duplicate_bucket_name") => "the name belongs to another account: bucket names are unique among all accounts; choose another with `--bucket`".to_owned(),
        _ => error.hint(),
    };
    Error::new(operation).cause(error).hint(hint)
}

/// Checked before anything is created, so that no bucket is created without its key.
fn check_capabilities(session: &Session) -> Result<()> {
    let needed = ["listBuckets", "writeBuckets", "listKeys", "writeKeys"];
    let missing: Vec<&str> = needed
        .into_iter()
        .filter(|c| !session.allowed.capabilities.iter().any(|has| has == c))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(format!("use the key `{}` to create buckets and keys", session.key_id))
        .cause(format!("it lacks {}", missing.join(", ")))
        .hint(format!("put the account's master key into `{KEY_ID}` and `{KEY}` for this command only; nothing was created")))
}

async fn bucket(
    session: &Session,
    wanted: &Wanted,
    found: Option<Bucket>,
    warnings: &mut Vec<String>,
) -> Result<(Option<Bucket>, ResourceChange)> {
    let name = wanted.name.as_str();
    let Some(bucket) = found else {
        let visibility = wanted.visibility.ok_or_else(|| {
            Error::usage(format!("create the bucket `{name}`"))
                .cause("neither `--private` nor `--public` is given")
                .hint("add `--private` (only the worker and Mastodon can read it, with a key) or `--public`")
        })?;
        if wanted.dry_run {
            return Ok((None, ResourceChange::WouldCreate));
        }
        let cors: &[CorsRule] = match visibility {
            Visibility::Public => &[cors()],
            Visibility::Private => &[],
        };
        let created = session
            .create_bucket(&wanted.name, visibility, &[lifecycle()], cors)
            .await
            .map_err(|error| failed(format!("create the bucket `{name}`"), error))?;
        return Ok((Some(created), ResourceChange::Created));
    };

    let visibility = bucket.visibility();
    if let (Some(expected), true) = (wanted.visibility, visibility != wanted.visibility) {
        return Err(Error::new(format!("use the bucket `{name}`"))
            .cause(format!("it is {}, and should be {expected}", visibility.map_or("of another type".to_owned(), |v| v.to_string())))
            .hint(format!("the visibility of an existing bucket is not changed: leave `--{expected}` out, or change the bucket in Backblaze's console first; nothing was created"))
            .exit(Exit::Problem));
    }
    if !bucket.has_s3() {
        return Err(Error::new(format!("use the bucket `{name}`"))
            .cause("it was created before 4 May 2020 and is not available at the S3 endpoint")
            .hint("choose a new name with `--bucket`; nothing was created")
            .exit(Exit::Problem));
    }
    let lacks_lifecycle = !has_lifecycle(&bucket);
    let lacks_cors = visibility == Some(Visibility::Public) && bucket.cors_rules.is_empty();
    if !lacks_lifecycle && !lacks_cors {
        return Ok((Some(bucket), ResourceChange::Unchanged));
    }
    if !wanted.update {
        if lacks_lifecycle {
            warnings.push(format!("replaced and deleted files stay in the bucket, hidden and billed: `--update` adds the rule that removes them after {HIDDEN_DAYS} days"));
        }
        if lacks_cors {
            warnings.push("scripts of other sites cannot read the bucket directly, only through the worker: `--update` adds the CORS rule".to_owned());
        }
        return Ok((Some(bucket), ResourceChange::Unchanged));
    }
    if wanted.dry_run {
        return Ok((Some(bucket), ResourceChange::WouldUpdate));
    }
    let mut rules = bucket.lifecycle_rules.clone();
    let mut cors_rules = bucket.cors_rules.clone();
    if lacks_lifecycle {
        rules.retain(|rule| !rule.file_name_prefix.is_empty());
        rules.push(lifecycle());
    }
    if lacks_cors {
        cors_rules.push(cors());
    }
    let updated = session
        .update_bucket(&bucket, &rules, &cors_rules)
        .await
        .map_err(|error| failed(format!("update the bucket `{name}`"), error))?;
    Ok((Some(updated), ResourceChange::Updated))
}

async fn key(
    session: &Session,
    wanted: &Wanted,
    bucket: Option<&Bucket>,
    warnings: &mut Vec<String>,
) -> Result<KeyReport> {
    let name = &wanted.key_name;
    let mut report = KeyReport {
        name: name.clone(),
        id: None,
        key: None,
        file: None,
        change: ResourceChange::WouldCreate,
    };
    let Some(bucket) = bucket else {
        // Only a dry run has no bucket at this point.
        return Ok(report);
    };
    let existing: Vec<Key> = session
        .keys()
        .await
        .map_err(|error| failed("list the account's keys", error))?
        .into_iter()
        .filter(|key| &key.key_name == name)
        .collect();
    let usable = existing
        .iter()
        .find(|key| key.bucket_ids.as_deref() == Some(std::slice::from_ref(&bucket.bucket_id)));
    if let Some(key) = usable.filter(|_| !wanted.another_key) {
        report.id = Some(key.application_key_id.clone());
        report.change = ResourceChange::Unchanged;
        report.file = file_with_key(wanted, &key.application_key_id, warnings);
        let missing: Vec<&str> = CAPABILITIES
            .into_iter()
            .filter(|c| !key.capabilities.iter().any(|has| has == c))
            .collect();
        if !missing.is_empty() {
            warnings.push(format!(
                "the key `{name}` lacks {}: `--another-key` creates one that has them",
                missing.join(", ")
            ));
        }
        return Ok(report);
    }
    if !existing.is_empty() && !wanted.another_key {
        return Err(Error::new(format!("create the key `{name}`"))
            .cause("there is a key of this name that is not restricted to this bucket")
            .hint("choose another name with `--key-name`")
            .exit(Exit::Problem));
    }
    if wanted.dry_run {
        return Ok(report);
    }
    // The file is created first: a key that cannot be written is lost.
    let file = wanted
        .key_file
        .as_deref()
        .map(KeyFile::create)
        .transpose()?;
    let created = match session.create_key(name, bucket).await {
        Ok(created) => created,
        Err(error) => {
            if let Some(file) = file {
                file.discard();
            }
            return Err(failed(format!("create the key `{name}`"), error));
        }
    };
    report.change = ResourceChange::Created;
    report.id = Some(created.application_key_id.clone());
    match file {
        Some(file) => {
            report.file = wanted.key_file.clone();
            file.write(&created)?;
        }
        None => report.key = Some(created.application_key.expose().to_owned()),
    }
    Ok(report)
}

/// The key file, if it contains this key; otherwise adds a warning that the key cannot be read again.
fn file_with_key(wanted: &Wanted, key_id: &str, warnings: &mut Vec<String>) -> Option<PathBuf> {
    let path = wanted.key_file.as_deref();
    if path.is_some_and(|path| key_file::contains_key(path, key_id)) {
        return wanted.key_file.clone();
    }
    warnings.push(format!("the key `{key_id}` was shown only when it was created: if it is lost, `--another-key` creates another one"));
    None
}
