//! Who may do what, and what B2 refuses.

use e2e::client::Client;
use testkit::stack::{Origin, OriginOptions};

use crate::{anonymous, origin, signing};

#[track_caller]
fn check(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], expected: &str) {
    let answer = client.send(method, path, headers, b"x").expect("an answer");
    assert_eq!(
        answer.error().trim(),
        expected,
        "{method} {path} {headers:?}: {}",
        answer.text()
    );
}

fn filled() -> Origin {
    let origin = origin();
    for bucket in ["media", "closed"] {
        assert_eq!(
            signing(&origin)
                .put(bucket, "a", &[], b"x")
                .expect("put")
                .status,
            200
        );
    }
    origin
}

#[test]
fn a_public_bucket_shows_objects_but_no_list_to_the_anonymous() {
    let origin = filled();
    let anonymous = anonymous(&origin);
    check(&anonymous, "GET", "/media/a", &[], "200");
    check(&anonymous, "HEAD", "/media/a", &[], "200");
    check(&anonymous, "GET", "/media/b", &[], "404 NoSuchKey");
    check(&anonymous, "GET", "/media", &[], "403 AccessDenied");
    check(
        &anonymous,
        "GET",
        "/media?list-type=2",
        &[],
        "403 AccessDenied",
    );
    check(&anonymous, "GET", "/", &[], "403 AccessDenied");
    check(&anonymous, "PUT", "/media/b", &[], "403 AccessDenied");
    check(&anonymous, "DELETE", "/media/a", &[], "403 AccessDenied");
}

#[test]
fn a_private_bucket_shows_nothing_to_the_anonymous() {
    let origin = filled();
    check(
        &anonymous(&origin),
        "GET",
        "/closed/a",
        &[],
        "401 UnauthorizedAccess",
    );
    check(
        &anonymous(&origin),
        "GET",
        "/closed/b",
        &[],
        "401 UnauthorizedAccess",
    );
    check(
        &anonymous(&origin),
        "GET",
        "/closed?list-type=2",
        &[],
        "403 AccessDenied",
    );
    check(&signing(&origin), "GET", "/closed/a", &[], "200");
}

#[test]
fn a_master_key_an_unknown_key_and_a_wrong_secret_are_distinguished() {
    let origin = origin();
    let as_key = |id: &str, key: &str| Client::signing(&origin.s3_url, id, key);
    let master = as_key("161f959a5f87", "K001testsecretkeyofthetestserver");
    check(
        &master,
        "GET",
        "/media?list-type=2",
        &[],
        "403 InvalidAccessKeyId",
    );
    let answer = master
        .send("GET", "/media?list-type=2", &[], &[])
        .expect("an answer");
    assert_eq!(answer.element("Message"), "Malformed Access Key Id");

    let unknown = as_key(
        "00161f959a5f87b0000000099",
        "K001testsecretkeyofthetestserver",
    );
    let answer = unknown
        .send("PUT", "/media/a", &[], &[7; 3 << 20])
        .expect("an answer, not a broken pipe");
    assert_eq!(answer.error(), "403 InvalidAccessKeyId");
    assert_eq!(
        answer.element("Message"),
        "The key '00161f959a5f87b0000000099' is not valid"
    );

    check(
        &as_key(OriginOptions::KEY_ID, "wrong"),
        "GET",
        "/media?list-type=2",
        &[],
        "403 SignatureDoesNotMatch",
    );
    check(
        &signing(&origin),
        "GET",
        "/nobody?list-type=2",
        &[],
        "404 NoSuchBucket",
    );
}

#[test]
fn what_b2_does_not_know_is_refused_and_not_stored() {
    let origin = origin();
    let client = signing(&origin);
    let refused = [
        ("x-amz-checksum-crc32", "AAAAAA=="),
        (
            "x-amz-checksum-sha256",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
        ),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-tagging", "a=b"),
        ("if-none-match", "*"),
        ("if-match", "\"9dd4e461268c8034f5c8564e155c67a6\""),
        ("x-amz-acl", "private"),
        ("x-amz-acl", "public-read-write"),
    ];
    for (name, value) in refused {
        check(
            &client,
            "PUT",
            "/media/a",
            &[(name, value)],
            "400 InvalidArgument",
        );
    }
    check(
        &client,
        "PUT",
        "/closed/a",
        &[("x-amz-acl", "public-read")],
        "400 InvalidArgument",
    );
    check(
        &client,
        "GET",
        "/media/a",
        &[("x-amz-checksum-mode", "ENABLED")],
        "400 InvalidArgument",
    );
    check(&client, "GET", "/media/a", &[], "404 NoSuchKey");
    check(&client, "GET", "/closed/a", &[], "404 NoSuchKey");
    check(
        &client,
        "PUT",
        "/media/a",
        &[("x-amz-acl", "public-read")],
        "200",
    );
    check(
        &client,
        "PUT",
        "/closed/a",
        &[("x-amz-acl", "private")],
        "200",
    );
}

#[test]
fn every_answer_carries_the_headers_of_b2() {
    let origin = filled();
    let client = anonymous(&origin);
    for path in ["/media/a", "/media/missing", "/media"] {
        let answer = client.send("GET", path, &[], &[]).expect("an answer");
        assert_eq!(answer.header("x-amz-request-id").len(), 16, "{path}");
        assert!(!answer.header("x-amz-id-2").is_empty(), "{path}");
        assert_eq!(
            answer.header("cache-control"),
            "max-age=0, no-cache, no-store",
            "{path}"
        );
    }
    let answer = client.get("media", "a").expect("an answer");
    assert!(answer.header("x-amz-version-id").starts_with("4_z"));
}
