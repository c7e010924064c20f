//! Paths with a reason each, for reports: the first thousand are listed, all are counted.

use serde::Serialize;

/// Most paths in a list.
const LISTED: usize = 1_000;

/// Most paths in the text of a report.
const SHOWN: usize = 20;

/// A path and why it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReportedPath {
    /// Path below the media directory.
    pub path: String,
    /// Why it is listed.
    pub reason: String,
}

/// Paths that are listed for one kind of reason.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportedPaths {
    /// How many there are in all.
    pub count: u64,
    /// The first of them.
    pub first: Vec<ReportedPath>,
}

impl ReportedPaths {
    /// Counts one, and lists it unless the list is full.
    pub fn add(&mut self, path: impl Into<String>, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < LISTED {
            self.first.push(ReportedPath {
                path: path.into(),
                reason: reason.into(),
            });
        }
    }

    /// Sorts the list: concurrent tasks add to it.
    pub fn sort(&mut self) {
        self.first.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The first twenty, a line each, with control characters escaped.
    pub fn lines(&self) -> String {
        let mut out = String::new();
        for reported in self.first.iter().take(SHOWN) {
            let path: String = reported.path.chars().flat_map(printable).collect();
            out.push_str(&format!("  {path}: {}\n", reported.reason));
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
