//! The native API's data: buckets, keys and rules.

use serde::{Deserialize, Serialize};

use crate::config::Visibility;

/// The native API's name of a visibility.
pub fn bucket_type(visibility: Visibility) -> &'static str {
    match visibility {
        Visibility::Public => "allPublic",
        Visibility::Private => "allPrivate",
    }
}

/// A valid name of a new bucket: 6 to 63 letters, digits and `-`, not `b2-…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketName(String);

impl BucketName {
    /// Checks `name`; the error is the rule that it breaks.
    pub fn parse(name: &str) -> Result<BucketName, &'static str> {
        if !(6..=63).contains(&name.len()) {
            Err("a bucket's name has 6 to 63 characters")
        } else if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            Err("a bucket's name has only letters, digits and `-`")
        } else if name.bytes().any(|b| b.is_ascii_uppercase()) {
            // The service takes capitals, but host names, which S3 clients use, are not case sensitive.
            Err(
                "a bucket's name should have lower-case letters only: it becomes part of a host name",
            )
        } else if name.starts_with("b2-") {
            Err("a bucket's name may not begin with `b2-`")
        } else if name.starts_with('-') || name.ends_with('-') {
            Err("a bucket's name should neither begin nor end with `-`")
        } else {
            Ok(BucketName(name.to_owned()))
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bucket {
    /// 24 hex digits.
    pub bucket_id: String,
    /// Its name, unique among all accounts.
    pub bucket_name: String,
    /// `allPublic`, `allPrivate`, or a kind that is not for media.
    pub bucket_type: String,
    /// `s3` where the bucket answers at the S3 endpoint.
    #[serde(default)]
    pub options: Vec<String>,
    /// Incremented with each change.
    pub revision: u64,
    /// Rules for old versions.
    #[serde(default)]
    pub lifecycle_rules: Vec<LifecycleRule>,
    /// CORS rules.
    #[serde(default)]
    pub cors_rules: Vec<CorsRule>,
}

impl Bucket {
    /// Its visibility, where it is one of the two.
    pub fn visibility(&self) -> Option<Visibility> {
        [Visibility::Public, Visibility::Private]
            .into_iter()
            .find(|visibility| bucket_type(*visibility) == self.bucket_type)
    }

    /// Whether it answers at the S3 endpoint: buckets of before 4 May 2020 do not.
    pub fn has_s3(&self) -> bool {
        self.options.iter().any(|option| option == "s3")
    }
}

/// When versions of a file are hidden and removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleRule {
    /// Which files: a prefix of their names; empty is all.
    pub file_name_prefix: String,
    /// Days that a replaced or deleted version is kept; `None`: it is kept, and billed, without limit.
    pub days_from_hiding_to_deleting: Option<u32>,
    /// Days until a file is hidden by itself.
    pub days_from_uploading_to_hiding: Option<u32>,
    /// Days until an upload in parts that was not completed is cancelled.
    #[serde(default)]
    pub days_from_starting_to_canceling_unfinished_large_files: Option<u32>,
}

/// A CORS rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CorsRule {
    /// Its name.
    pub cors_rule_name: String,
    /// Origins.
    pub allowed_origins: Vec<String>,
    /// Operations.
    pub allowed_operations: Vec<String>,
    /// Request headers.
    #[serde(default)]
    pub allowed_headers: Option<Vec<String>>,
    /// Response headers that scripts may read.
    #[serde(default)]
    pub expose_headers: Option<Vec<String>>,
    /// How long a browser may cache the preflight's result.
    pub max_age_seconds: u32,
}

/// What a key may do, and where.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Allowed {
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// The buckets it is restricted to; `None` is every bucket of the account.
    pub buckets: Option<Vec<AllowedBucket>>,
    /// The prefix of names it is restricted to.
    pub name_prefix: Option<String>,
}

/// A bucket that a key is restricted to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct AllowedBucket {
    /// The bucket's id.
    pub id: String,
    /// The bucket's name; `None` when the bucket is gone.
    pub name: Option<String>,
}

/// A key as it is listed, without the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// 25 characters.
    pub application_key_id: String,
    /// Its name. Several keys may have the same.
    pub key_name: String,
    /// Its capabilities.
    pub capabilities: Vec<String>,
    /// The buckets it is restricted to; `None` is every bucket.
    pub bucket_ids: Option<Vec<String>>,
    /// The prefix of names it is restricted to.
    pub name_prefix: Option<String>,
    /// When it expires, in milliseconds since 1970.
    pub expiration_timestamp: Option<i64>,
}

/// A new key, with the key itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreatedKey {
    /// 25 characters.
    pub application_key_id: String,
    /// The key.
    #[serde(deserialize_with = "secret")]
    pub application_key: crate::config::Secret,
}

fn secret<'de, D: serde::Deserializer<'de>>(d: D) -> Result<crate::config::Secret, D::Error> {
    String::deserialize(d).map(crate::config::Secret::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, fault: Option<&str>) {
        match (BucketName::parse(name), fault) {
            (Ok(parsed), None) => assert_eq!(parsed.as_str(), name),
            (Err(message), Some(part)) => assert!(message.contains(part), "{name}: {message}"),
            (got, _) => panic!("{name}: {got:?}"),
        }
    }

    #[test]
    fn a_bucket_name_follows_the_services_rules() {
        check("my-instance-media", None);
        check("media1", None);
        check("media", Some("6 to 63"));
        check(&"m".repeat(64), Some("6 to 63"));
        check("my_media", Some("letters, digits"));
        check("My-Media", Some("lower-case letters"));
        check("b2-media", Some("b2-"));
        check("-media-", Some("neither begin nor end"));
    }

    #[test]
    fn a_created_key_is_not_shown_by_a_debug_print() {
        let key: CreatedKey = serde_json::from_str(
            r#"{"applicationKeyId":"00161f959a5f87b0000000001","applicationKey":"K001verysecret"}"#,
        )
        .unwrap();
        assert!(!format!("{key:?}").contains("verysecret"));
        assert_eq!(key.application_key.expose(), "K001verysecret");
    }
}
