//! `ListObjectsV2`, page by page in the order of the keys' UTF-8 bytes.

use std::borrow::Cow;

use http::Method;
use percent_encoding::percent_decode_str;

use super::client::{Client, UnsignedRequest};
use super::error::{ErrorKind, S3Result};
use super::xml;

/// One request for a page of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: String,
    /// Only keys after this one.
    pub start_after: Option<String>,
    /// Token of the page, from the page before it.
    pub continuation_token: Option<String>,
    /// Keys a page; 1,000 at most.
    pub page_size: Option<u16>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedObject {
    /// The key, not encoded.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// ETag without quotes: the MD5, or `…-N` of a multipart upload.
    pub etag: String,
}

/// Up to 1,000 objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPage {
    /// In key order.
    pub objects: Vec<ListedObject>,
    /// Token of the next page, if there is one.
    pub next: Option<String>,
}

impl Client {
    /// One page of a listing.
    pub async fn list(&self, request: &ListRequest) -> S3Result<ListPage> {
        let page_size = request.page_size.map(|size| size.to_string());
        let mut query: Vec<(&str, &str)> = Vec::with_capacity(6);
        // Sorted by name, as the signature requires.
        if let Some(token) = &request.continuation_token {
            query.push(("continuation-token", token));
        }
        query.push(("encoding-type", "url"));
        query.push(("list-type", "2"));
        if let Some(size) = &page_size {
            query.push(("max-keys", size));
        }
        if !request.prefix.is_empty() {
            query.push(("prefix", &request.prefix));
        }
        if let Some(key) = &request.start_after {
            query.push(("start-after", key));
        }
        let unsigned = UnsignedRequest {
            query: &query,
            ..UnsignedRequest::new(Method::GET, None)
        };
        self.execute(unsigned, |response| page(&response.body))
            .await
    }
}

fn page(body: &[u8]) -> Result<ListPage, ErrorKind> {
    let result: xml::ListBucketResult = xml::read(body)?;
    let encoded = result.encoding_type.as_deref() == Some("url");
    if result.is_truncated && result.next_continuation_token.is_none() {
        return Err(ErrorKind::Malformed(
            "a truncated listing without a continuation token".to_owned(),
        ));
    }
    let objects = result
        .contents
        .into_iter()
        .map(|content| {
            let key = if encoded {
                decode(&content.key)?
            } else {
                content.key
            };
            Ok(ListedObject {
                key,
                size: content.size,
                etag: xml::bare_etag(&content.etag),
            })
        })
        .collect::<Result<_, ErrorKind>>()?;
    Ok(ListPage {
        objects,
        next: result
            .next_continuation_token
            .filter(|_| result.is_truncated),
    })
}

/// Decodes a key of `encoding-type=url`, in which a space may also be `+`.
fn decode(key: &str) -> Result<String, ErrorKind> {
    let spaced = if key.contains('+') {
        Cow::Owned(key.replace('+', " "))
    } else {
        Cow::Borrowed(key)
    };
    percent_decode_str(&spaced)
        .decode_utf8()
        .map(Cow::into_owned)
        .map_err(|e| ErrorKind::Malformed(format!("the key `{key}`: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_decoded_and_etags_bare() {
        let body = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>media</Name><EncodingType>url</EncodingType><IsTruncated>true</IsTruncated><NextContinuationToken>abc=</NextContinuationToken><Contents><Key>a+b%2Bc/%C3%A9%01</Key><Size>3</Size><ETag>&quot;900150983CD24FB0D6963F7D28E17F72&quot;</ETag></Contents><Contents><Key>b</Key><Size>0</Size><ETag>"x-2"</ETag></Contents></ListBucketResult>"#;
        let page = page(body).unwrap();
        assert_eq!(page.next.as_deref(), Some("abc="));
        assert_eq!(page.objects.len(), 2);
        assert_eq!(page.objects[0].key, "a b+c/é\u{1}");
        assert_eq!(page.objects[0].etag, "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(page.objects[1].etag, "x-2");
    }

    #[test]
    fn an_empty_bucket_is_an_empty_page_and_a_truncated_document_an_error() {
        assert_eq!(
            page(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>").unwrap(),
            ListPage::default()
        );
        assert!(page(b"<ListBucketResult><Contents><Key>a").is_err());
        assert!(
            page(b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>").is_err()
        );
    }
}
