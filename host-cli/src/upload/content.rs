//! `Content-Type` and `Cache-Control` of an object.

/// As Mastodon's own uploads have it.
pub(super) const CACHE_CONTROL: &str = "public, max-age=315576000, immutable";

/// First bytes from which a type is recognized.
pub(super) const SNIFFED: usize = 4096;

/// The type of unknown content.
const UNKNOWN: &str = "application/octet-stream";

/// The media type by the name's extension; where that has none (`x`, `x.bin`), by the first bytes.
pub fn content_type(path: &str, first_bytes: &[u8]) -> String {
    let by_name = mime_guess::from_path(path).first_raw();
    let media_type = match by_name {
        Some(by_name) if by_name != UNKNOWN => by_name,
        _ => by_content(first_bytes),
    };
    match media_type {
        // Browsers do not play the others (RFC 4337).
        "audio/m4a" | "audio/m4b" | "audio/x-m4a" => "audio/mp4",
        media_type => media_type,
    }
    .to_owned()
}

/// Media types only: an upload must not be served as HTML.
fn by_content(first_bytes: &[u8]) -> &'static str {
    let kind = infer::get(first_bytes).map(|kind| kind.mime_type());
    kind.filter(|kind| {
        ["image/", "video/", "audio/"]
            .iter()
            .any(|of| kind.starts_with(of))
    })
    .unwrap_or(UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, first_bytes: &[u8], expected: &str) {
        assert_eq!(content_type(path, first_bytes), expected, "{path}");
    }

    #[test]
    fn the_type_is_the_names_and_else_the_contents() {
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

    #[test]
    fn an_extension_without_a_media_type_is_ignored() {
        check("a/b.bin", b"\x89PNG\r\n\x1a\n", "image/png");
        check("a/b.dat", b"GIF89a", "image/gif");
        check("a/b.bin", b"?", "application/octet-stream");
        check(
            "a/b.bin",
            b"<!DOCTYPE html><html>",
            "application/octet-stream",
        );
    }

    #[test]
    fn mpeg_4_audio_has_the_type_that_browsers_play() {
        let m4a = b"\0\0\0\x18ftypM4A \0\0\x02\0isomiso2mp41";
        for path in ["a.m4a", "a.M4A", "a.m4b", "a.bin", "a"] {
            check(path, m4a, "audio/mp4");
        }
    }
}
