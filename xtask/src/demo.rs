//! `cargo xtask demo`: the whole way of a media tree, from a directory through `medialift sync`, the
//! bucket and the edge back to a reader, every byte compared by `medialift verify`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use testkit::process::{ScratchDirectory, scratch_directory};
use testkit::setup::{Need, setup};
use testkit::stack::{Edge, EdgeOptions, Origin, OriginOptions, Profile};
use testkit::upload::{self, BUCKET};
use testkit::{build, progress, sample, verify};

/// Options of `cargo xtask demo`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DemoOptions {
    /// Upload this directory instead of the sample media tree
    #[arg(long, value_name = "DIR")]
    media: Option<PathBuf>,
    /// Leave the stack up afterwards, until Ctrl-C
    #[arg(long)]
    keep: bool,
    /// Print what `medialift sync` and `medialift verify` report as one JSON document on standard output
    #[arg(long)]
    json: bool,
}

/// Runs the demonstration; false where `medialift verify` found a fault.
///
/// # Errors
/// Fails when a part does not start or cannot be had.
pub(crate) fn run(options: &DemoOptions) -> Result<bool> {
    let start = Instant::now();
    // First, so that a mistyped name does not wait for the builds.
    let media = Media::choose(options.media.as_deref())?;
    let tools = setup(Need::WORKER)?;
    let size = build::worker(&tools)?;
    build::programs()?;

    eprintln!("demo: starting the bucket");
    let origin = Origin::start(OriginOptions::default())?;
    let directory = &media.directory;
    eprintln!(
        "demo: uploading `{}` with `medialift sync`",
        directory.display()
    );
    let upload = upload::sync(&origin, directory, Profile::Debug)?;
    ensure!(
        upload.put_requests > 0,
        "`{}` holds no file that can be uploaded",
        directory.display()
    );
    eprintln!(
        "demo: {} uploads counted by the bucket, in {}",
        upload.put_requests,
        progress::duration(upload.time)
    );
    eprintln!("demo: starting the edge worker ({size}) under `wrangler dev`");
    let bucket_url = origin.bucket_url(BUCKET);
    let mut edge_options = EdgeOptions::with_variables(&[
        ("ORIGIN_URL", &bucket_url),
        ("CACHE_MODE", "engine"),
        ("PURGE_SECRET", verify::PURGE_SECRET),
    ]);
    edge_options.on_disk = options.media.is_some();
    let edge = Edge::start_with(&tools, edge_options)?;
    eprintln!("demo: reading every file back through the edge with `medialift verify`\n");
    let passed = if options.json {
        let report = verify::json(&origin, &edge, directory)?;
        let passed = report["passed"] == true;
        let report = json!({
            "passed": passed,
            "seconds": start.elapsed().as_secs_f64(),
            "upload_requests": upload.put_requests,
            "sync": upload.summary,
            "verify": report,
        });
        let mut output = std::io::stdout().lock();
        serde_json::to_writer_pretty(&mut output, &report)?;
        writeln!(output)?;
        passed
    } else {
        let page = testkit::target_directory().join("demo.html");
        verify::text(&origin, &edge, directory, options.keep.then_some(&*page))?
    };
    if options.keep {
        eprintln!("\nThe stack stays up until Ctrl-C:");
        eprintln!("  the edge    {}", edge.url);
        eprintln!("  the bucket  {bucket_url}");
        eprintln!("  control     {}", origin.control_url);
        crate::dev::wait_for_interrupt();
    }
    drop(edge);
    drop(origin);
    eprintln!("\ndemo: took {}", progress::duration(start.elapsed()));
    Ok(passed)
}

/// The media tree to upload: the user's own, or a sample that goes away.
pub(crate) struct Media {
    pub(crate) directory: PathBuf,
    _scratch: Option<ScratchDirectory>,
}

impl Media {
    /// The directory `given` if there is one, else a new sample tree.
    pub(crate) fn choose(given: Option<&Path>) -> Result<Self> {
        if let Some(directory) = given {
            if !directory.is_dir() {
                bail!(
                    "`{}` is not a directory\n\nhint: `--media` takes a directory of media files",
                    directory.display()
                );
            }
            let directory = directory.canonicalize();
            return Ok(Self {
                directory: directory.context("cannot resolve the media directory")?,
                _scratch: None,
            });
        }
        let scratch = scratch_directory("media")?;
        let directory = scratch.path().join("system");
        let written = sample::create(&directory)?;
        eprintln!(
            "demo: made a sample tree of {} files, {} kB",
            written.files,
            written.bytes.div_ceil(1000)
        );
        Ok(Self {
            directory,
            _scratch: Some(scratch),
        })
    }
}
