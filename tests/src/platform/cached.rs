//! The worker in platform mode with Varnish as the platform's cache.

use std::net::SocketAddr;

use anyhow::Result;
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::stack::free_addresses;
use testkit::tools::Tools;

use super::configuration::Configuration;
use super::varnish::Varnish;
use super::workerd::{Process, Worker, bundle, service, text};

/// The entries, each in a process of its own, and Varnish between them.
#[derive(Debug)]
pub struct Cached {
    /// Where the gateway answers.
    pub address: SocketAddr,
    // Before the folder, so that they have ended when that goes.
    gateway: Guarded,
    media: Guarded,
    _varnish: Varnish,
    _folder: ScratchDirectory,
}

impl Cached {
    /// Starts all three; the settings go over those of `wrangler.toml`. The worker must have been built.
    ///
    /// # Errors
    /// When one of them does not come up.
    pub fn start(settings: &[(&str, &str)]) -> Result<Self> {
        let tools = Tools::load()?;
        let folder = scratch_directory("cached")?;
        bundle(&tools, "cached.mjs", folder.path())?;
        let configuration = Configuration::load()?;
        let [gateway, media, varnish] = free_addresses()?;
        let mut all = vec![("CACHE_MODE", "platform")];
        all.extend(settings);
        let process = |address, entry| Process {
            workers: vec![Worker {
                name: "worker",
                modules: vec!["cached.mjs", "index_bg.wasm"],
                bindings: configuration
                    .variables(&all)
                    .iter()
                    .map(|(name, value)| text(name, value))
                    .chain([service("CACHE", "cache")])
                    .collect(),
                compatibility_date: configuration.compatibility_date.clone(),
                compatibility_flags: configuration.compatibility_flags.clone(),
            }],
            external: vec![("cache", varnish)],
            sockets: vec![(address, entry)],
        };
        let entry = "(name = \"worker\", entrypoint = \"Media\")".to_owned();
        let media_process = process(media, entry).start(&tools, folder.path(), "media")?;
        let cache = Varnish::start(varnish, media)?;
        let entry = "(name = \"worker\")".to_owned();
        let gateway_process = process(gateway, entry).start(&tools, folder.path(), "gateway")?;
        Ok(Self {
            address: gateway,
            gateway: gateway_process,
            media: media_process,
            _varnish: cache,
            _folder: folder,
        })
    }

    /// What both entries printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.gateway.log() + &self.media.log()
    }
}
