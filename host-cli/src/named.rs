//! Paths and what is the matter with each, for a report: the first by name, the others counted.

use serde::Serialize;

/// Kept by name.
const NAMED: usize = 1_000;

/// Shown by name.
const SHOWN: usize = 20;

/// One path and what is the matter with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Path below the media directory.
    pub path: String,
    /// What is the matter.
    pub reason: String,
}

/// Paths of one sort.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NamedPaths {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Named>,
}

impl NamedPaths {
    /// Counts one, and names it while there is room.
    pub fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(Named {
                path: path.into(),
                reason: reason.into(),
            });
        }
    }

    /// Puts the named ones in order: they were found side by side.
    pub fn sort(&mut self) {
        self.first.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The first twenty, a line each. What a terminal would obey is escaped.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for named in self.first.iter().take(SHOWN) {
            let path: String = named.path.chars().flat_map(printable).collect();
            out.push_str(&format!("  {path}: {}\n", named.reason));
        }
        let more = self.count.saturating_sub(SHOWN as u64);
        if more > 0 {
            out.push_str(&format!("  and {more} more\n"));
        }
        out
    }
}

fn printable(c: char) -> impl Iterator<Item = char> {
    let escaped = c.is_control().then(|| c.escape_default());
    let plain = escaped.is_none().then_some(c);
    escaped.into_iter().flatten().chain(plain)
}
