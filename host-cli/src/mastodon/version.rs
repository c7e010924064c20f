//! Mastodon's version: where it is written, and how versions compare.

use std::fmt;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;
use serde::Serialize;

use super::compose;
use super::process::Process;
use crate::config::Deployment;

/// Mastodon's version. What follows the three numbers (`-rc1`, `+glitch`) is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 4 of `4.3.1`.
    pub major: u16,
    /// 3 of `4.3.1`.
    pub minor: u16,
    /// 1 of `4.3.1`.
    pub patch: u16,
}

impl Version {
    /// `4.3.1` as `new(4, 3, 1)`.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Version {
        Version {
            major,
            minor,
            patch,
        }
    }

    /// Whether what came with `since` is there.
    pub fn has(self, since: Version) -> bool {
        self >= since
    }

    /// Reads `4.3.1`, `v4.3`, `4.3.0-rc.1+glitch`.
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim().trim_start_matches('v');
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let mut numbers = text[..end.unwrap_or(text.len())]
            .split('.')
            .filter(|part| !part.is_empty())
            .map(|part| part.parse().ok());
        Some(Version {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next().unwrap_or(Some(0))?,
        })
    }

    /// Reads `lib/mastodon/version.rb`, whose methods give one number each.
    fn from_ruby(text: &str) -> Option<Version> {
        #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
        static METHOD: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"def\s+(major|minor|patch)\s+(\d+)\s+end").unwrap());
        let number = |name: &str| {
            METHOD
                .captures_iter(text)
                .find(|found| &found[1] == name)
                .and_then(|found| found[2].parse().ok())
        };
        Some(Version {
            major: number("major")?,
            minor: number("minor")?,
            patch: number("patch")?,
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The version of the code that runs, else of the code that lies there.
pub(super) fn find(
    root: &Path,
    deployment: Option<Deployment>,
    processes: &[&Process],
) -> Option<Version> {
    let of_code = |root: &Path| {
        Version::from_ruby(&fs::read_to_string(root.join("lib/mastodon/version.rb")).ok()?)
    };
    let of_image = || {
        if deployment == Some(Deployment::Docker) {
            compose::find(root).and_then(|compose| Version::parse(compose.image_tag()?))
        } else {
            None
        }
    };
    processes
        .iter()
        .find_map(|process| of_code(&process.directory))
        .or_else(of_image)
        .or_else(|| of_code(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_compared_as_numbers() {
        for (text, expected) in [
            ("4.3.1", Some(Version::new(4, 3, 1))),
            ("v4.10.0-rc.1+glitch", Some(Version::new(4, 10, 0))),
            ("4.5", Some(Version::new(4, 5, 0))),
            ("latest", None),
            ("", None),
        ] {
            assert_eq!(Version::parse(text), expected, "{text}");
        }
        assert!(Version::new(4, 10, 0).has(Version::new(4, 4, 0)));
        assert!(!Version::new(4, 3, 9).has(Version::new(4, 4, 0)));
    }

    #[test]
    fn the_numbers_of_version_rb_are_its_methods() {
        let text = "module Mastodon\n  module Version\n    def major\n      4\n    end\n\n    def minor\n      7\n    end\n\n    def patch\n      2\n    end\n\n    def default_prerelease\n      ''\n    end\n";
        assert_eq!(Version::from_ruby(text), Some(Version::new(4, 7, 2)));
        assert_eq!(Version::from_ruby("def major\n 4\nend"), None);
    }
}
