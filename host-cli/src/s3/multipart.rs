//! Multipart uploads: created, sent part by part, listed by a later run, completed or aborted.

use bytes::Bytes;
use http::Method;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap};

use super::body::Body;
use super::client::{Client, UnsignedRequest, WholeResponse};
use super::error::{ErrorKind, S3Result};
use super::object::{CONTENT_MD5, etag_of, insert_text, md5_header};
use super::xml;

/// A part that was uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// From 1.
    pub number: u32,
    /// Bytes.
    pub size: u64,
    /// MD5, hex.
    pub etag: String,
}

/// A part as it is named when the upload is completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletedPart {
    /// From 1.
    pub number: u32,
    /// MD5, hex.
    pub etag: String,
}

impl Client {
    /// Creates an upload and returns its id.
    pub async fn create_multipart_upload(
        &self,
        key: &str,
        content_type: &str,
        cache_control: Option<&str>,
    ) -> S3Result<String> {
        let mut headers = HeaderMap::new();
        insert_text(&mut headers, CONTENT_TYPE, content_type);
        if let Some(value) = cache_control {
            insert_text(&mut headers, CACHE_CONTROL, value);
        }
        let request = UnsignedRequest {
            query: &[("uploads", "")],
            headers,
            ..UnsignedRequest::new(Method::POST, Some(key))
        };
        self.execute(request, |response| {
            let body = response.body;
            Ok(xml::read::<xml::InitiateMultipartUploadResult>(&body)?.upload_id)
        })
        .await
    }

    /// Uploads one part; the returned ETag is compared with the MD5.
    pub async fn upload_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u32,
        body: Body,
        md5: [u8; 16],
    ) -> S3Result<CompletedPart> {
        let text = number.to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_MD5, md5_header(&md5));
        let request = UnsignedRequest {
            method: Method::PUT,
            key: Some(key),
            query: &[("partNumber", &text), ("uploadId", upload_id)],
            headers,
            body,
        };
        let expected = hex::encode(md5);
        self.execute(request, |response| {
            let etag = etag_of(&response.headers);
            if etag == expected {
                Ok(CompletedPart { number, etag })
            } else {
                Err(ErrorKind::Mismatch {
                    sent: expected.clone(),
                    stored: etag,
                })
            }
        })
        .await
    }

    /// Completes an upload and returns the object's composite ETag. A response that is not S3's result,
    /// whatever its status, is [`ErrorKind::Malformed`]: the object may or may not be there.
    pub async fn complete_multipart_upload(
        &self,
        key: &str,
        upload_id: &str,
        parts: &[CompletedPart],
    ) -> S3Result<String> {
        let mut document = String::from("<CompleteMultipartUpload>");
        for part in parts {
            // The ETag is hex: nothing to escape.
            document.push_str(&format!(
                "<Part><PartNumber>{}</PartNumber><ETag>&quot;{}&quot;</ETag></Part>",
                part.number, part.etag
            ));
        }
        document.push_str("</CompleteMultipartUpload>");
        let mut headers = HeaderMap::new();
        insert_text(&mut headers, CONTENT_TYPE, "application/xml");
        let request = UnsignedRequest {
            method: Method::POST,
            key: Some(key),
            query: &[("uploadId", upload_id)],
            headers,
            body: Body::Bytes(Bytes::from(document)),
        };
        self.execute(request, |response| {
            let WholeResponse { status, body, .. } = response;
            match xml::root(&body)?.as_str() {
                "CompleteMultipartUploadResult" => {
                    let result: xml::CompleteMultipartUploadResult = xml::read(&body)?;
                    Ok(xml::bare_etag(&result.etag))
                }
                // The status is sent before the service knows the result.
                "Error" => {
                    let xml::ErrorBody { code, message } = xml::read(&body)?;
                    Err(ErrorKind::Service {
                        status,
                        code,
                        message,
                        retry_after: None,
                        clock_difference: None,
                    })
                }
                other => Err(ErrorKind::Malformed(format!(
                    "`{other}` where the result of an upload is expected"
                ))),
            }
        })
        .await
    }

    /// Aborts an upload, which deletes its parts.
    pub async fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> S3Result<()> {
        let request = UnsignedRequest {
            query: &[("uploadId", upload_id)],
            ..UnsignedRequest::new(Method::DELETE, Some(key))
        };
        self.execute(request, |_| Ok(())).await
    }

    /// All parts of an upload so far.
    pub async fn list_parts(&self, key: &str, upload_id: &str) -> S3Result<Vec<Part>> {
        let mut parts = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let mut query: Vec<(&str, &str)> = Vec::with_capacity(2);
            if let Some(marker) = &marker {
                query.push(("part-number-marker", marker));
            }
            query.push(("uploadId", upload_id));
            let request = UnsignedRequest {
                query: &query,
                ..UnsignedRequest::new(Method::GET, Some(key))
            };
            let page = self
                .execute(request, |response| {
                    let body = response.body;
                    xml::read::<xml::ListPartsResult>(&body)
                })
                .await?;
            parts.extend(page.parts.into_iter().map(|part| Part {
                number: part.part_number,
                size: part.size,
                etag: xml::bare_etag(&part.etag),
            }));
            marker = page.next_part_number_marker;
            if !page.is_truncated || marker.is_none() {
                return Ok(parts);
            }
        }
    }
}
