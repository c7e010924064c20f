//! `--include` and `--exclude`: globs over paths relative to the media directory.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

use crate::error::{Error, Result};

/// Which paths take part.
#[derive(Clone, Debug)]
pub struct Filter {
    include: Option<GlobSet>,
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
            exclude: set("--exclude", exclude)?,
        })
    }

    /// Whether `path` takes part: it is included (or nothing was said) and not excluded.
    pub fn takes(&self, path: &str) -> bool {
        self.include.as_ref().is_none_or(|set| set.is_match(path)) && !self.exclude.is_match(path)
    }

    /// Whether every path takes part.
    pub fn takes_all(&self) -> bool {
        self.include.is_none() && self.exclude.is_empty()
    }
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
    fn included_and_not_excluded_takes_part() {
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
