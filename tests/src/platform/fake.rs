//! The faithful imitation: `ctx.cache`, the limit on purges and the queue in one process, the worker in
//! two others, one for readers and one for the queue's batches, which can be killed.

use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::json;
use testkit::process::{Guarded, ScratchDirectory, scratch_directory, tail};
use testkit::stack::free_addresses;
use testkit::tools::Tools;

use super::configuration::Configuration;
use super::workerd::{Process, Worker, bundle, copy, json, service, text};
use crate::client::Client;

/// How many lines of each log a message shows.
const LINES: usize = 30;

/// What happened so far.
#[derive(Debug, Deserialize)]
pub struct State {
    /// What the cache stored.
    pub fills: Vec<Fill>,
    /// Calls for a purge.
    pub purges: Vec<Purge>,
    /// Batches handed to the worker.
    pub deliveries: Vec<Delivery>,
    /// Messages in the dead-letter queue.
    pub dead: Vec<Dead>,
    /// How many messages wait in a queue.
    pub waiting: usize,
}

/// One answer that the cache stored.
#[derive(Debug, Deserialize)]
pub struct Fill {
    /// Under which key.
    pub key: String,
    /// In front of which entry.
    pub entry: String,
    /// With which tags.
    pub tags: Vec<String>,
    /// By which rule.
    pub rule: String,
}

/// One call of `ctx.cache.purge`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purge {
    /// When, in the platform's milliseconds.
    pub at: f64,
    /// By which entry.
    pub entry: String,
    /// The tags.
    pub tags: Vec<String>,
    /// Whether everything was to go.
    pub purge_everything: bool,
    /// Why it was refused, if it was.
    pub refusal: Option<serde_json::Value>,
}

/// One batch.
#[derive(Debug, Deserialize)]
pub struct Delivery {
    /// How many messages.
    pub messages: usize,
    /// Which attempt it was for the first of them, from 1.
    pub attempts: usize,
    /// How the worker's handler ended.
    pub outcome: String,
    /// How many calls for a purge were made meanwhile.
    pub calls: usize,
    /// How many messages are done.
    pub acknowledged: usize,
}

/// A message that was given up.
#[derive(Debug, Deserialize)]
pub struct Dead {
    /// The queue that it went to.
    pub queue: String,
    /// What it says.
    pub body: String,
    /// How often it was tried.
    pub attempts: usize,
}

/// A running imitation.
#[derive(Debug)]
pub struct Fake {
    /// Asks the gateway.
    pub reader: Client,
    platform: Client,
    consumer: Process,
    // Before the folder, so that they have ended when that goes.
    running_consumer: Option<Guarded>,
    _gateway: Guarded,
    platform_process: Guarded,
    pump: Option<JoinHandle<()>>,
    tools: Tools,
    folder: ScratchDirectory,
}

impl Fake {
    /// Starts all; the settings go over those of `wrangler.toml`. Time passes `speed` times as fast for
    /// the worker and for the platform.
    ///
    /// # Errors
    /// When a process does not come up.
    pub fn start(settings: &[(&str, &str)], speed: u32) -> Result<Self> {
        let tools = Tools::load()?;
        let folder = scratch_directory("fake")?;
        bundle(&tools, "fake.mjs", folder.path())?;
        copy("platform.mjs", folder.path())?;
        copy("dispatch.mjs", folder.path())?;
        let configuration = Configuration::load()?;
        let (producer, consumer) = configuration.queue()?;
        let concurrency = consumer.get("max_concurrency");
        ensure!(
            concurrency.and_then(toml::Value::as_integer) == Some(1),
            "the imitation hands over one batch at a time, not {concurrency:?}"
        );
        let [gateway, dispatch, platform] = free_addresses()?;
        let clock = [
            text("SPEED", &speed.to_string()),
            text("BEGAN", &now_in_milliseconds()?.to_string()),
        ];
        let platform_process = Process {
            workers: vec![Worker {
                name: "platform",
                modules: vec!["platform.mjs"],
                bindings: [
                    text("QUEUE", &producer.queue),
                    json("QUEUE_CONSUMER", &serde_json::to_value(consumer)?),
                    service("CONSUMER", "consumer"),
                ]
                .into_iter()
                .chain(clock.clone())
                .collect(),
                compatibility_date: configuration.compatibility_date.clone(),
                ..Worker::default()
            }],
            external: vec![("consumer", dispatch)],
            sockets: vec![(platform, "\"platform\"".to_owned())],
        };
        let mut all = vec![("CACHE_MODE", "platform")];
        all.extend(settings);
        let worker = || -> Result<Worker> {
            let queue = super::workerd::quoted(&producer.binding);
            Ok(Worker {
                name: "worker",
                modules: vec!["fake.mjs", "index_bg.wasm"],
                bindings: configuration
                    .variables(&all)
                    .iter()
                    .map(|(name, value)| text(name, value))
                    .chain(clock.clone())
                    .chain([
                        format!("(name = {queue}, queue = \"platform\")"),
                        service("PLATFORM", "platform"),
                        json("EXPORTS", &serde_json::to_value(&configuration.exports)?),
                    ])
                    .collect(),
                compatibility_date: configuration.compatibility_date.clone(),
                compatibility_flags: configuration.compatibility_flags.clone(),
            })
        };
        let gateway_process = Process {
            workers: vec![worker()?],
            external: vec![("platform", platform)],
            sockets: vec![(gateway, "\"worker\"".to_owned())],
        };
        let consumer = Process {
            workers: vec![
                worker()?,
                Worker {
                    name: "dispatch",
                    modules: vec!["dispatch.mjs"],
                    bindings: vec![service("WORKER", "worker")],
                    compatibility_date: configuration.compatibility_date.clone(),
                    compatibility_flags: vec!["service_binding_extra_handlers".to_owned()],
                },
            ],
            external: vec![("platform", platform)],
            sockets: vec![(dispatch, "\"dispatch\"".to_owned())],
        };
        let platform_process = platform_process.start(&tools, folder.path(), "platform")?;
        let gateway_process = gateway_process.start(&tools, folder.path(), "gateway")?;
        let running_consumer = consumer.start(&tools, folder.path(), "consumer")?;
        Ok(Self {
            reader: client(gateway),
            platform: client(platform),
            consumer,
            running_consumer: Some(running_consumer),
            _gateway: gateway_process,
            platform_process,
            pump: Some(pump(platform)),
            tools,
            folder,
        })
    }

    /// What happened so far.
    ///
    /// # Errors
    /// When the platform does not answer.
    pub fn state(&self) -> Result<State> {
        let answer = self.platform.send("GET", "/state", &[], &[])?;
        serde_json::from_slice(&answer.body).context("the state of the imitated platform")
    }

    /// Whether the platform refuses each purge from now on.
    ///
    /// # Errors
    /// When the platform does not answer.
    pub fn refuse_purges(&self, refuse: bool) -> Result<()> {
        let body = json!(refuse).to_string();
        self.platform
            .send("POST", "/refuse", &[], body.as_bytes())?;
        Ok(())
    }

    /// Waits until what happened satisfies `done`.
    ///
    /// # Errors
    /// When it does not in time.
    pub fn wait_until(&self, limit: Duration, done: impl Fn(&State) -> bool) -> Result<State> {
        let start = Instant::now();
        loop {
            let state = self.state()?;
            if done(&state) {
                return Ok(state);
            }
            if start.elapsed() > limit {
                bail!(
                    "it did not happen within {limit:?}: {} calls, {} messages wait, {} dead, deliveries {:?}\n{}",
                    state.purges.len(),
                    state.waiting,
                    state.dead.len(),
                    state.deliveries,
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the process that takes the queue's batches without a warning (SIGKILL), and starts it anew.
    ///
    /// # Errors
    /// When it does not come up again.
    pub fn kill_consumer(&mut self) -> Result<()> {
        if let Some(mut process) = self.running_consumer.take() {
            let group = Pid::from_raw(i32::try_from(process.id())?).context("no process")?;
            kill_process_group(group, Signal::KILL)?;
            process.wait()?;
        }
        let process = self
            .consumer
            .start(&self.tools, self.folder.path(), "consumer")?;
        self.running_consumer = Some(process);
        Ok(())
    }

    /// The last lines that the worker and the platform printed.
    #[must_use]
    pub fn log(&self) -> String {
        ["gateway", "consumer", "platform"]
            .map(|name| tail(&self.folder.path().join(format!("{name}.log")), LINES))
            .concat()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.platform_process.end();
        if let Some(pump) = self.pump.take() {
            // It ends with the platform's process.
            let _ = pump.join();
        }
    }
}

fn client(address: SocketAddr) -> Client {
    Client::anonymous(&format!("http://{address}"))
}

/// Keeps the request open by which the platform delivers its queue's batches.
fn pump(platform: SocketAddr) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let agent = ureq::Agent::config_builder().proxy(None).build();
        let agent = ureq::Agent::from(agent);
        // It ends with the platform's process, and with no answer.
        let _ = agent.get(&format!("http://{platform}/run")).call();
    })
}

fn now_in_milliseconds() -> Result<u128> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(now.as_millis())
}
