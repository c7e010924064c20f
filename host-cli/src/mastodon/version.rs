//! Finds the version of an installation.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use regex::Regex;

use super::compose;
use super::process::Process;
use crate::config::{Deployment, Version};

/// The version of a running process, else of the image or the code in `root`.
pub(super) fn find(
    root: &Path,
    deployment: Option<Deployment>,
    processes: &[&Process],
) -> Option<Version> {
    let of_code =
        |root: &Path| from_ruby(&fs::read_to_string(root.join("lib/mastodon/version.rb")).ok()?);
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

/// Parses `lib/mastodon/version.rb`, which has one method for each number.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_of_version_rb_are_its_methods() {
        let text = "module Mastodon\n  module Version\n    def major\n      4\n    end\n\n    def minor\n      7\n    end\n\n    def patch\n      2\n    end\n\n    def default_prerelease\n      ''\n    end\n";
        assert_eq!(from_ruby(text), Some(Version::new(4, 7, 2)));
        assert_eq!(from_ruby("def major\n 4\nend"), None);
    }
}
