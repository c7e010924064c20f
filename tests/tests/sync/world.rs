//! A media directory, an S3 server, and the real binary between them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use e2e::client::{Answer, Client};
use e2e::medialift::{self, Ran};
use e2e::seaweed::Seaweed;
use serde_json::Value;
use testkit::stack::{Origin, OriginOptions, Requests};

/// The S3 server.
pub(crate) enum Server {
    Origin(Origin),
    Seaweed(Seaweed),
}

/// The servers on which every sync must work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Origin,
    Seaweed,
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(kind: Kind) -> World {
        let server = match kind {
            Kind::Origin => {
                Server::Origin(Origin::start(OriginOptions::default()).expect("the origin starts"))
            }
            Kind::Seaweed => Server::Seaweed(Seaweed::start().expect("SeaweedFS starts")),
        };
        World {
            server,
            directory: tempfile::tempdir().expect("a directory"),
        }
    }

    /// The B2-like origin with an empty media directory.
    pub(crate) fn origin() -> World {
        World::new(Kind::Origin)
    }

    pub(crate) fn media(&self) -> PathBuf {
        self.directory.path().join("system")
    }

    /// Writes one file of the media directory.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.media().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    /// Writes `count` files of 0 to `most` bytes, spread over directories; the same ones for the
    /// same numbers.
    pub(crate) fn fill(&self, count: u64, most: usize) {
        let mut random = fastrand::Rng::with_seed(count);
        for number in 0..count {
            let length = random.usize(..=most);
            let content: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let path = format!(
                "accounts/{:03}/{:02}/{number}.png",
                number % 37,
                number % 11
            );
            self.write(&path, content);
        }
    }

    fn access(&self) -> (&str, &str, &str, &str) {
        match &self.server {
            Server::Origin(origin) => (
                &origin.s3_url,
                OriginOptions::KEY_ID,
                OriginOptions::KEY,
                "media",
            ),
            Server::Seaweed(seaweed) => {
                (&seaweed.url, &seaweed.key_id, &seaweed.key, &seaweed.bucket)
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        let (url, id, key, _) = self.access();
        Client::signing(url, id, key)
    }

    /// What the bucket has under `key`.
    pub(crate) fn object(&self, key: &str) -> Answer {
        let (_, _, _, bucket) = self.access();
        self.client().get(bucket, key).expect("an answer")
    }

    /// The control side of the origin.
    pub(crate) fn control(&self) -> &Origin {
        match &self.server {
            Server::Origin(origin) => origin,
            Server::Seaweed(_) => panic!("SeaweedFS has no control endpoint"),
        }
    }

    pub(crate) fn requests(&self) -> Requests {
        self.control().requests().expect("the origin counts")
    }

    /// Waits until the origin has dealt with all that was sent to it, also with what it has not begun
    /// to read yet.
    #[track_caller]
    pub(crate) fn wait_until_quiet(&self) {
        let (mut before, mut quiet) = (u64::MAX, 0);
        for _ in 0..500 {
            let requests = self.requests();
            quiet = if requests.under_way == 0 && requests.total == before {
                quiet + 1
            } else {
                0
            };
            before = requests.total;
            if quiet == 3 {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the origin does not come to rest: {:?}", self.requests());
    }

    pub(crate) fn faults(&self, faults: Value) {
        self.control().set_faults(&faults).expect("faults are set");
    }

    /// `medialift sync system --not-mastodon ARGUMENTS`, ready to run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let (url, id, key, bucket) = self.access();
        let mut command = medialift::command(self.directory.path()).expect("the binary");
        command
            .args(["sync", "system", "--not-mastodon"])
            .args(arguments)
            .env("B2_BUCKET", bucket)
            .env("B2_ENDPOINT", url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", id)
            .env("B2_APPLICATION_KEY", key);
        command
    }

    /// Runs `medialift sync system ARGUMENTS`.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(&mut self.command(arguments))
    }

    pub(crate) fn ran(&self, command: &mut Command) -> Ran {
        let (_, _, key, _) = self.access();
        let ran = medialift::run(command).expect("it runs");
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(key), "it shows the key");
            assert!(!text.contains("panicked"), "{text}");
        }
        ran
    }

    /// Runs with `--json`, expects this exit code, and gives the report.
    #[track_caller]
    pub(crate) fn report(&self, arguments: &[&str], code: i32) -> Report {
        let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        Report(self.run(&all).expect(code).json().expect("a report"))
    }

    /// Every regular file of the media directory, by path.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        e2e::media::files(&self.media()).expect("files")
    }

    /// Fails unless every file is in the bucket, byte for byte, below `prefix`.
    #[track_caller]
    pub(crate) fn assert_all_there(&self, prefix: &str) {
        for (path, content) in self.files() {
            let answer = self.object(&format!("{prefix}{path}"));
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.body == content, "{path} has other bytes");
        }
    }

    /// What was printed, without this run's directory, port and times.
    pub(crate) fn shown(&self, ran: &Ran) -> String {
        let (url, ..) = self.access();
        let text = format!("{}---- stderr\n{}", ran.stdout, ran.stderr)
            .replace(
                &self.directory.path().display().to_string(),
                "/home/mastodon",
            )
            .replace(url, "https://s3.us-west-004.backblazeb2.com");
        time_free(&text)
    }
}

/// Replaces times, rates and numbers of attempts, which differ from run to run.
fn time_free(text: &str) -> String {
    static TIMES: OnceLock<Vec<(regex::Regex, &str)>> = OnceLock::new();
    let times = TIMES.get_or_init(|| {
        [
            (r"\d+(\.\d+)? s, [\d.]+ [KMG]?i?B/s", "[time], [rate]"),
            (r"\d+ attempts in [\d.]+ s", "[n] attempts in [time]"),
            (r"requests  .*", "requests  [n]"),
        ]
        .map(|(pattern, with)| (regex::Regex::new(pattern).expect("a pattern"), with))
        .into()
    });
    times.iter().fold(text.to_owned(), |text, (pattern, with)| {
        pattern.replace_all(&text, *with).into_owned()
    })
}

/// A run's JSON.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

impl Report {
    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> u64 {
        self.0
            .pointer(pointer)
            .and_then(Value::as_u64)
            .unwrap_or_else(|| panic!("no number at {pointer}: {}", self.0))
    }

    #[track_caller]
    pub(crate) fn expect(&self, uploaded: u64, unchanged: u64) {
        assert_eq!(
            (
                self.number("/uploaded/files"),
                self.number("/unchanged/files")
            ),
            (uploaded, unchanged),
            "uploaded, unchanged: {}",
            self.0
        );
    }
}
