//! What answers are made of: owners and their grants, and the entries and tokens of a listing.

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Result, s3_error};

use crate::listing::Page;
use crate::records::ObjectRecord;
use crate::store::Visibility;

/// What `encoding-type=url` leaves bare.
const URL_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// A page goes on after the key or rolled-up prefix that its token holds.
pub(super) fn read_token(token: &str) -> S3Result<String> {
    let bytes = hex::decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )
        })
}

/// How names are written in a listing.
pub(crate) fn encoder(encoding: Option<&EncodingType>) -> fn(&str) -> String {
    match encoding.map(EncodingType::as_str) {
        Some(EncodingType::URL) => |name| utf8_percent_encode(name, URL_ENCODED).to_string(),
        _ => str::to_owned,
    }
}

pub(super) fn entries(page: Page, encode: fn(&str) -> String) -> (Vec<Object>, Vec<CommonPrefix>) {
    let object = |(key, record): (Arc<str>, ObjectRecord)| Object {
        key: Some(encode(&key)),
        size: Some(record.size as i64),
        e_tag: Some(ETag::Strong(record.tag.text())),
        last_modified: Some(Timestamp::from(record.modified_time())),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
        ..Object::default()
    };
    let prefix = |prefix: String| CommonPrefix {
        prefix: Some(encode(&prefix)),
    };
    (
        page.objects.into_iter().map(object).collect(),
        page.prefixes.into_iter().map(prefix).collect(),
    )
}

pub(super) fn owner() -> Owner {
    Owner {
        id: Some("61d7bafe3d5f".to_owned()),
        display_name: Some("medialift".to_owned()),
    }
}

pub(super) fn grants(visibility: Visibility) -> Vec<Grant> {
    let grant = |grantee, permission| Grant {
        grantee: Some(grantee),
        permission: Some(permission),
    };
    let account = Grantee {
        id: owner().id,
        display_name: owner().display_name,
        email_address: None,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    let mut grants = vec![grant(
        account,
        Permission::from_static(Permission::FULL_CONTROL),
    )];
    if visibility == Visibility::Public {
        let anybody = Grantee {
            id: None,
            display_name: None,
            email_address: None,
            type_: Type::from_static(Type::GROUP),
            uri: Some("http://acs.amazonaws.com/groups/global/AllUsers".to_owned()),
        };
        grants.push(grant(anybody, Permission::from_static(Permission::READ)));
    }
    grants
}
