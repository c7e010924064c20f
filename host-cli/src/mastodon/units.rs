//! The environment that systemd gives to Mastodon's processes, by the units that start in Mastodon's
//! directory and their drop-ins. It outranks every `.env` file.
//!
//! Parsed by the rules of `systemd.unit(5)` and `systemd.exec(5)`. Specifiers, patterns and escapes are
//! not evaluated: a value with one is unresolved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::dotenv::readers::Reader;
use crate::dotenv::values::{Environment, Value, Values};

/// Directories of system units, by precedence.
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

/// The units of one installation.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Whether any was found.
    pub(super) found: bool,
    /// The environment of each unit that runs Ruby.
    pub(super) environments: Vec<Environment>,
    /// Files named by `EnvironmentFile=`.
    pub(super) environment_files: Vec<PathBuf>,
    /// Units and drop-ins.
    pub(super) unit_files: Vec<PathBuf>,
    /// Why a unit that may define more cannot be read or is not understood.
    pub(super) unreadable: Option<String>,
}

/// A `KEY=value` line of a unit's `[Service]`.
#[derive(Debug)]
struct UnitLine {
    key: String,
    value: String,
}

/// Reads the units that start in `root`, with their drop-ins.
///
/// For a unit called `mastodon*` it is an error if its directory cannot be determined; other units count
/// only where it can, since many units have nothing to do with Mastodon.
pub(super) fn read(directories: &[&str], root: &Path) -> Units {
    let mut units = Units::default();
    match unit_names(directories) {
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

/// Names of all services, with those instances of templates that have drop-ins.
fn unit_names(directories: &[&str]) -> Result<BTreeSet<String>, String> {
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

/// Names in a directory; none where it does not exist.
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

/// Whether the unit has a name as in Mastodon's guide.
fn has_mastodon_name(name: &str) -> bool {
    name.starts_with("mastodon")
}

/// The files of a unit, and their lines in the order in which systemd reads them.
fn read_unit(directories: &[&str], name: &str) -> Result<(Vec<PathBuf>, Vec<UnitLine>), String> {
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

/// The text of a file; none where it does not exist.
fn text(path: &Path) -> Result<Option<String>, String> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("`{}` cannot be read: {e}", path.display())),
    }
}

impl Units {
    fn add(&mut self, directories: &[&str], name: &str, root: &Path) -> Result<(), String> {
        let (mut files, lines) = match read_unit(directories, name) {
            Err(_) if !has_mastodon_name(name) => return Ok(()),
            read => read?,
        };
        let directory = last_value(&lines, "WorkingDirectory");
        let directory = directory.strip_prefix('-').unwrap_or(directory);
        match without_specifiers(directory) {
            Some(path) if !directory.starts_with('~') => {
                if !same_place(Path::new(&path), root) {
                    return Ok(());
                }
            }
            _ if !has_mastodon_name(name) => return Ok(()),
            _ => {
                return Err(format!(
                    "`{name}` has `WorkingDirectory={directory}`, which cannot be determined"
                ));
            }
        }
        // The environment of `docker compose` is not that of the containers.
        let runs = |names: &[&str]| command_words(&lines).any(|word| names.contains(&word));
        if runs(&CONTAINERS) || !has_mastodon_name(name) && !runs(&PROCESSES) {
            return Ok(());
        }
        self.found = true;
        self.unit_files.append(&mut files);
        // Mastodon's streaming server does not use media.
        if command_words(&lines).next() != Some("node") {
            let environment = self.environment(&lines)?;
            self.environments.push(environment);
        }
        Ok(())
    }

    fn environment(&mut self, lines: &[UnitLine]) -> Result<Environment, String> {
        let mut known = Values::new();
        let mut files: Vec<&str> = Vec::new();
        for UnitLine { key, value } in lines {
            match (key.as_str(), value.as_str()) {
                // An empty value resets the former ones.
                ("Environment", "") => known.clear(),
                ("Environment", value) => known.extend(variables(value)),
                ("EnvironmentFile", "") => files.clear(),
                ("EnvironmentFile", value) => files.push(value),
                _ => {}
            }
        }
        for file in files {
            // With `-` it need not exist.
            let (path, optional) = match file.strip_prefix('-') {
                Some(path) => (path, true),
                None => (file, false),
            };
            let path = without_specifiers(path)
                .filter(|path| !path.contains(['*', '?', '[']))
                .ok_or_else(|| {
                    format!("the file of `EnvironmentFile={file}` cannot be determined")
                })?;
            let path = PathBuf::from(path);
            match text(&path)? {
                Some(text) => {
                    let read = Reader::Systemd.read(&text);
                    known.extend(read.into_iter().map(|(n, v)| (n, Value::Known(v))));
                }
                None if optional => {}
                None => return Err(format!("`{}` does not exist", path.display())),
            }
            self.environment_files.push(path);
        }
        for UnitLine { key, value } in lines {
            let names = value.split_whitespace().map(|word| {
                let word = word.trim_matches(['"', '\'']);
                word.split_once('=')
                    .map_or(word, |(name, _)| name)
                    .to_owned()
            });
            let unresolved = Value::Unresolved(format!("{key}="));
            match key.as_str() {
                "UnsetEnvironment" => known.extend(names.map(|n| (n, unresolved.clone()))),
                "PassEnvironment" => {
                    for name in names {
                        known.entry(name).or_insert(unresolved.clone());
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

/// The drop-ins of a unit in the order in which systemd reads them, which is that of their names; of
/// one name only that of the first directory.
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
        // `a-b`, then `a-`, whose drop-ins all units with this prefix share.
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

/// The lines of `[Service]`. A `\` at the end joins a line with the next that is no comment.
fn assignments(text: &str) -> Vec<UnitLine> {
    let mut found = Vec::new();
    let mut in_service = false;
    let mut joined = String::new();
    // The empty line completes a last line that ends in `\`.
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
            found.push(UnitLine {
                key: key.trim_end().to_owned(),
                value: value.trim_start().to_owned(),
            });
        }
    }
    found
}

/// The last value of a key, which is the one that counts; empty where there is none.
fn last_value<'a>(lines: &'a [UnitLine], key: &str) -> &'a str {
    let of_key = |line: &&UnitLine| line.key == key;
    lines
        .iter()
        .rev()
        .find(of_key)
        .map_or("", |line| &line.value)
}

/// Programs that start containers.
const CONTAINERS: [&str; 4] = ["docker", "docker-compose", "podman", "podman-compose"];

/// Programs that read Mastodon's settings.
const PROCESSES: [&str; 2] = ["puma", "sidekiq"];

/// The arguments of `ExecStart=`, each without directory, quotes and prefixes (`-`, `+`).
fn command_words(lines: &[UnitLine]) -> impl Iterator<Item = &str> {
    let words = last_value(lines, "ExecStart").split_whitespace();
    words.map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        name.trim_start_matches(['-', '@', ':', '+', '!'])
            .trim_matches(['"', '\''])
    })
}

/// The text with `%%` replaced by `%`; none where it has another specifier.
fn without_specifiers(text: &str) -> Option<String> {
    let literal = text.replace("%%", "\0");
    (!literal.contains('%')).then(|| literal.replace('\0', "%"))
}

/// Parses `"A=b c" D=e`.
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
            _ if value.contains('\\') => Value::Unresolved("\\".to_owned()),
            None => Value::Unresolved("%".to_owned()),
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
