//! Versions of Mastodon.

use std::fmt;

use serde::Serialize;

/// A version of Mastodon. What follows the three numbers (`-rc1`, `+glitch`) is ignored.
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

    /// Whether it has what was introduced in `since`.
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
}
