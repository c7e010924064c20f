//! Headers of the bucket that nginx removes, listed by name, since nginx has no pattern for them.

use std::fmt::Write as _;

/// Headers that are removed: those of S3's GetObject
/// (docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html), of B2
/// (www.backblaze.com/apidocs/b2-download-file-by-name), and those that `b2`, `rclone` and `s3cmd` set.
const HIDDEN: &[&str] = &[
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Private-Network",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "x-amz-bucket-region",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-delete-marker",
    "x-amz-expiration",
    "x-amz-id-2",
    "x-amz-meta-large_file_sha1",
    "x-amz-meta-mtime",
    "x-amz-meta-s3cmd-attrs",
    "x-amz-meta-server-side-encryption",
    "x-amz-meta-src_last_modified_millis",
    "x-amz-missing-meta",
    "x-amz-mp-parts-count",
    "x-amz-object-lock-legal-hold",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-retain-until-date",
    "x-amz-replication-status",
    "x-amz-request-charged",
    "x-amz-request-id",
    "x-amz-restore",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-bucket-key-enabled",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-server-side-encryption-customer-key-MD5",
    "x-amz-storage-class",
    "x-amz-tagging-count",
    "x-amz-version-id",
    "x-amz-website-redirect-location",
    "x-amzn-requestid",
    "x-bz-client-unauthorized-to-read",
    "x-bz-content-sha1",
    "x-bz-file-id",
    "x-bz-file-name",
    "x-bz-file-retention-mode",
    "x-bz-file-retention-retain-until-timestamp",
    "x-bz-info-large_file_sha1",
    "x-bz-info-src_last_modified_millis",
    "x-bz-server-side-encryption",
    "x-bz-server-side-encryption-customer-algorithm",
    "x-bz-server-side-encryption-customer-key-md5",
    "x-bz-upload-timestamp",
];

/// A directive for each header.
pub(super) fn lines() -> String {
    let mut text = String::new();
    for name in HIDDEN {
        let _ = writeln!(text, "  proxy_hide_header {name};");
    }
    text.trim_end().to_owned()
}
