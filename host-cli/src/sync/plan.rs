//! What to do with one key: a pure function of both sides. No I/O, no clock.
//!
//! | local file | object | rule | digest known | action |
//! |---|---|---|---|---|
//! | yes | no | any | any | upload: new |
//! | yes | other size | any | any | upload: size |
//! | yes | same size | size only | any | leave: unchanged |
//! | yes | same size | digest | no, or of another kind | compare: read the file |
//! | yes | same size | digest | equal | leave: unchanged |
//! | yes | same size | digest | other | upload: content |
//! | no | yes | delete | – | delete |
//! | no | yes | keep | – | leave: only there |
//!
//! *Of another kind*: a plain MD5 beside a multipart ETag (`…-N`) tells nothing.

use serde::Serialize;

/// The local side of a key.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// Bytes.
    pub size: u64,
    /// The digest in an ETag's form, where known without reading the file.
    pub etag: Option<&'a str>,
}

/// The bucket's side of a key.
#[derive(Clone, Copy, Debug)]
pub struct Remote<'a> {
    /// Bytes.
    pub size: u64,
    /// ETag without quotes.
    pub etag: &'a str,
}

/// What the flags ask for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    /// Equal size is enough.
    pub size_only: bool,
    /// Objects without a local file are deleted.
    pub delete: bool,
}

/// Why a file is uploaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The bucket has no such object.
    New,
    /// The object has another size.
    Size,
    /// The object has other content.
    Content,
}

/// What to do with one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send the file.
    Upload(Why),
    /// Read the file, then decide again.
    Compare,
    /// Both sides are the same.
    Unchanged,
    /// Delete the object.
    Delete,
    /// Leave the object, which has no local file.
    OnlyThere,
    /// Neither side has it.
    Nothing,
}

/// Decides by the table above.
pub fn decide(local: Option<Local<'_>>, remote: Option<Remote<'_>>, rules: Rules) -> Action {
    match (local, remote) {
        (None, None) => Action::Nothing,
        (None, Some(_)) if rules.delete => Action::Delete,
        (None, Some(_)) => Action::OnlyThere,
        (Some(_), None) => Action::Upload(Why::New),
        (Some(local), Some(remote)) if local.size != remote.size => Action::Upload(Why::Size),
        (Some(_), Some(_)) if rules.size_only => Action::Unchanged,
        (Some(local), Some(remote)) => match local.etag {
            Some(etag) if etag == remote.etag => Action::Unchanged,
            Some(etag) if part_count(etag) == part_count(remote.etag) => {
                Action::Upload(Why::Content)
            }
            _ => Action::Compare,
        },
    }
}

/// The `N` of a multipart ETag `…-N`.
pub fn part_count(etag: &str) -> Option<u32> {
    etag.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "900150983cd24fb0d6963f7d28e17f72";
    const B: &str = "d41d8cd98f00b204e9800998ecf8427e";
    const A2: &str = "900150983cd24fb0d6963f7d28e17f72-2";
    const B2: &str = "d41d8cd98f00b204e9800998ecf8427e-2";

    #[test]
    fn the_table_holds() {
        let digest = Rules::default();
        let size_only = Rules {
            size_only: true,
            ..digest
        };
        let delete = Rules {
            delete: true,
            ..digest
        };
        let local = |size, etag| Some(Local { size, etag });
        let remote = |size, etag| Some(Remote { size, etag });
        let table = [
            (local(3, None), None, digest, Action::Upload(Why::New)),
            (local(3, Some(A)), None, size_only, Action::Upload(Why::New)),
            (
                local(3, Some(A)),
                remote(4, A),
                digest,
                Action::Upload(Why::Size),
            ),
            (
                local(3, None),
                remote(4, A),
                size_only,
                Action::Upload(Why::Size),
            ),
            (local(3, None), remote(3, A), size_only, Action::Unchanged),
            (
                local(3, Some(B)),
                remote(3, A),
                size_only,
                Action::Unchanged,
            ),
            (local(3, None), remote(3, A), digest, Action::Compare),
            (local(3, Some(A)), remote(3, A2), digest, Action::Compare),
            (local(3, Some(A2)), remote(3, A), digest, Action::Compare),
            (local(3, Some(A)), remote(3, A), digest, Action::Unchanged),
            (local(3, Some(A2)), remote(3, A2), delete, Action::Unchanged),
            (
                local(3, Some(B)),
                remote(3, A),
                digest,
                Action::Upload(Why::Content),
            ),
            (
                local(3, Some(B2)),
                remote(3, A2),
                digest,
                Action::Upload(Why::Content),
            ),
            (None, remote(3, A), delete, Action::Delete),
            (None, remote(3, A), digest, Action::OnlyThere),
            (None, None, delete, Action::Nothing),
        ];
        for (line, (local, remote, rules, expected)) in table.into_iter().enumerate() {
            assert_eq!(decide(local, remote, rules), expected, "line {line}");
        }
    }
}
