//! One page of a listing, in the order of the keys' bytes.
//!
//! Leaves to others: how S3 writes it down ([`super::service`]).

use std::ops::Bound;
use std::sync::Arc;

use super::records::ObjectRecord;
use super::store::{Bucket, Scan};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    /// Only keys that begin with this.
    pub prefix: &'a str,
    /// Keys are rolled up to the first of these after the prefix; empty for none.
    pub delimiter: &'a str,
    /// Only keys after this one; if it is a rolled-up prefix, only keys after all of those.
    pub after: &'a str,
    /// Entries at most, rolled-up ones counted too.
    pub limit: usize,
}

/// One page.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects.
    pub objects: Vec<(Arc<str>, ObjectRecord)>,
    /// Rolled-up prefixes.
    pub prefixes: Vec<String>,
    /// Where the next page goes on, if there is one.
    pub next: Option<String>,
}

/// Reads one page.
pub fn page(bucket: &Bucket, request: PageRequest<'_>) -> Page {
    let mut page = Page::default();
    if request.limit == 0 {
        return page;
    }
    let mut last = String::new();
    let from = if request.after < request.prefix {
        Bound::Included(request.prefix)
    } else if request.after.is_empty() {
        Bound::Unbounded
    } else {
        Bound::Excluded(request.after)
    };
    bucket.scan(from, |key, object| {
        let Some(rest) = key.strip_prefix(request.prefix) else {
            return Scan::Stop;
        };
        let rolled = match request.delimiter {
            "" => None,
            delimiter => rest
                .find(delimiter)
                .map(|at| key[..request.prefix.len() + at + delimiter.len()].to_owned()),
        };
        if let Some(rolled) = rolled {
            // A page that ended with this prefix is followed by what comes after all of its keys.
            if rolled != request.after {
                if page.objects.len() + page.prefixes.len() == request.limit {
                    page.next = Some(std::mem::take(&mut last));
                    return Scan::Stop;
                }
                last.clone_from(&rolled);
                page.prefixes.push(rolled.clone());
            }
            return Scan::SkipPrefix(rolled);
        }
        if page.objects.len() + page.prefixes.len() == request.limit {
            page.next = Some(std::mem::take(&mut last));
            return Scan::Stop;
        }
        last.clear();
        last.push_str(key);
        page.objects.push((key.clone(), object.clone()));
        Scan::Next
    });
    page
}

#[cfg(test)]
mod tests {
    use super::super::content::Bodies;
    use super::*;
    use crate::records::EntityTag;
    use crate::store::{Store, Visibility};

    fn every_page(bucket: &Bucket, prefix: &str, delimiter: &str, limit: usize) -> Vec<String> {
        let (mut entries, mut after) = (Vec::new(), String::new());
        loop {
            let request = PageRequest {
                prefix,
                delimiter,
                after: &after,
                limit,
            };
            let page = page(bucket, request);
            assert!(page.objects.len() + page.prefixes.len() <= limit);
            entries.extend(page.objects.iter().map(|(key, _)| key.to_string()));
            entries.extend(page.prefixes);
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        entries.sort();
        entries
    }

    #[track_caller]
    fn check(prefix: &str, delimiter: &str, expected: &[&str]) {
        let keys = [
            "a", "a.txt", "a/b", "a/c/d", "a/c/e", "b/x", "b/y", "é/z", "😀",
        ];
        let dir = tempfile::tempdir().expect("temporary directory");
        let buckets = [("media".to_owned(), Visibility::Public)];
        let store = Store::open(dir.path(), &buckets, Bodies::Kept).expect("open");
        let bucket = store.bucket("media").expect("bucket");
        let tag = EntityTag::of_md5([0; 16]);
        bucket
            .register(keys.map(|key| (key.into(), 1, tag)))
            .expect("register");
        for limit in 1..=keys.len() {
            let listed = every_page(bucket, prefix, delimiter, limit);
            assert_eq!(listed, expected, "pages of {limit}");
        }
    }

    #[test]
    fn pages_of_any_size_hold_every_key_once() {
        check(
            "",
            "",
            &[
                "a", "a.txt", "a/b", "a/c/d", "a/c/e", "b/x", "b/y", "é/z", "😀",
            ],
        );
        check("a/", "", &["a/b", "a/c/d", "a/c/e"]);
        check("a", "", &["a", "a.txt", "a/b", "a/c/d", "a/c/e"]);
        check("zz", "", &[]);
    }

    #[test]
    fn keys_are_rolled_up_to_the_first_delimiter_after_the_prefix() {
        check("", "/", &["a", "a.txt", "a/", "b/", "é/", "😀"]);
        check("a/", "/", &["a/b", "a/c/"]);
        check("a/c", "/", &["a/c/"]);
    }
}
