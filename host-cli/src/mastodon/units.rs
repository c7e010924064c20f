//! The environment that systemd gives Mastodon's processes: `Environment=` and `EnvironmentFile=`
//! of the units that start in its directory. It outranks every `.env` file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::dotenv::readers::Reader;
use crate::dotenv::values::{Environment, Value};

/// Where units are, the one that outranks the others last.
pub(super) const DIRECTORIES: [&str; 3] = [
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/etc/systemd/system",
];

/// What the units of one installation say.
#[derive(Debug, Default)]
pub(super) struct Units {
    /// Whether there is any.
    pub(super) found: bool,
    /// Variables, and the files that they come from.
    pub(super) environment: Environment,
    pub(super) files: Vec<PathBuf>,
    /// A file that may set more, and cannot be read; why.
    pub(super) unreadable: Option<String>,
}

/// Reads the units `mastodon-*.service`, with their drop-ins, that start in `root`.
pub(super) fn read(directories: &[&str], root: &Path) -> Units {
    let mut units = Units::default();
    for directory in directories {
        let Ok(entries) = fs::read_dir(directory) else {
            continue;
        };
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                name.starts_with("mastodon") && name.ends_with(".service")
            })
            .collect();
        names.sort();
        for unit in names {
            let text = with_drop_ins(&unit);
            let starts_here = values(&text, "WorkingDirectory")
                .next_back()
                .is_some_and(|path| same_place(Path::new(path), root));
            if starts_here {
                units.found = true;
                units.add(&text);
            }
        }
    }
    units
}

impl Units {
    fn add(&mut self, text: &str) {
        for value in values(text, "Environment") {
            for (name, value) in assignments(value) {
                self.environment.known.insert(name, Value::Known(value));
            }
        }
        for value in values(text, "EnvironmentFile") {
            // A `-` before it: it need not be there.
            let (path, optional) = match value.strip_prefix('-') {
                Some(path) => (Path::new(path), true),
                None => (Path::new(value), false),
            };
            match fs::read_to_string(path) {
                Ok(text) => {
                    let read = Reader::Systemd.read(&text);
                    let known = read
                        .into_iter()
                        .map(|(name, value)| (name, Value::Known(value)));
                    self.environment.known.extend(known);
                    self.files.push(path.to_owned());
                }
                Err(e) if optional && e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => {
                    self.unreadable = Some(format!("`{}` cannot be read: {e}", path.display()));
                }
            }
        }
    }
}

fn with_drop_ins(unit: &Path) -> String {
    let mut text = fs::read_to_string(unit).unwrap_or_default();
    let mut directory = unit.as_os_str().to_owned();
    directory.push(".d");
    let entries = fs::read_dir(PathBuf::from(directory));
    let mut paths: Vec<_> = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    paths.sort();
    for path in paths
        .iter()
        .filter(|path| path.extension().is_some_and(|e| e == "conf"))
    {
        text.push('\n');
        text.push_str(&fs::read_to_string(path).unwrap_or_default());
    }
    text
}

fn values<'a>(text: &'a str, name: &'a str) -> impl DoubleEndedIterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let value = line
            .trim()
            .strip_prefix(name)?
            .trim_start()
            .strip_prefix('=')?;
        Some(value.trim())
    })
}

/// `"A=b c" D=e`.
fn assignments(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            '"' | '\'' => rest[1..].split_once(first).unwrap_or((&rest[1..], "")),
            _ => rest.split_once(char::is_whitespace).unwrap_or((rest, "")),
        };
        if let Some((name, value)) = word.split_once('=') {
            let value = value.trim_matches(['"', '\'']);
            found.insert(name.to_owned(), value.to_owned());
        }
        rest = after.trim_start();
    }
    found
}

fn same_place(a: &Path, b: &Path) -> bool {
    match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_start_in_the_directory_give_their_environment() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("live");
        let units = dir.path().join("units");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(units.join("mastodon-web.service.d")).unwrap();
        let unit = |root: &Path| {
            format!(
                "[Service]\nWorkingDirectory={}\nEnvironment=\"RAILS_ENV=production\" PORT=3000\n",
                root.display()
            )
        };
        fs::write(units.join("mastodon-web.service"), unit(&root)).unwrap();
        fs::write(
            units.join("mastodon-other.service"),
            unit(&dir.path().join("b")),
        )
        .unwrap();
        let file = dir.path().join("secrets");
        fs::write(&file, "S3_BUCKET='media'\n").unwrap();
        fs::write(
            units.join("mastodon-web.service.d/override.conf"),
            format!(
                "[Service]\nEnvironment=S3_ENABLED=true\nEnvironmentFile={}\n",
                file.display()
            ),
        )
        .unwrap();
        let directory = units.to_str().unwrap();
        let read = read(&[directory], &root);
        assert!(read.found && read.unreadable.is_none());
        let known = |name: &str| read.environment.known.get(name).cloned();
        assert_eq!(known("S3_ENABLED"), Some(Value::Known("true".to_owned())));
        assert_eq!(known("S3_BUCKET"), Some(Value::Known("media".to_owned())));
        assert_eq!(known("PORT"), Some(Value::Known("3000".to_owned())));
        assert_eq!(read.files, std::slice::from_ref(&file));

        fs::remove_file(&file).unwrap();
        assert!(super::read(&[directory], &root).unreadable.is_some());
    }
}
