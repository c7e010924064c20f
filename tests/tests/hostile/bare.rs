//! The runtime with a worker of one line: its own answers to requests that reach no worker.

use std::fs;
use std::net::SocketAddr;

use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::stack::free_address;
use testkit::tools::Tools;

const WORKER: &str = "export default { fetch() { return new Response(\"reached\"); } };\n";
const SETTINGS: &str =
    "name = \"bare\"\nmain = \"worker.mjs\"\ncompatibility_date = \"2026-11-01\"\n";

/// `wrangler dev` around a worker of one line.
pub(crate) struct BareRuntime {
    _child: Guarded,
    pub(crate) address: SocketAddr,
    _scratch: ScratchDirectory,
}

impl BareRuntime {
    pub(crate) fn start(tools: &Tools) -> Self {
        let scratch = scratch_directory("bare").unwrap();
        let inside = |name: &str| scratch.path().join(name);
        fs::write(inside("worker.mjs"), WORKER).unwrap();
        fs::write(inside("wrangler.toml"), SETTINGS).unwrap();
        let inspector = free_address().unwrap().port();
        let mut command = tools.wrangler();
        command
            .args(["dev", "--local", "--ip", "127.0.0.1", "--port", "0"])
            .args(["--inspector-port", &inspector.to_string()])
            .args(["--show-interactive-dev-session=false", "--config"])
            .arg(inside("wrangler.toml"))
            .arg("--persist-to")
            .arg(inside("state"))
            .env("WRANGLER_WRITE_LOGS", "false")
            .env("WRANGLER_LOG_PATH", inside("logs"))
            .env("WRANGLER_REGISTRY_PATH", inside("registry"))
            .env("WRANGLER_CACHE_DIR", inside("cache"))
            .env("XDG_CONFIG_HOME", inside("config"))
            .env("CI", "true")
            .env("NO_COLOR", "1")
            .env_remove("FORCE_COLOR");
        let log = inside("wrangler.log");
        let (child, address) = Guarded::server("the bare runtime", command, &log, |log| {
            let (_, rest) = log.split_once("Ready on http://")?;
            let address = rest.split_whitespace().next()?;
            address.trim_end_matches('/').parse().ok()
        })
        .unwrap();
        Self {
            _child: child,
            address,
            _scratch: scratch,
        }
    }
}
