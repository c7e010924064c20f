//! `Content-Type` and `Cache-Control` of an object.

/// As Mastodon's own uploads have it.
pub(super) const CACHE_CONTROL: &str = "public, max-age=315576000, immutable";

/// How many first bytes are enough to tell a type.
pub(super) const SNIFFED: usize = 4096;

/// By name; where that tells nothing, by the content's first bytes.
pub fn content_type(path: &str, first_bytes: &[u8]) -> String {
    if let Some(by_name) = mime_guess::from_path(path).first_raw() {
        return by_name.to_owned();
    }
    infer::get(first_bytes)
        .map_or("application/octet-stream", |kind| kind.mime_type())
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, first_bytes: &[u8], expected: &str) {
        assert_eq!(content_type(path, first_bytes), expected);
    }

    #[test]
    fn the_name_tells_the_type_and_else_the_content_does() {
        check("a/b.png", b"", "image/png");
        check("a/b.JPG", b"", "image/jpeg");
        check("a/b.webp", b"", "image/webp");
        check("a/b.mp4", b"", "video/mp4");
        check("a/b.mp3", b"", "audio/mpeg");
        check("a/b", b"\x89PNG\r\n\x1a\n", "image/png");
        check("a.d/b", b"GIF89a", "image/gif");
        check("a/b", b"?", "application/octet-stream");
        check("a/b.unheard-of", b"", "application/octet-stream");
    }
}
