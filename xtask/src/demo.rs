//! `cargo xtask demo`: the whole way of a media tree, from a directory through `medialift sync`, the
//! origin and the edge back to a client, with every byte compared.

mod client;
mod readback;
mod report;
pub(crate) mod upload;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{ScratchDirectory, scratch_directory};
use crate::setup::{Need, setup};
use crate::stack::{Edge, Origin, OriginOptions, Profile};
use crate::tools::Tools;
use crate::{build, progress, sample};

/// The bucket that the demonstration fills.
pub(crate) const BUCKET: &str = "media";

/// What somebody asks of the demonstration.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoOptions {
    /// Upload this directory instead of the sample media tree
    #[arg(long, value_name = "DIR")]
    pub media: Option<PathBuf>,
    /// Leave the stack up afterwards, until Ctrl-C
    #[arg(long)]
    pub keep: bool,
    /// Print the result as JSON on standard output, and nothing else there
    #[arg(long)]
    pub json: bool,
}

/// Runs the demonstration; whether all was as it should be.
///
/// # Errors
/// Fails when a part does not start or cannot be had. What is merely wrong is shown and makes the
/// answer false.
pub fn run(options: &DemoOptions) -> Result<bool> {
    let start = Instant::now();
    // First, so that a mistyped name does not wait for the builds.
    let media = Media::choose(options.media.as_deref())?;
    let tools = setup(Need::WORKER)?;
    let size = build::worker(&tools)?;
    build::programs()?;
    let prepared = start.elapsed();

    eprintln!("demo: starting the origin");
    let origin = Origin::start(OriginOptions::default())?;
    eprintln!(
        "demo: uploading `{}` with `medialift sync`",
        media.directory().display()
    );
    let upload = upload::sync(&origin, &media.directory(), Profile::Debug)?;
    let edge = start_edge(&tools, &origin)?;

    let tree = readback::expectations(&media.directory())?;
    let client = client::look(&tree.files, &origin, &edge)?;
    eprintln!("demo: reading every object back through the edge, twice");
    let readback = readback::read_all(tree, &media.directory(), &origin, &edge);

    let result = report::Report::new(start.elapsed(), prepared, size, upload, &readback, client);
    if options.json {
        report::print_json(&result)?;
    } else {
        report::print_text(&result)?;
    }
    if options.keep {
        eprintln!("\nThe stack stays up until Ctrl-C:");
        eprintln!("  the edge    {}", edge.url);
        if let Some(path) = &result.example {
            eprintln!("  a file      {}{path}", edge.url);
        }
        eprintln!("  the bucket  {}", origin.bucket_url(BUCKET));
        eprintln!("  control     {}", origin.control_url);
        crate::dev::wait_for_interrupt();
    }
    drop(edge);
    drop(origin);
    eprintln!("\ndemo: took {}", progress::duration(start.elapsed()));
    Ok(result.problems.is_empty())
}

/// Starts the edge in front of the bucket of `origin`.
fn start_edge(tools: &Tools, origin: &Origin) -> Result<Edge> {
    eprintln!("demo: starting the edge worker under `wrangler dev`");
    let url = origin.bucket_url(BUCKET);
    Edge::start(tools, &[("ORIGIN_URL", &url), ("CACHE_MODE", "engine")])
}

/// The media tree to upload.
pub(crate) enum Media {
    /// Somebody's own.
    Theirs(PathBuf),
    /// A sample tree, which goes away.
    Sample(ScratchDirectory),
}

impl Media {
    /// The directory `theirs` if there is one, else a new sample tree.
    pub(crate) fn choose(theirs: Option<&Path>) -> Result<Self> {
        if let Some(directory) = theirs {
            if !directory.is_dir() {
                bail!(
                    "`{}` is not a directory\n\nhint: `--media` takes a directory of media files",
                    directory.display()
                );
            }
            return Ok(Self::Theirs(
                directory
                    .canonicalize()
                    .context("cannot resolve the media directory")?,
            ));
        }
        let scratch = scratch_directory("media")?;
        let written = sample::create(&scratch.path().join("system"))?;
        eprintln!(
            "demo: made a sample tree of {} files, {} kB",
            written.files,
            written.bytes.div_ceil(1000)
        );
        Ok(Self::Sample(scratch))
    }

    /// Where it is.
    pub(crate) fn directory(&self) -> PathBuf {
        match self {
            Self::Theirs(directory) => directory.clone(),
            Self::Sample(scratch) => scratch.path().join("system"),
        }
    }
}
