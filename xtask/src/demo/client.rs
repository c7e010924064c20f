//! What a client sees of one object: cache states and times, ranges, HEAD, conditionals, refusals and
//! the headers that the edge took away and added.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ureq::http::{HeaderMap, Method, Request, Response};

use super::readback::{Expected, agent, bytes_of, header};
use testkit::stack::{Edge, Origin};
use testkit::upload::BUCKET;

/// One request and its answer.
pub(crate) struct Sight {
    pub(crate) what: &'static str,
    pub(crate) status: u16,
    pub(crate) cache: String,
    pub(crate) time: Duration,
    /// What else is worth seeing.
    pub(crate) note: String,
    /// What should have been otherwise.
    pub(crate) problem: Option<String>,
}

/// All that the client saw.
#[derive(Default)]
pub(crate) struct Client {
    pub(crate) url_path: Option<String>,
    pub(crate) sights: Vec<Sight>,
    pub(crate) stripped: Vec<String>,
    pub(crate) added: Vec<String>,
    pub(crate) problems: Vec<String>,
    /// How many files the edge has stored because of these requests.
    pub(crate) warmed: u64,
}

struct Reader<'a> {
    agent: ureq::Agent,
    edge: &'a Edge,
    sights: Vec<Sight>,
}

impl Reader<'_> {
    /// Sends a request, notes it, and gives the answer with its whole body.
    fn ask(
        &mut self,
        what: &'static str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Response<ureq::Body>, Vec<u8>)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.edge.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let start = Instant::now();
        let mut response = self
            .agent
            .run(request.body(()).context("cannot build a request")?)
            .context(what)?;
        let body = response
            .body_mut()
            .with_config()
            .limit(1 << 32)
            .read_to_vec()
            .context(what)?;
        self.sights.push(Sight {
            what,
            status: response.status().as_u16(),
            cache: header(&response, "x-cache-status"),
            time: start.elapsed(),
            note: String::new(),
            problem: None,
        });
        Ok((response, body))
    }

    /// Adds to what the last request showed.
    fn judge(&mut self, note: String, good: bool, expected: &str) {
        if let Some(sight) = self.sights.last_mut() {
            sight.note = note;
            sight.problem = (!good).then(|| {
                format!(
                    "{}: expected {expected}, got {} {}",
                    sight.what, sight.status, sight.note
                )
            });
        }
    }
}

/// Looks at one file of the tree, and at a range of another that nobody has read yet, so it must come
/// before anything else is read.
pub(crate) fn look(files: &[Expected], origin: &Origin, edge: &Edge) -> Result<Client> {
    let usable = |file: &&Expected| !file.denied && (2..50_000_000).contains(&file.length);
    let by_extension = |extension: &str| {
        files
            .iter()
            .filter(usable)
            .find(|file| file.key.to_lowercase().ends_with(extension))
    };
    let Some(file) = by_extension(".jpg").or_else(|| files.iter().find(usable)) else {
        return Ok(Client::default());
    };
    let mut reader = Reader {
        agent: agent(),
        edge,
        sights: Vec::new(),
    };
    let whole = bytes_of(&file.file)?;
    let path = &file.url_path;
    let mut warmed = 1;

    let (response, body) = reader.ask("GET, first read", Method::GET, path, &[])?;
    let good =
        response.status() == 200 && body == whole && header(&response, "x-cache-status") == "MISS";
    let shown = format!(
        "{} bytes, {}",
        body.len(),
        header(&response, "content-type")
    );
    reader.judge(shown, good, "200 MISS with the file's bytes");

    let (response, body) = reader.ask("GET, second read", Method::GET, path, &[])?;
    let etag = header(&response, "etag");
    let edge_headers = response.headers().clone();
    let good =
        response.status() == 200 && body == whole && header(&response, "x-cache-status") == "HIT";
    reader.judge(
        format!("{} bytes", body.len()),
        good,
        "200 HIT with the file's bytes",
    );

    let (response, body) =
        reader.ask("GET with ?query", Method::GET, &format!("{path}?v=1"), &[])?;
    let good =
        response.status() == 200 && body == whole && header(&response, "x-cache-status") == "HIT";
    reader.judge(
        format!("{} bytes", body.len()),
        good,
        "200 HIT with the file's bytes",
    );

    let other = |candidate: &&Expected| candidate.key != file.key;
    let video = files
        .iter()
        .filter(usable)
        .filter(other)
        .find(|file| file.key.ends_with(".mp4"));
    if let Some(cold) = video.or_else(|| files.iter().filter(usable).find(other)) {
        warmed += 1;
        let bytes = bytes_of(&cold.file)?;
        let (response, body) = reader.ask(
            "GET, a range of a cold file",
            Method::GET,
            &cold.url_path,
            &[("Range", "bytes=1-")],
        )?;
        let content_range = header(&response, "content-range");
        let good = response.status() == 206
            && body == bytes[1..]
            && content_range == format!("bytes 1-{}/{}", bytes.len() - 1, bytes.len());
        let shown = format!(
            "Content-Range: {content_range}, {}",
            header(&response, "content-type")
        );
        reader.judge(shown, good, "206 with those bytes");
    }

    let last = (whole.len() - 1).min(99);
    let range = format!("bytes=0-{last}");
    let (response, body) = reader.ask("GET, a range", Method::GET, path, &[("Range", &range)])?;
    let content_range = header(&response, "content-range");
    let good = response.status() == 206
        && body == whole[..=last]
        && content_range == format!("bytes 0-{last}/{}", whole.len());
    reader.judge(
        format!("Content-Range: {content_range}"),
        good,
        "206 with those bytes",
    );

    let beyond = format!("bytes={}-", whole.len());
    let (response, _) = reader.ask(
        "GET, a range beyond the end",
        Method::GET,
        path,
        &[("Range", &beyond)],
    )?;
    let content_range = header(&response, "content-range");
    let good = response.status() == 416 && content_range == format!("bytes */{}", whole.len());
    reader.judge(
        format!("Content-Range: {content_range}"),
        good,
        "416 with the length",
    );

    let (response, body) = reader.ask("HEAD", Method::HEAD, path, &[])?;
    let length = header(&response, "content-length");
    let good = response.status() == 200 && body.is_empty() && length == whole.len().to_string();
    reader.judge(
        format!("Content-Length: {length}, no body"),
        good,
        "200 with the length and no body",
    );

    let (response, body) = reader.ask(
        "GET If-None-Match",
        Method::GET,
        path,
        &[("If-None-Match", &etag)],
    )?;
    let good = response.status() == 304 && body.is_empty();
    reader.judge(format!("ETag {etag}"), good, "304 without a body");

    for (what, method) in [
        ("POST", Method::POST),
        ("DELETE", Method::DELETE),
        ("OPTIONS", Method::OPTIONS),
    ] {
        let (response, _) = reader.ask(what, method, path, &[])?;
        reader.judge("refused".to_owned(), response.status() == 403, "403");
    }
    let (response, _) = reader.ask("GET, no such key", Method::GET, "/no/such/key.png", &[])?;
    let cached = header(&response, "cache-control");
    let good = response.status() == 404 && !cached.contains("max-age=31536000");
    let shown = format!(
        "Cache-Control: {}",
        if cached.is_empty() { "none" } else { &cached }
    );
    reader.judge(shown, good, "404 that browsers do not keep");

    let direct = reader
        .agent
        .get(format!("{}{path}", origin.bucket_url(BUCKET)))
        .call()
        .context("cannot ask the bucket")?;
    let names = |headers: &HeaderMap| {
        headers
            .keys()
            .map(|name| name.as_str().to_owned())
            .collect::<BTreeSet<_>>()
    };
    let (before, after) = (names(direct.headers()), names(&edge_headers));
    let added = after
        .iter()
        .filter(|name| direct.headers().get(*name) != edge_headers.get(*name) && *name != "date")
        .map(|name| {
            format!(
                "{name}: {}",
                edge_headers
                    .get(name)
                    .and_then(|v| v.to_str().ok())
                    .unwrap_or_default()
            )
        })
        .collect();
    let mut client = Client {
        url_path: Some(path.clone()),
        warmed,
        problems: reader
            .sights
            .iter()
            .filter_map(|sight| sight.problem.clone())
            .collect(),
        sights: reader.sights,
        stripped: before
            .difference(&after)
            .filter(|name| *name != "connection" && *name != "keep-alive")
            .cloned()
            .collect(),
        added,
    };
    client.problems.extend(check_headers(&edge_headers));
    Ok(client)
}

/// What must and must not be in the header of a 200.
fn check_headers(headers: &HeaderMap) -> Vec<String> {
    let mut problems = Vec::new();
    for name in headers.keys().map(|name| name.as_str()) {
        let ours = ["access-control-allow-origin", "server-timing"].contains(&name);
        let identifying = [
            "x-amz-",
            "x-amzn-",
            "x-bz-",
            "access-control-",
            "set-cookie",
            "server",
            "via",
            "x-powered-by",
        ];
        if !ours && identifying.iter().any(|prefix| name.starts_with(prefix)) {
            problems.push(format!(
                "the header `{name}` of the bucket reaches the client"
            ));
        }
    }
    let wanted = [
        ("cache-control", "public, max-age=31536000"),
        ("access-control-allow-origin", "*"),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; form-action 'none'",
        ),
    ];
    for (name, value) in wanted {
        let got = headers
            .get(name)
            .and_then(|got| got.to_str().ok())
            .unwrap_or_default();
        if got != value {
            problems.push(format!("`{name}: {got}` instead of `{value}`"));
        }
    }
    problems
}
