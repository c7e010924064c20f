//! The environment that systemd gives Mastodon's processes: that of each unit which starts in its
//! directory, with its drop-ins. It outranks every `.env` file.
//!
//! Read as `systemd.unit(5)` and `systemd.exec(5)` say. What is not understood (specifiers, patterns,
//! escapes) is unclear, never taken as it stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::dotenv::readers::Reader;
use crate::dotenv::values::{Environment, Value, Values};

/// Where the system's manager reads units, the one that outranks the others first.
pub(super) const DIRECTORIES: [&str; 8] = [
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What the units of one installation say.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Whether there is any.
    pub(super) found: bool,
    /// The environment of each that runs Ruby.
    pub(super) environments: Vec<Environment>,
    /// Files of `EnvironmentFile=`.
    pub(super) environment_files: Vec<PathBuf>,
    /// Units and drop-ins.
    pub(super) unit_files: Vec<PathBuf>,
    /// What may say more, and cannot be read or is not understood; why.
    pub(super) unreadable: Option<String>,
}

/// A line of a unit's `[Service]`.
#[derive(Debug)]
struct Assignment {
    key: String,
    value: String,
}

/// Reads the units that start in `root`, with their drop-ins.
///
/// Where a unit starts that is called `mastodon*` must be clear. Of the others only those count of which
/// it is: the machine has many, and not all may be read by everybody.
pub(super) fn read(directories: &[&str], root: &Path) -> Units {
    let mut units = Units::default();
    match names(directories) {
        Ok(names) => {
            for name in names {
                if let Err(why) = units.add(directories, &name, root) {
                    units.unreadable = Some(why);
                }
            }
        }
        Err(why) => units.unreadable = Some(why),
    }
    units
}

/// Names of all services; of a template, each instance that has drop-ins of its own too.
fn names(directories: &[&str]) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    for directory in directories {
        for name in entries(Path::new(directory))? {
            let unit = match name.strip_suffix(".d") {
                Some(unit) if unit.contains('@') => unit,
                Some(_) => continue,
                None => &name,
            };
            if unit.ends_with(".service") {
                names.insert(unit.to_owned());
            }
        }
    }
    Ok(names)
}

/// Names in a directory; none where it is not there.
fn entries(directory: &Path) -> Result<Vec<String>, String> {
    let fail = |e: std::io::Error| format!("`{}` cannot be read: {e}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(fail)?,
    };
    entries
        .map(|entry| {
            Ok(entry
                .map_err(fail)?
                .file_name()
                .to_string_lossy()
                .into_owned())
        })
        .collect()
}

/// Whether a unit is called as Mastodon's are by its own guide.
fn is_called_so(name: &str) -> bool {
    name.starts_with("mastodon")
}

/// The files of a unit, and the lines of all of them in the order in which they count.
fn of_unit(directories: &[&str], name: &str) -> Result<(Vec<PathBuf>, Vec<Assignment>), String> {
    let (prefix, instance) = split(name);
    let template = instance.map(|_| format!("{prefix}@.service"));
    let candidates = [Some(name.to_owned()), template];
    let mut files = Vec::new();
    let mut lines = Vec::new();
    for path in candidates
        .into_iter()
        .flatten()
        .flat_map(|name| directories.iter().map(move |d| Path::new(d).join(&name)))
    {
        if let Some(text) = text(&path)? {
            lines.extend(assignments(&text));
            files.push(path);
            break;
        }
    }
    for path in drop_ins(directories, prefix, instance)? {
        if let Some(text) = text(&path)? {
            lines.extend(assignments(&text));
            files.push(path);
        }
    }
    Ok((files, lines))
}

/// The text of a file; none where it is not there.
fn text(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("`{}` cannot be read: {e}", path.display())),
    }
}

impl Units {
    fn add(&mut self, directories: &[&str], name: &str, root: &Path) -> Result<(), String> {
        let (mut files, lines) = match of_unit(directories, name) {
            Err(_) if !is_called_so(name) => return Ok(()),
            read => read?,
        };
        let starts_in = last(&lines, "WorkingDirectory");
        let starts_in = starts_in.strip_prefix('-').unwrap_or(starts_in);
        match without_specifiers(starts_in) {
            Some(path) if !starts_in.starts_with('~') => {
                if !same_place(Path::new(&path), root) {
                    return Ok(());
                }
            }
            _ if !is_called_so(name) => return Ok(()),
            _ => {
                return Err(format!(
                    "`{name}` starts in `{starts_in}`, and which directory that is cannot be told"
                ));
            }
        }
        // What it gives to `docker compose` is not what the containers have.
        let runs = |names: &[&str]| words(&lines).any(|word| names.contains(&word));
        if runs(&CONTAINERS) || !is_called_so(name) && !runs(&PROCESSES) {
            return Ok(());
        }
        self.found = true;
        self.unit_files.append(&mut files);
        // Mastodon's streaming server has no media.
        if words(&lines).next() != Some("node") {
            let environment = self.environment(&lines)?;
            self.environments.push(environment);
        }
        Ok(())
    }

    fn environment(&mut self, lines: &[Assignment]) -> Result<Environment, String> {
        let mut known = Values::new();
        let mut files: Vec<&str> = Vec::new();
        for Assignment { key, value } in lines {
            match (key.as_str(), value.as_str()) {
                // An empty one takes back those before it.
                ("Environment", "") => known.clear(),
                ("Environment", value) => known.extend(variables(value)),
                ("EnvironmentFile", "") => files.clear(),
                ("EnvironmentFile", value) => files.push(value),
                _ => {}
            }
        }
        for file in files {
            // A `-` before it: it need not be there.
            let (path, optional) = match file.strip_prefix('-') {
                Some(path) => (path, true),
                None => (file, false),
            };
            let path = without_specifiers(path)
                .filter(|path| !path.contains(['*', '?', '[']))
                .ok_or_else(|| format!("which file `EnvironmentFile={file}` is cannot be told"))?;
            let path = PathBuf::from(path);
            match text(&path)? {
                Some(text) => {
                    let read = Reader::Systemd.read(&text);
                    known.extend(read.into_iter().map(|(n, v)| (n, Value::Known(v))));
                }
                None if optional => {}
                None => return Err(format!("`{}` is not there", path.display())),
            }
            self.environment_files.push(path);
        }
        for Assignment { key, value } in lines {
            let names = value.split_whitespace().map(|word| {
                let word = word.trim_matches(['"', '\'']);
                word.split_once('=')
                    .map_or(word, |(name, _)| name)
                    .to_owned()
            });
            let unclear = Value::Unclear(format!("{key}="));
            match key.as_str() {
                "UnsetEnvironment" => known.extend(names.map(|n| (n, unclear.clone()))),
                "PassEnvironment" => {
                    for name in names {
                        known.entry(name).or_insert(unclear.clone());
                    }
                }
                _ => {}
            }
        }
        Ok(Environment {
            known,
            complete: false,
        })
    }
}

/// `mastodon-sidekiq` and `default` of `mastodon-sidekiq@default.service`; the latter is empty in a
/// template.
fn split(name: &str) -> (&str, Option<&str>) {
    let stem = name.strip_suffix(".service").unwrap_or(name);
    match stem.split_once('@') {
        Some((prefix, instance)) => (prefix, Some(instance)),
        None => (stem, None),
    }
}

/// The drop-ins of a unit in the order in which they are read: that of their names, of one name the
/// first directory's.
fn drop_ins(
    directories: &[&str],
    prefix: &str,
    instance: Option<&str>,
) -> Result<Vec<PathBuf>, String> {
    let mut by_name = BTreeMap::new();
    let mut add = |directory: PathBuf| {
        for name in entries(&directory)? {
            if name.ends_with(".conf") {
                let path = directory.join(&name);
                by_name.entry(name).or_insert(path);
            }
        }
        Ok::<(), String>(())
    };
    for directory in directories {
        let directory = Path::new(directory);
        // `a-b`, then `a-`: what units share whose names begin alike.
        let mut shared = Some(prefix.to_owned());
        while let Some(prefix) = shared {
            if let Some(instance) = instance.filter(|instance| !instance.is_empty()) {
                add(directory.join(format!("{prefix}@{instance}.service.d")))?;
            }
            let at = instance.map_or("", |_| "@");
            add(directory.join(format!("{prefix}{at}.service.d")))?;
            let parent = prefix.strip_suffix('-').unwrap_or(&prefix);
            shared = parent.rfind('-').map(|dash| parent[..=dash].to_owned());
        }
    }
    for directory in directories {
        add(Path::new(directory).join("service.d"))?;
    }
    Ok(by_name.into_values().collect())
}

/// The lines of `[Service]`. A `\` joins a line with the next that is no comment.
fn assignments(text: &str) -> Vec<Assignment> {
    let mut found = Vec::new();
    let mut in_service = false;
    let mut joined = String::new();
    // The last line may end in a `\` too.
    for line in text.lines().chain([""]) {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        if let Some(begun) = line.strip_suffix('\\') {
            joined.push_str(begun);
            joined.push(' ');
            continue;
        }
        joined.push_str(line);
        let line = std::mem::take(&mut joined);
        let line = line.trim();
        if line.starts_with('[') {
            in_service = line == "[Service]";
        } else if let Some((key, value)) = line.split_once('=').filter(|_| in_service) {
            found.push(Assignment {
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
            });
        }
    }
    found
}

/// The value that counts of a setting with one value; empty where there is none.
fn last<'a>(lines: &'a [Assignment], key: &str) -> &'a str {
    let of_key = |line: &&Assignment| line.key == key;
    lines
        .iter()
        .rev()
        .find(of_key)
        .map_or("", |line| &line.value)
}

/// Programs that start containers.
const CONTAINERS: [&str; 4] = ["docker", "docker-compose", "podman", "podman-compose"];

/// What a unit of Mastodon's that reads its settings runs, whatever the unit is called.
const PROCESSES: [&str; 2] = ["puma", "sidekiq"];

/// The words of what a unit runs, each without its path and what stands before it (`-`, `+`).
fn words(lines: &[Assignment]) -> impl Iterator<Item = &str> {
    let words = last(lines, "ExecStart").split_whitespace();
    words.map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        name.trim_start_matches(['-', '@', ':', '+', '!'])
            .trim_matches(['"', '\''])
    })
}

/// The text with `%%` as `%`; none where it has another specifier.
fn without_specifiers(text: &str) -> Option<String> {
    let literal = text.replace("%%", "\0");
    (!literal.contains('%')).then(|| literal.replace('\0', "%"))
}

/// `"A=b c" D=e`.
fn variables(text: &str) -> Values {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(begun), c) if begun == c => quote = None,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let variable = |word: String| {
        let (name, value) = word.split_once('=')?;
        let value = match without_specifiers(value) {
            _ if value.contains('\\') => Value::Unclear("\\".to_owned()),
            None => Value::Unclear("%".to_owned()),
            Some(value) => Value::Known(value),
        };
        Some((name.to_owned(), value))
    };
    words.into_iter().filter_map(variable).collect()
}

fn same_place(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests;
