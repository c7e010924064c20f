//! Headless Chromium over its own debugging protocol: open a page, wait for what its script says,
//! look at the console, take a picture.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use testkit::process::{Guarded, ScratchDirectory, scratch_directory};
use testkit::setup::{self, Need};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// Without these Chromium looks for its maker's servers at every start.
const FLAGS: [&str; 13] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--mute-audio",
    "--remote-debugging-port=0",
];

/// How long a page may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running browser. Dropping it ends it.
#[derive(Debug)]
pub struct Browser {
    // First, so that it has ended when its profile is removed.
    _child: Guarded,
    address: String,
    _scratch: ScratchDirectory,
}

/// The size of a window, in CSS pixels.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Behaves as a telephone does.
    pub mobile: bool,
}

/// A telephone.
pub const PHONE: Window = Window {
    width: 390,
    height: 844,
    mobile: true,
};
/// A screen on a desk.
pub const DESKTOP: Window = Window {
    width: 1280,
    height: 800,
    mobile: false,
};

impl Browser {
    /// Starts Chromium with an empty profile.
    ///
    /// # Errors
    /// Fails when there is none or it does not come up.
    pub fn start() -> Result<Self> {
        let scratch = scratch_directory("chromium")?;
        let mut command = Command::new(setup::place(Need::Browser)?);
        command.args(FLAGS).arg(format!(
            "--user-data-dir={}",
            scratch.path().join("profile").display()
        ));
        command.arg("about:blank");
        let log = scratch.path().join("chromium.log");
        let (child, address) = Guarded::server("chromium", command, &log, |log| {
            let (_, rest) = log.split_once("DevTools listening on ws://")?;
            let (address, _) = rest.split_once('/')?;
            Some(address.to_owned())
        })?;
        Ok(Browser {
            _child: child,
            address,
            _scratch: scratch,
        })
    }

    /// Opens an empty page in a window of that size.
    ///
    /// # Errors
    /// Fails when the browser does not answer.
    pub fn page(&self, window: Window) -> Result<Page> {
        let target: Value = serde_json::from_str(
            &ureq::put(format!("http://{}/json/new?about:blank", self.address))
                .send_empty()
                .context("open a page in chromium")?
                .body_mut()
                .read_to_string()?,
        )?;
        let url = target["webSocketDebuggerUrl"]
            .as_str()
            .context("the address of a new page")?;
        let (socket, _) = tungstenite::connect(url).context("talk to a page of chromium")?;
        if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
            stream.set_read_timeout(Some(PATIENCE))?;
        }
        let mut page = Page {
            socket,
            last: 0,
            complaints: Vec::new(),
        };
        for domain in ["Page.enable", "Runtime.enable", "Log.enable"] {
            page.call(domain, json!({}))?;
        }
        page.call(
            "Emulation.setDeviceMetricsOverride",
            json!({
                "width": window.width,
                "height": window.height,
                "deviceScaleFactor": 1,
                "mobile": window.mobile,
            }),
        )?;
        Ok(page)
    }
}

/// One page.
#[derive(Debug)]
pub struct Page {
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    last: u64,
    complaints: Vec<String>,
}

impl Page {
    /// Goes to `url` and waits until the script says that `expression` is true.
    ///
    /// # Errors
    /// Fails when the page cannot be loaded or the expression never becomes true.
    pub fn open(&mut self, url: &str, expression: &str) -> Result<()> {
        let answer = self.call("Page.navigate", json!({ "url": url }))?;
        if let Some(error) = answer["errorText"].as_str() {
            bail!("chromium cannot open `{url}`: {error}");
        }
        let start = Instant::now();
        while self.evaluate(expression)? != json!(true) {
            if start.elapsed() > PATIENCE {
                bail!(
                    "`{expression}` never became true on `{url}`: {:?}",
                    self.complaints
                );
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// The value of a script's expression.
    ///
    /// # Errors
    /// Fails when the browser does not answer.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", parameters)?;
        Ok(answer["result"]["value"].take())
    }

    /// Errors and warnings that the console has shown so far.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    /// Writes a picture of the whole page, past what the window shows.
    ///
    /// # Errors
    /// Fails when the browser does not answer or the file cannot be written.
    pub fn screenshot(&mut self, file: &Path) -> Result<()> {
        self.capture(file, true)
    }

    /// Writes a picture of what the window shows.
    ///
    /// # Errors
    /// As [`Self::screenshot`].
    pub fn screenshot_of_window(&mut self, file: &Path) -> Result<()> {
        self.capture(file, false)
    }

    fn capture(&mut self, file: &Path, whole: bool) -> Result<()> {
        let parameters = json!({ "format": "png", "captureBeyondViewport": whole });
        let answer = self.call("Page.captureScreenshot", parameters)?;
        let data = answer["data"].as_str().context("a picture")?;
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(file, BASE64.decode(data)?)?;
        Ok(())
    }

    fn call(&mut self, method: &str, parameters: Value) -> Result<Value> {
        self.last += 1;
        let id = self.last;
        let request = json!({ "id": id, "method": method, "params": parameters });
        self.socket.send(Message::text(request.to_string()))?;
        loop {
            let Message::Text(text) = self.socket.read()? else {
                continue;
            };
            let mut message: Value = serde_json::from_str(&text)?;
            if message["id"] == json!(id) {
                if !message["error"].is_null() {
                    bail!("chromium refused `{method}`: {}", message["error"]);
                }
                return Ok(message["result"].take());
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        let complaint = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => Some(parameters["exceptionDetails"].to_string()),
            Some("Runtime.consoleAPICalled")
                if matches!(
                    parameters["type"].as_str(),
                    Some("error" | "warning" | "assert")
                ) =>
            {
                Some(parameters["args"].to_string())
            }
            Some("Log.entryAdded")
                if matches!(
                    parameters["entry"]["level"].as_str(),
                    Some("error" | "warning")
                ) =>
            {
                Some(parameters["entry"]["text"].to_string())
            }
            _ => None,
        };
        self.complaints.extend(complaint);
    }
}
