//! `--include` and `--exclude`: globs over paths relative to the media directory.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};

/// Which paths a command processes.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<GlobSet>,
    /// The beginning of each include, up to its first special character.
    include_starts: Vec<String>,
    exclude: GlobSet,
}

impl Filter {
    /// Reads the globs: `*` stays within a directory, `**` does not.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Filter> {
        Ok(Filter {
            include: if include.is_empty() {
                None
            } else {
                Some(set("--include", include)?)
            },
            include_starts: include.iter().map(|glob| plain_start(glob)).collect(),
            exclude: set("--exclude", exclude)?,
        })
    }

    /// Whether `path` is processed: it is included (or no include was given) and not excluded.
    pub fn takes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(path)) && !self.exclude.is_match(path)
    }

    /// Whether a path below `directory` (which ends with `/`) may be processed; true in doubt, so that a
    /// directory that could not be listed does not count as empty.
    pub fn may_take_below(&self, directory: &str) -> bool {
        let included = self.include.is_none()
            || (self.include_starts.iter())
                .any(|start| directory.starts_with(start) || start.starts_with(directory));
        // An exclude that matches an unusual name at two depths matches the whole directory.
        let name = "\u{fffd}medialift";
        let excluded = ["", "\u{fffd}/"].iter().all(|between| {
            let path = format!("{directory}{between}{name}");
            self.exclude.is_match(path)
        });
        included && !excluded
    }

    /// Whether every path is processed.
    pub fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }
}

fn plain_start(glob: &str) -> String {
    let special = |c: char| matches!(c, '*' | '?' | '[' | '{' | '\\');
    let glob = glob.trim_start_matches('/');
    glob.split(special).next().unwrap_or_default().to_owned()
}

fn set(flag: &str, globs: &[String]) -> Result<GlobSet> {
    let failed = |text: &str, e: globset::Error| {
        Error::usage(format!("read the glob `{text}` of `{flag}`"))
            .cause(e)
            .hint("`*` matches within a directory and `**` across them: `cache/**`, `**/*.png`")
    };
    let mut builder = GlobSetBuilder::new();
    for text in globs {
        let glob = GlobBuilder::new(text.trim_start_matches('/'))
            .literal_separator(true)
            .build()
            .map_err(|e| failed(text, e))?;
        builder.add(glob);
    }
    builder.build().map_err(|e| failed("", e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(include: &[&str], exclude: &[&str], path: &str, expected: bool) {
        let own = |globs: &[&str]| globs.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>();
        let filter = Filter::new(&own(include), &own(exclude)).unwrap();
        assert_eq!(filter.takes(path), expected, "{path}");
    }

    #[test]
    fn a_path_below_an_unreadable_directory_may_be_processed_unless_it_is_surely_excluded() {
        let check = |include: &[&str], exclude: &[&str], directory: &str, expected: bool| {
            let own = |globs: &[&str]| globs.iter().map(|g| (*g).to_owned()).collect::<Vec<_>>();
            let filter = Filter::new(&own(include), &own(exclude)).unwrap();
            assert_eq!(filter.may_take_below(directory), expected, "{directory}");
        };
        check(&[], &[], "a/", true);
        check(&["**/*.png"], &[], "a/", true);
        check(&["accounts/**"], &[], "accounts/avatars/", true);
        check(&["accounts/avatars/*.png"], &[], "accounts/", true);
        check(&["accounts/**"], &[], "cache/", false);
        check(&[], &["cache/**"], "cache/", false);
        check(&[], &["cache/*"], "cache/", true);
        check(&[], &["**/*.png"], "cache/", true);
    }

    #[test]
    fn a_path_is_processed_if_it_is_included_and_not_excluded() {
        check(&[], &[], "a/b.png", true);
        check(&[], &["cache/**"], "cache/a/b.png", false);
        check(&[], &["cache/**"], "accounts/cache.png", true);
        check(&["**/*.png"], &[], "a/b.png", true);
        check(&["**/*.png"], &[], "a/b.jpg", false);
        check(&["*.png"], &[], "a/b.png", false);
        check(
            &["/accounts/**"],
            &["**/original/*"],
            "accounts/1/original/x",
            false,
        );
        assert!(Filter::new(&["a[".to_owned()], &[]).is_err());
    }
}
