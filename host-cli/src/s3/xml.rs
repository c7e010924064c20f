//! S3's XML documents, with S3's own names.

use quick_xml::events::Event;
use serde::Deserialize;

use super::error::ErrorKind;

/// Body of an error response.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ErrorBody {
    pub(super) code: String,
    pub(super) message: String,
}

/// Response to `ListObjectsV2`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListBucketResult {
    #[serde(default)]
    pub(super) is_truncated: bool,
    pub(super) next_continuation_token: Option<String>,
    pub(super) encoding_type: Option<String>,
    #[serde(default)]
    pub(super) contents: Vec<ObjectEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ObjectEntry {
    pub(super) key: String,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(rename = "ETag", default)]
    pub(super) etag: String,
}

/// Response to `CreateMultipartUpload`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct InitiateMultipartUploadResult {
    pub(super) upload_id: String,
}

/// Response to `CompleteMultipartUpload`.
#[derive(Debug, Deserialize)]
pub(super) struct CompleteMultipartUploadResult {
    #[serde(rename = "ETag")]
    pub(super) etag: String,
}

/// Response to `ListParts`.
#[derive(Debug, Deserialize)]
pub(super) struct ListPartsResult {
    #[serde(rename = "IsTruncated", default)]
    pub(super) is_truncated: bool,
    #[serde(rename = "NextPartNumberMarker")]
    pub(super) next_part_number_marker: Option<String>,
    #[serde(rename = "Part", default)]
    pub(super) parts: Vec<PartEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PartEntry {
    pub(super) part_number: u32,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(rename = "ETag", default)]
    pub(super) etag: String,
}

/// The name of the root element.
pub(super) fn root(body: &[u8]) -> Result<String, ErrorKind> {
    let mut reader = quick_xml::Reader::from_reader(body);
    loop {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                let name = element.local_name();
                return Ok(name.as_ref().to_owned());
            }
            Ok(Event::Eof) => return Err(ErrorKind::Malformed("it is empty".to_owned())),
            Ok(_) => {}
            Err(e) => return Err(ErrorKind::Malformed(e.to_string())),
        }
    }
}

/// Reads one document.
pub(super) fn read<'de, T: Deserialize<'de>>(body: &'de [u8]) -> Result<T, ErrorKind> {
    let text = std::str::from_utf8(body).map_err(|e| ErrorKind::Malformed(e.to_string()))?;
    quick_xml::de::from_str(text).map_err(|e| ErrorKind::Malformed(e.to_string()))
}

/// An ETag without its quotes.
pub(super) fn bare_etag(etag: &str) -> String {
    etag.trim_matches('"').to_ascii_lowercase()
}
