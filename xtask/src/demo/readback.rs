//! Reads every object back through the edge and compares it with the file that it came from.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use walkdir::WalkDir;

use testkit::stack::{Edge, Origin};
use testkit::upload::BUCKET;

/// What stays bare in the path of an object.
const BARE: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Readers at a time.
const READERS: usize = 8;

/// The longest key that S3 takes, in bytes.
const LONGEST_KEY: usize = 1024;

/// The types of what Mastodon stores, to compare the answers with something that is not our own.
const TYPES: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("mp4", "video/mp4"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
];

/// A file that should be served.
pub(crate) struct Expected {
    /// Its path in the media tree is its key.
    pub(crate) key: String,
    /// The key as the path of a URL.
    pub(crate) url_path: String,
    pub(crate) file: PathBuf,
    pub(crate) length: u64,
    /// Account archives are nobody's to read through the edge.
    pub(crate) denied: bool,
}

/// What is in a media tree.
pub(crate) struct Tree {
    /// What should be served.
    pub(crate) files: Vec<Expected>,
    /// Files that no upload can store under their own name, by reason.
    pub(crate) not_uploadable: BTreeMap<&'static str, u64>,
}

/// What reading everything back showed.
pub(crate) struct Readback {
    pub(crate) files: Vec<Expected>,
    /// Files that no upload can store under their own name, by reason.
    pub(crate) not_uploadable: BTreeMap<&'static str, u64>,
    pub(crate) bytes: u64,
    pub(crate) time: Duration,
    /// `X-Cache-Status` of all answers, first reads and second reads.
    pub(crate) first: BTreeMap<String, u64>,
    pub(crate) second: BTreeMap<String, u64>,
    /// By `Content-Type`.
    pub(crate) types: BTreeMap<String, u64>,
    /// What was not as it should be, a line each.
    pub(crate) problems: Vec<String>,
}

/// A client that takes every status as an answer and follows nothing.
pub(crate) fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_recv_response(Some(Duration::from_secs(60)))
        .max_idle_connections_per_host(READERS)
        .build()
        .into()
}

/// Reads every file of the tree in `directory` twice through the edge.
pub(crate) fn read_all(tree: Tree, directory: &Path, origin: &Origin, edge: &Edge) -> Readback {
    let Tree {
        files,
        not_uploadable,
    } = tree;
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let found = Mutex::new((
        BTreeMap::new(),
        BTreeMap::new(),
        BTreeMap::new(),
        Vec::new(),
    ));
    std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let agent = agent();
                while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = check(&agent, file, origin, edge);
                    let Ok(mut found) = found.lock() else { break };
                    match outcome {
                        Ok(Some((content_type, first, second))) => {
                            *found.0.entry(first).or_insert(0) += 1;
                            *found.1.entry(second).or_insert(0) += 1;
                            *found.2.entry(content_type).or_insert(0) += 1;
                        }
                        Ok(None) => {}
                        Err(problem) => found.3.push(format!("`{}`: {problem:#}", file.key)),
                    }
                }
            });
        }
    });
    let (first, second, types, mut problems) = found.into_inner().unwrap_or_default();
    problems.sort();
    if files.is_empty() {
        problems.push(format!(
            "`{}` holds no file that can be served",
            directory.display()
        ));
    }
    let bytes = files
        .iter()
        .filter(|file| !file.denied)
        .map(|file| file.length)
        .sum();
    Readback {
        files,
        not_uploadable,
        bytes,
        time: start.elapsed(),
        first,
        second,
        types,
        problems,
    }
}

/// The files that should be in the bucket, and how many cannot be, by reason.
pub(crate) fn expectations(directory: &Path) -> Result<Tree> {
    let mut files = Vec::new();
    let mut not_uploadable = BTreeMap::new();
    for entry in WalkDir::new(directory).min_depth(1).sort_by_file_name() {
        let Ok(entry) = entry else {
            *not_uploadable.entry("unreadable directory").or_insert(0) += 1;
            continue;
        };
        if entry.file_type().is_dir() {
            continue;
        }
        let below = entry
            .path()
            .strip_prefix(directory)
            .context("the walk left its directory")?;
        let reason = if entry.file_type().is_symlink() {
            Some("symbolic link")
        } else if !entry.file_type().is_file() {
            Some("not a regular file")
        } else if below.to_str().is_none() {
            Some("name is not UTF-8")
        } else if below.to_string_lossy().chars().any(char::is_control) {
            Some("control character in the name")
        } else if below.as_os_str().len() > LONGEST_KEY {
            Some("name too long")
        } else if File::open(entry.path()).is_err() {
            Some("unreadable file")
        } else {
            None
        };
        if let Some(reason) = reason {
            *not_uploadable.entry(reason).or_insert(0) += 1;
            continue;
        }
        let key = below.to_string_lossy().into_owned();
        files.push(Expected {
            url_path: format!("/{}", utf8_percent_encode(&key, &BARE)),
            denied: key.starts_with("backups/"),
            length: entry.metadata().map_or(0, |data| data.len()),
            file: entry.into_path(),
            key,
        });
    }
    Ok(Tree {
        files,
        not_uploadable,
    })
}

/// Reads one file twice; its type and the two cache states, or `None` where it was rightly refused.
fn check(
    agent: &ureq::Agent,
    file: &Expected,
    origin: &Origin,
    edge: &Edge,
) -> Result<Option<(String, String, String)>> {
    let url = format!("{}{}", edge.url, file.url_path);
    if file.denied {
        let status = agent.get(&url).call()?.status();
        anyhow::ensure!(
            status == 403,
            "is an account archive and was answered {status} instead of 403"
        );
        return Ok(None);
    }
    let mut seen = Vec::new();
    let mut content_type = String::new();
    for time in ["first", "second"] {
        let mut response = agent
            .get(&url)
            .call()
            .with_context(|| format!("{time} read"))?;
        anyhow::ensure!(
            response.status() == 200,
            "{time} read was answered {}",
            response.status()
        );
        content_type = header(&response, "content-type");
        seen.push(header(&response, "x-cache-status"));
        let length = compare(response.body_mut().as_reader(), &file.file)
            .with_context(|| format!("{time} read"))?;
        anyhow::ensure!(
            length == file.length,
            "{time} read gave {length} bytes instead of {}",
            file.length
        );
    }
    let stored = agent
        .head(format!("{}{}", origin.bucket_url(BUCKET), file.url_path))
        .call()?;
    let stored = header(&stored, "content-type");
    anyhow::ensure!(
        content_type == stored,
        "type `{content_type}` at the edge, `{stored}` in the bucket"
    );
    let extension = Path::new(&file.key)
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default()
        .to_lowercase();
    if let Some((_, known)) = TYPES.iter().find(|(known, _)| *known == extension) {
        anyhow::ensure!(
            content_type == *known,
            "type `{content_type}` instead of `{known}`"
        );
    }
    anyhow::ensure!(!content_type.is_empty(), "no Content-Type");
    let second = seen.pop().unwrap_or_default();
    let first = seen.pop().unwrap_or_default();
    Ok(Some((content_type, first, second)))
}

/// A header of an answer, empty where it has none.
pub(crate) fn header(response: &ureq::http::Response<ureq::Body>, name: &str) -> String {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_owned()
}

/// Compares what comes with a file, without holding either; the number of bytes that came.
fn compare(mut body: impl Read, file: &Path) -> Result<u64> {
    let mut file =
        BufReader::with_capacity(1 << 16, File::open(file).context("cannot open the file")?);
    let (mut got, mut wanted) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut length = 0;
    loop {
        let count = body
            .read(&mut got)
            .with_context(|| format!("the answer broke off after {length} bytes"))?;
        if count == 0 {
            return Ok(length);
        }
        file.read_exact(&mut wanted[..count])
            .with_context(|| format!("more bytes came than the file has ({length})"))?;
        anyhow::ensure!(
            got[..count] == wanted[..count],
            "other bytes than the file's, within {count} after {length}"
        );
        length += count as u64;
    }
}

/// The whole of a small file.
pub(crate) fn bytes_of(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_no_bucket_can_hold_is_not_expected_at_the_edge() {
        let tree = tempfile::tempdir().unwrap();
        let write = |name: &OsStr| fs::write(tree.path().join(name), "x").unwrap();
        fs::create_dir(tree.path().join("backups")).unwrap();
        write("plain.png".as_ref());
        write("100% grün +.jpg".as_ref());
        write("backups/archive.zip".as_ref());
        write(OsStr::from_bytes(b"not-\xff-utf8.png"));
        write("line\nbreak.png".as_ref());
        symlink("plain.png", tree.path().join("link.png")).unwrap();

        let found = expectations(tree.path()).unwrap();
        let keys: Vec<(&str, bool)> = found
            .files
            .iter()
            .map(|file| (file.key.as_str(), file.denied))
            .collect();
        assert_eq!(
            keys,
            [
                ("100% grün +.jpg", false),
                ("backups/archive.zip", true),
                ("plain.png", false)
            ]
        );
        assert_eq!(found.files[0].url_path, "/100%25%20gr%C3%BCn%20%2B.jpg");
        let reasons: Vec<&str> = found.not_uploadable.keys().copied().collect();
        assert_eq!(
            reasons,
            [
                "control character in the name",
                "name is not UTF-8",
                "symbolic link"
            ]
        );
    }

    #[test]
    fn a_short_or_changed_answer_is_told_from_a_whole_one() {
        let tree = tempfile::tempdir().unwrap();
        let file = tree.path().join("file");
        fs::write(&file, "four").unwrap();
        assert_eq!(compare(&b"four"[..], &file).unwrap(), 4);
        assert_eq!(compare(&b"fou"[..], &file).unwrap(), 3);
        assert!(compare(&b"fouR"[..], &file).is_err());
        assert!(compare(&b"fours"[..], &file).is_err());
    }
}
