//! The page of `verify --html`: one file, which loads media of the files domain in a browser.
//!
//! The script of the page checks the media; this module inserts the data. For tests, the result is in
//! `data-state` and `data-failed` of the root element.

use serde::Serialize;

use super::SiteUrl;
use super::samples::SampleRead;
use crate::findings::{Finding, summary};

const TEMPLATE: &str = include_str!("page.html");
/// Most pictures, videos and sounds on the page, to bound its loading time.
const MOST_SHOWN: usize = 24;

#[derive(Serialize)]
struct Data<'a> {
    files_url: String,
    bucket: &'a str,
    summary: String,
    findings: &'a [Finding],
    media: Vec<&'a SampleRead>,
}

/// The text of the page.
pub fn render(
    files_url: &SiteUrl,
    bucket: &str,
    findings: &[Finding],
    reads: &[SampleRead],
) -> String {
    let shown = |read: &&SampleRead| {
        ["image/", "video/", "audio/"]
            .iter()
            .any(|kind| read.content_type.starts_with(kind))
    };
    let data = Data {
        files_url: files_url.to_string(),
        bucket,
        summary: summary(findings),
        findings,
        media: reads.iter().filter(shown).take(MOST_SHOWN).collect(),
    };
    // `<` is the only character that could end the script element with the data.
    let json = serde_json::to_string(&data)
        .unwrap_or_else(|_| "{}".to_owned())
        .replace('<', "\\u003c");
    TEMPLATE
        .replace("FILES-ORIGIN", &origin(files_url))
        .replace("\"PAGE-DATA\"", &json)
}

/// Scheme, host and port, for the content security policy.
fn origin(files_url: &SiteUrl) -> String {
    let text = files_url.to_string();
    let start = text.find("://").map_or(0, |at| at + 3);
    let end = text[start..].find('/').map_or(text.len(), |at| start + at);
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_can_break_out_of_the_page() {
        let url = SiteUrl::parse("https://files.example.com/media").unwrap();
        let markup = "</script><script>alert(1)</script>";
        let findings = [Finding::passed("names", markup)];
        let reads = [SampleRead {
            key: markup.to_owned(),
            url: format!("https://files.example.com/{markup}"),
            size: 1,
            content_type: format!("image/{markup}"),
            cache: markup.to_owned(),
            fault: Some(markup.to_owned()),
        }];
        let page = render(&url, markup, &findings, &reads);
        assert!(!page.contains("<script>alert"));
        assert!(page.contains("img-src https://files.example.com;"));
        assert!(!page.contains("PAGE-DATA"));
    }
}
