//! The runtime itself, `workerd`, with a configuration written for it, without `wrangler`.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result};
use testkit::process::{Guarded, run_logged};
use testkit::tools::Tools;

/// How long the runtime may take until it listens.
const START: Duration = Duration::from_secs(60);

/// A worker in the configuration: its modules' names in the folder, bindings and options.
#[derive(Debug, Default)]
pub struct Worker {
    /// The name of its service.
    pub name: &'static str,
    /// Modules; the first is the main one.
    pub modules: Vec<&'static str>,
    /// The bindings, each as Cap'n Proto has it.
    pub bindings: Vec<String>,
    /// The runtime's version of its interfaces.
    pub compatibility_date: String,
    /// Further changes of its interfaces.
    pub compatibility_flags: Vec<String>,
}

/// A configuration for one process.
#[derive(Debug, Default)]
pub struct Process {
    /// The workers.
    pub workers: Vec<Worker>,
    /// Services elsewhere: a name, and where each listens.
    pub external: Vec<(&'static str, SocketAddr)>,
    /// Where it listens, for which service, as Cap'n Proto has it.
    pub sockets: Vec<(SocketAddr, String)>,
}

/// A text as Cap'n Proto has it; it has no control characters.
#[must_use]
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A binding of a text.
#[must_use]
pub fn text(name: &str, value: &str) -> String {
    format!("(name = {}, text = {})", quoted(name), quoted(value))
}

/// A binding of a value.
#[must_use]
pub fn json(name: &str, value: &serde_json::Value) -> String {
    let value = quoted(&value.to_string());
    format!("(name = {}, json = {value})", quoted(name))
}

/// A binding of a service.
#[must_use]
pub fn service(name: &str, service: &str) -> String {
    format!("(name = {}, service = {})", quoted(name), quoted(service))
}

impl Process {
    /// Starts it in `folder`, which holds the modules, and waits until it listens.
    ///
    /// # Errors
    /// Fails, with the end of its log, when it does not come up.
    pub fn start(&self, tools: &Tools, folder: &Path, name: &str) -> Result<Guarded> {
        let configuration = folder.join(format!("{name}.capnp"));
        fs::write(&configuration, self.text())
            .with_context(|| format!("write `{}`", configuration.display()))?;
        let mut command = Command::new(&tools.workerd);
        command
            .args(["serve", "--experimental"])
            .arg(&configuration)
            .env("PATH", tools.path());
        let log = folder.join(format!("{name}.log"));
        let mut process = Guarded::spawn(&format!("workerd ({name})"), command, &log)?;
        for (address, _) in &self.sockets {
            process.wait_until(START, |_| TcpStream::connect(address).ok())?;
        }
        Ok(process)
    }

    fn text(&self) -> String {
        let mut services = String::new();
        let mut workers = String::new();
        for (place, worker) in self.workers.iter().enumerate() {
            let _ = writeln!(
                services,
                "  (name = {}, worker = .worker{place}),",
                quoted(worker.name)
            );
            let modules: Vec<_> = worker.modules.iter().map(|name| module(name)).collect();
            let flags: Vec<_> = worker
                .compatibility_flags
                .iter()
                .map(|flag| quoted(flag))
                .collect();
            let _ = writeln!(
                workers,
                "const worker{place} :Workerd.Worker = (\n  modules = [{}],\n  bindings = [\n    {}\n  ],\n  \
                 compatibilityDate = {},\n  compatibilityFlags = [{}],\n);",
                modules.join(", "),
                worker.bindings.join(",\n    "),
                quoted(&worker.compatibility_date),
                flags.join(", "),
            );
        }
        for (name, address) in &self.external {
            let _ = writeln!(
                services,
                "  (name = {}, external = (address = \"{address}\", http = (style = host))),",
                quoted(name)
            );
        }
        // The bucket is on the loopback, which the runtime's own choice of networks leaves out.
        let _ = writeln!(
            services,
            "  (name = \"internet\", network = (allow = [\"public\", \"private\", \"local\"])),"
        );
        let sockets: Vec<_> = self
            .sockets
            .iter()
            .enumerate()
            .map(|(place, (address, service))| {
                format!("(name = \"socket{place}\", address = \"{address}\", http = (), service = {service})")
            })
            .collect();
        format!(
            "using Workerd = import \"/workerd/workerd.capnp\";\n\
             const config :Workerd.Config = (\n services = [\n{services} ],\n sockets = [{}],\n);\n{workers}",
            sockets.join(", ")
        )
    }
}

fn module(name: &str) -> String {
    let kind = if name.ends_with(".wasm") {
        "wasm"
    } else {
        "esModule"
    };
    format!("(name = {0}, {kind} = embed {0})", quoted(name))
}

/// Makes one file of a module of `tests/platform` and what it imports, as `wrangler` does for a worker
/// that is deployed, and puts the built worker's WebAssembly beside it.
///
/// # Errors
/// When the worker has not been built, or the module does not resolve.
pub fn bundle(tools: &Tools, module: &str, folder: &Path) -> Result<()> {
    let mut command = Command::new(&tools.esbuild);
    command
        .arg(testkit::root().join("tests/platform").join(module))
        .args(["--bundle", "--format=esm", "--log-level=warning"])
        .args(["--external:cloudflare:*", "--external:*.wasm"])
        .arg(format!("--outfile={}", folder.join(module).display()))
        .env("PATH", tools.path());
    run_logged("`esbuild`", command, &folder.join("esbuild.log"))?;
    let wasm = testkit::root().join("worker/build/index_bg.wasm");
    fs::copy(&wasm, folder.join("index_bg.wasm"))
        .with_context(|| format!("copy `{}`", wasm.display()))?;
    Ok(())
}

/// Copies a module of `tests/platform` as it is.
///
/// # Errors
/// When it cannot be copied.
pub fn copy(module: &str, folder: &Path) -> Result<()> {
    let source = testkit::root().join("tests/platform").join(module);
    fs::copy(&source, folder.join(module))
        .with_context(|| format!("copy `{}`", source.display()))?;
    Ok(())
}
