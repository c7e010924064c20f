//! An edge in front of the scripted origin, for answers that no object store gives.

use e2e::client::{Answer, Client};
use e2e::edge;
use e2e::scripted::{self, Script, ScriptedOrigin, Side};
use testkit::stack::Edge;
use tokio::runtime::Runtime;

/// A scripted origin and an edge in front of it.
pub(crate) struct ScriptedStack {
    pub(crate) edge: Edge,
    reader: Client,
    origin: ScriptedOrigin,
    /// The runtime of the origin. It is dropped last.
    _runtime: Runtime,
}

impl ScriptedStack {
    /// Starts both; the script has one answer for each key.
    pub(crate) fn start<const COUNT: usize>(
        answers: [(&str, scripted::Answer); COUNT],
        settings: &[(&str, &str)],
    ) -> Self {
        let script = answers.map(|(key, answer)| (key.to_owned(), vec![answer]));
        Self::play(Script::from(script), settings)
    }

    /// Starts both.
    pub(crate) fn play(script: Script, settings: &[(&str, &str)]) -> Self {
        let runtime = Runtime::new().unwrap();
        let origin = runtime.block_on(ScriptedOrigin::start(script)).unwrap();
        let url = origin.url(Side::Worker);
        let mut all = vec![("ORIGIN_URL", url.as_str())];
        all.extend(settings);
        let edge = edge::start(&all).unwrap();
        Self {
            reader: Client::anonymous(edge.url.trim_end_matches('/')),
            edge,
            origin,
            _runtime: runtime,
        }
    }

    /// Sends a request to the edge.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.reader.send(method, path, headers, &[]).unwrap()
    }

    /// Reads until the edge has stored what it fetched.
    #[track_caller]
    pub(crate) fn until_hit(&self, path: &str) -> Answer {
        for _ in 0..100 {
            let answer = self.send("GET", path, &[]);
            if answer.header("x-cache-status") == "HIT" {
                return answer;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{path} is never a hit")
    }

    /// How often the origin was asked for a key.
    pub(crate) fn asked(&self, key: &str) -> usize {
        self.origin.asked(Side::Worker, key).len()
    }
}
