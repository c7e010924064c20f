//! Backblaze's native API: the account, buckets and keys. Objects are left to the S3 client.
//!
//! Tokens last 24 hours and a command makes a handful of calls, so a token that expires is reported and
//! not renewed.

mod call;
mod check;
mod model;

pub use self::call::CallError;
pub use self::check::{Expected, check};
pub use self::model::{
    Allowed, Bucket, BucketName, CorsRule, CreatedKey, Key, LifecycleRule, bucket_type,
};

use serde::Deserialize;
use serde_json::json;

use self::call::{Caller, RetryRule};
use crate::config::{Credentials, Endpoint, File, Secret, Visibility};
use crate::error::{Error, Result};

/// The address of the native API.
const REALM: &str = "https://api.backblazeb2.com";

/// The address of the native API: Backblaze's, unless the settings or `B2_ENVIRONMENT` name another.
pub fn realm(file: &File) -> Result<Endpoint> {
    let text = std::env::var("B2_ENVIRONMENT")
        .ok()
        .filter(|value| !value.is_empty() && value != "production")
        .or_else(|| file.b2_api.clone())
        .unwrap_or_else(|| REALM.to_owned());
    Endpoint::parse(&text).map_err(|fault| {
        Error::usage(format!("use `{text}` as the native API"))
            .cause(fault)
            .hint("unset `b2_api` in medialift.toml and `B2_ENVIRONMENT` to use Backblaze's own")
    })
}

/// The capabilities that Mastodon, `sync` and `verify` need, and no more.
///
/// `listAllBucketNames`: S3 clients find the bucket of a restricted key by listing all names.
/// `deleteFiles`: Mastodon deletes. `readBuckets`: ACLs and the bucket's location.
/// Source: Backblaze's page "S3-Compatible App Keys".
pub const CAPABILITIES: [&str; 7] = [
    "listBuckets",
    "listAllBucketNames",
    "readBuckets",
    "listFiles",
    "readFiles",
    "writeFiles",
    "deleteFiles",
];

/// An authorized account.
#[derive(Debug)]
pub struct Session {
    caller: Caller,
    api: String,
    token: Secret,
    /// Id of the key.
    pub key_id: String,
    /// Id of the account, which is also the id of its master key.
    pub account_id: String,
    /// The S3 endpoint of this account's buckets.
    pub s3_endpoint: Endpoint,
    /// What the key may do.
    pub allowed: Allowed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorized {
    account_id: String,
    authorization_token: String,
    api_info: ApiInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiInfo {
    storage_api: StorageApi,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StorageApi {
    api_url: String,
    s3_api_url: String,
    allowed: Allowed,
}

#[derive(Deserialize)]
struct Buckets {
    buckets: Vec<Bucket>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    keys: Vec<Key>,
    next_application_key_id: Option<String>,
}

impl Session {
    /// `b2_authorize_account` at `realm`.
    pub async fn open(realm: &Endpoint, credentials: &Credentials) -> Result<Session, CallError> {
        let caller = Caller::new();
        let answer: Authorized = caller
            .authorize(&realm.to_string(), &credentials.key_id, &credentials.key)
            .await?;
        let storage = answer.api_info.storage_api;
        let unusable = |what: &'static str, url: &str| CallError::Unusable {
            call: "b2_authorize_account",
            what,
            url: url.to_owned(),
        };
        let api = Endpoint::parse(&storage.api_url)
            .map_err(|_| unusable("apiUrl", &storage.api_url))?
            .to_string();
        let s3_endpoint = Endpoint::parse(&storage.s3_api_url)
            .map_err(|_| unusable("s3ApiUrl", &storage.s3_api_url))?;
        Ok(Session {
            caller,
            api,
            token: Secret::new(answer.authorization_token),
            key_id: credentials.key_id.clone(),
            account_id: answer.account_id,
            s3_endpoint,
            allowed: storage.allowed,
        })
    }

    /// Whether this is the master key, which the S3 endpoint refuses.
    pub fn is_master(&self) -> bool {
        self.key_id == self.account_id
    }

    /// `b2_list_buckets` for one name: a restricted key may not list all.
    pub async fn bucket(&self, name: &str) -> Result<Option<Bucket>, CallError> {
        let body = json!({ "accountId": self.account_id, "bucketName": name });
        let found: Buckets = self
            .call("b2_list_buckets", RetryRule::Always, body)
            .await?;
        Ok(found
            .buckets
            .into_iter()
            .find(|b| b.bucket_name.eq_ignore_ascii_case(name)))
    }

    /// `b2_create_bucket`.
    pub async fn create_bucket(
        &self,
        name: &BucketName,
        visibility: Visibility,
        lifecycle: &[LifecycleRule],
        cors: &[CorsRule],
    ) -> Result<Bucket, CallError> {
        let body = json!({
            "accountId": self.account_id,
            "bucketName": name.as_str(),
            "bucketType": bucket_type(visibility),
            "lifecycleRules": lifecycle,
            "corsRules": cors,
        });
        self.call("b2_create_bucket", RetryRule::IfNotPerformed, body)
            .await
    }

    /// `b2_update_bucket`, which the service refuses if the bucket was changed after it was read.
    pub async fn update_bucket(
        &self,
        bucket: &Bucket,
        lifecycle: &[LifecycleRule],
        cors: &[CorsRule],
    ) -> Result<Bucket, CallError> {
        let body = json!({
            "accountId": self.account_id,
            "bucketId": bucket.bucket_id,
            "lifecycleRules": lifecycle,
            "corsRules": cors,
            "ifRevisionIs": bucket.revision,
        });
        self.call("b2_update_bucket", RetryRule::IfNotPerformed, body)
            .await
    }

    /// `b2_create_key`, restricted to `bucket`. Only this response has the key itself.
    pub async fn create_key(&self, name: &str, bucket: &Bucket) -> Result<CreatedKey, CallError> {
        let body = json!({
            "accountId": self.account_id,
            "keyName": name,
            "capabilities": CAPABILITIES,
            "bucketIds": [bucket.bucket_id],
        });
        self.call("b2_create_key", RetryRule::IfNotPerformed, body)
            .await
    }

    /// `b2_list_keys`, all pages.
    pub async fn keys(&self) -> Result<Vec<Key>, CallError> {
        let mut keys = Vec::new();
        let mut start: Option<String> = None;
        loop {
            let mut body = json!({ "accountId": self.account_id, "maxKeyCount": 1000 });
            if let Some(start) = &start {
                body["startApplicationKeyId"] = json!(start);
            }
            let page: Keys = self.call("b2_list_keys", RetryRule::Always, body).await?;
            keys.extend(page.keys);
            match page.next_application_key_id {
                // The same page again would be an endless loop.
                Some(next) if start.as_ref() != Some(&next) => start = Some(next),
                _ => return Ok(keys),
            }
        }
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        name: &'static str,
        retry: RetryRule,
        body: serde_json::Value,
    ) -> Result<T, CallError> {
        self.caller
            .post(&self.api, name, &self.token, retry, &body)
            .await
    }
}
