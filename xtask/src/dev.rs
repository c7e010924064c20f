//! `cargo xtask dev`: the stack, kept up, with settings of one's own.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::demo::Media;
use testkit::build;
use testkit::setup::{Need, setup};
use testkit::stack::{Edge, EdgeOptions, Origin, OriginOptions, Profile};
use testkit::upload::{self, BUCKET};

/// Options of `cargo xtask dev`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DevOptions {
    /// A setting of the worker, such as `FRESH_SECONDS=10`; may be repeated. With `ORIGIN_URL`,
    /// `B2_BUCKET` or `B2_ENDPOINT` among them, no origin is started here
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = setting)]
    pub(crate) variables: Vec<(String, String)>,
    /// Upload this directory instead of the sample media tree
    #[arg(long, value_name = "DIR")]
    pub(crate) media: Option<PathBuf>,
    /// The port of the edge
    #[arg(long, default_value_t = 8787)]
    pub(crate) port: u16,
    /// Keep the edge's cache in this directory from one run to the next
    #[arg(long, value_name = "DIR")]
    pub(crate) persist: Option<PathBuf>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

/// Starts the stack and keeps it up until Ctrl-C.
///
/// # Errors
/// Fails when a part does not start.
pub(crate) fn run(options: DevOptions) -> Result<()> {
    let tools = setup(Need::WORKER)?;
    build::worker(&tools)?;
    let mut variables = options.variables;
    let set = |name: &str| variables.iter().any(|(known, _)| known == name);
    let own_origin = set("ORIGIN_URL") || set("B2_BUCKET") || set("B2_ENDPOINT");
    let origin = if own_origin {
        None
    } else {
        build::programs()?;
        let media = Media::choose(options.media.as_deref())?;
        let origin = Origin::start(OriginOptions::default())?;
        upload::sync(&origin, &media.directory, Profile::Debug)?;
        variables.push(("ORIGIN_URL".to_owned(), origin.bucket_url(BUCKET)));
        Some(origin)
    };
    let persist = options
        .persist
        .map(std::path::absolute)
        .transpose()
        .context("cannot resolve `--persist`")?;
    let edge = Edge::start_with(
        &tools,
        EdgeOptions {
            variables,
            persist,
            on_disk: true,
            port: Some(options.port),
            ..EdgeOptions::default()
        },
    )?;
    eprintln!(
        "dev: the edge is at {}, its log in `{}`",
        edge.url,
        edge.log_path().display()
    );
    if let Some(origin) = &origin {
        eprintln!(
            "dev: the bucket is at {}, control at {}",
            origin.bucket_url(BUCKET),
            origin.control_url
        );
    }
    eprintln!("dev: Ctrl-C ends it");
    wait_for_interrupt();
    Ok(())
}

/// Waits for ever; the handler of interrupts ends the process.
pub(crate) fn wait_for_interrupt() {
    loop {
        std::thread::park();
    }
}
