//! Objects and their parts: what is put is what is read.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};

use crate::{anonymous, origin, signing};
use e2e::client::{Answer, Client};

fn md5_of(bytes: &[u8]) -> [u8; 16] {
    Md5::digest(bytes).into()
}

#[test]
fn headers_and_metadata_come_back_as_they_were_given() {
    let origin = origin();
    let given = [
        ("content-type", "image/png"),
        ("cache-control", "public, max-age=315576000, immutable"),
        ("content-disposition", "inline"),
        ("x-amz-meta-mtime", "1700000000.5"),
    ];
    let stored = signing(&origin)
        .put("media", "a.png", &given, b"png")
        .expect("put");
    let etag = format!("\"{}\"", hex::encode(md5_of(b"png")));
    assert_eq!((stored.status, stored.header("etag")), (200, &*etag));
    for method in ["GET", "HEAD"] {
        let answer = anonymous(&origin)
            .send(method, "/media/a.png", &[], &[])
            .expect("read");
        for (name, value) in given {
            assert_eq!(answer.header(name), value, "{method}");
        }
        assert_eq!(answer.header("etag"), etag);
        assert_eq!(answer.header("content-length"), "3");
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
}

#[test]
fn any_key_of_up_to_1024_bytes_is_kept() {
    let origin = origin();
    let long = "é".repeat(512);
    let keys = [
        "a b+c%/d&e=f?g#h",
        "日本/語.jpg",
        "😀",
        "a//b",
        "trailing/",
        "..%2f",
        "quote'\"<>&",
        &*long,
    ];
    for (number, key) in keys.iter().enumerate() {
        let body = number.to_string().into_bytes();
        assert_eq!(
            signing(&origin)
                .put("media", key, &[], &body)
                .expect("put")
                .status,
            200,
            "{key}"
        );
    }
    for (number, key) in keys.iter().enumerate() {
        let answer = anonymous(&origin).get("media", key).expect("get");
        assert_eq!(
            (answer.status, answer.text()),
            (200, number.to_string()),
            "{key}"
        );
    }
    let list = signing(&origin)
        .send("GET", "/media?encoding-type=url&list-type=2", &[], &[])
        .expect("list");
    assert_eq!(list.element("KeyCount"), keys.len().to_string());
    assert!(
        list.text()
            .contains("<Key>a%20b%2Bc%25/d%26e%3Df%3Fg%23h</Key>"),
        "{}",
        list.text()
    );
    let too_long = signing(&origin)
        .put("media", &format!("{long}x"), &[], b"")
        .expect("an answer");
    assert_eq!(too_long.error(), "400 KeyTooLongError");
}

#[test]
fn a_body_that_is_not_what_its_md5_says_is_refused_and_not_stored() {
    let origin = origin();
    let put = |md5: &str| {
        signing(&origin)
            .put("media", "a", &[("content-md5", md5)], b"body")
            .expect("an answer")
    };
    assert_eq!(
        put(&BASE64_STANDARD.encode(md5_of(b"other"))).error(),
        "400 BadDigest"
    );
    assert_eq!(put("not base64").error(), "400 InvalidDigest");
    assert_eq!(
        anonymous(&origin).get("media", "a").expect("get").status,
        404
    );
    assert_eq!(put(&BASE64_STANDARD.encode(md5_of(b"body"))).status, 200);
    // A refused overwrite leaves the old object.
    let refused = signing(&origin).put(
        "media",
        "a",
        &[("content-md5", &BASE64_STANDARD.encode([0; 16]))],
        b"new",
    );
    assert_eq!(refused.expect("an answer").error(), "400 BadDigest");
    assert_eq!(
        anonymous(&origin).get("media", "a").expect("get").text(),
        "body"
    );
}

#[test]
fn ranges_and_conditions_are_those_of_http() {
    let origin = origin();
    signing(&origin)
        .put(
            "media",
            "a",
            &[("cache-control", "max-age=9")],
            b"0123456789",
        )
        .expect("put");
    let client = anonymous(&origin);
    let etag = format!("\"{}\"", hex::encode(md5_of(b"0123456789")));
    let modified = client
        .get("media", "a")
        .expect("get")
        .header("last-modified")
        .to_owned();
    let read = |headers: &[(&str, &str)]| -> Answer {
        client.send("GET", "/media/a", headers, &[]).expect("get")
    };
    let check = |headers: &[(&str, &str)], status: u16, body: &str, range: &str| {
        let answer = read(headers);
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (status, range),
            "{headers:?}"
        );
        if status < 300 {
            assert_eq!(answer.text(), body, "{headers:?}");
        }
    };
    check(&[("range", "bytes=2-4")], 206, "234", "bytes 2-4/10");
    check(&[("range", "bytes=7-")], 206, "789", "bytes 7-9/10");
    check(&[("range", "bytes=-2")], 206, "89", "bytes 8-9/10");
    check(&[("range", "bytes=8-100")], 206, "89", "bytes 8-9/10");
    check(&[("range", "bytes=10-")], 416, "", "bytes */10");
    check(&[("range", "bytes=x")], 200, "0123456789", "");
    check(&[("range", "bytes=0-1,4-5")], 200, "0123456789", "");
    check(
        &[("range", "bytes=2-4"), ("if-range", &etag)],
        206,
        "234",
        "bytes 2-4/10",
    );
    check(
        &[("range", "bytes=2-4"), ("if-range", "\"other\"")],
        200,
        "0123456789",
        "",
    );
    check(&[("if-none-match", &etag)], 304, "", "");
    check(&[("if-none-match", "\"other\"")], 200, "0123456789", "");
    check(&[("if-modified-since", &modified)], 304, "", "");
    check(
        &[("if-modified-since", "Sat, 01 Jan 2000 00:00:00 GMT")],
        200,
        "0123456789",
        "",
    );
    check(&[("if-match", "\"other\"")], 412, "", "");
    check(&[("if-match", &etag)], 200, "0123456789", "");
    let unchanged = read(&[("if-none-match", &etag)]);
    assert_eq!(
        (unchanged.header("etag"), unchanged.header("cache-control")),
        (&*etag, "max-age=9")
    );
    assert!(unchanged.body.is_empty());
}

fn begin(client: &Client, path: &str) -> String {
    let answer = client
        .send(
            "POST",
            &format!("{path}?uploads="),
            &[("content-type", "video/mp4")],
            &[],
        )
        .expect("begin");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.element("UploadId")
}

fn complete(client: &Client, path: &str, upload: &str, parts: &[(u32, String)]) -> Answer {
    let part = |(number, etag): &(u32, String)| {
        format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>")
    };
    let parts: String = parts.iter().map(part).collect();
    let body = format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>");
    client
        .send(
            "POST",
            &format!("{path}?uploadId={upload}"),
            &[],
            body.as_bytes(),
        )
        .expect("complete")
}

#[test]
fn a_multipart_object_is_its_parts_in_order_with_a_composite_tag() {
    let origin = origin();
    let client = signing(&origin);
    let upload = begin(&client, "/media/v.mp4");
    let pieces = [vec![1; 5_000_000], vec![2; 6_000_000], vec![3; 17]];
    let mut parts = Vec::new();
    // Sent in another order than they stand in, and the second one twice.
    for number in [3, 2, 1, 2] {
        let path = format!("/media/v.mp4?partNumber={number}&uploadId={upload}");
        let answer = client
            .send("PUT", &path, &[], &pieces[number - 1])
            .expect("part");
        assert_eq!(answer.status, 200);
        parts.push((number as u32, answer.header("etag").to_owned()));
    }
    parts.sort();
    parts.dedup();
    let listed = client
        .send(
            "GET",
            &format!("/media/v.mp4?uploadId={upload}&max-parts=2"),
            &[],
            &[],
        )
        .expect("list");
    assert_eq!(
        (
            listed.element("IsTruncated"),
            listed.element("NextPartNumberMarker")
        ),
        ("true".into(), "2".into())
    );
    let uploads = client
        .send("GET", "/media?uploads=", &[], &[])
        .expect("uploads");
    assert_eq!(uploads.element("UploadId"), upload);

    let mut swapped = parts.clone();
    swapped.swap(0, 1);
    assert_eq!(
        complete(&client, "/media/v.mp4", &upload, &swapped).error(),
        "400 InvalidPartOrder"
    );
    let wrong = [(1, "\"00000000000000000000000000000000\"".to_owned())];
    assert_eq!(
        complete(&client, "/media/v.mp4", &upload, &wrong).error(),
        "400 InvalidPart"
    );
    assert_eq!(client.get("media", "v.mp4").expect("get").status, 404);

    let done = complete(&client, "/media/v.mp4", &upload, &parts);
    let digests: Vec<u8> = pieces.iter().flat_map(|piece| md5_of(piece)).collect();
    let tag = format!("{}-3", hex::encode(md5_of(&digests)));
    assert!(
        done.status == 200 && done.text().contains(&tag),
        "{}",
        done.text()
    );
    let whole = anonymous(&origin).get("media", "v.mp4").expect("get");
    assert_eq!(whole.header("etag"), format!("\"{tag}\""));
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert!(whole.body == pieces.concat());
    let across = anonymous(&origin).send(
        "GET",
        "/media/v.mp4",
        &[("range", "bytes=4999999-5000000")],
        &[],
    );
    assert_eq!(across.expect("range").body, [1, 2]);
    assert_eq!(
        complete(&client, "/media/v.mp4", &upload, &parts).error(),
        "404 NoSuchUpload"
    );
}

#[test]
fn a_part_that_is_too_small_and_an_upload_given_up_make_no_object() {
    let origin = origin();
    let client = signing(&origin);
    let upload = begin(&client, "/media/v");
    let mut parts = Vec::new();
    for number in [1, 2] {
        let path = format!("/media/v?partNumber={number}&uploadId={upload}");
        let answer = client.send("PUT", &path, &[], b"small").expect("part");
        parts.push((number, answer.header("etag").to_owned()));
    }
    assert_eq!(
        complete(&client, "/media/v", &upload, &parts).error(),
        "400 EntityTooSmall"
    );
    let abort = || {
        client
            .send("DELETE", &format!("/media/v?uploadId={upload}"), &[], &[])
            .expect("abort")
    };
    assert_eq!(abort().status, 204);
    assert_eq!(abort().error(), "404 NoSuchUpload");
    assert_eq!(client.get("media", "v").expect("get").status, 404);
}

/// How tests get a million objects into a bucket, or a bucket that lies about one.
#[test]
fn registered_objects_are_listed_but_only_those_with_bytes_are_read() {
    let origin = origin();
    let client = signing(&origin);
    client.put("media", "real", &[], b"bytes").expect("put");
    let tag = "00112233445566778899aabbccddeeff";
    let lines: String = (0..2500)
        .map(|number| format!("{{\"key\":\"n/{number:04}\",\"size\":7,\"etag\":\"{tag}\"}}\n"))
        .chain([format!(
            "{{\"key\":\"real\",\"size\":5,\"etag\":\"{tag}\"}}\n"
        )])
        .collect();
    let control = Client::anonymous(&origin.control_url);
    let answer = control.send("POST", "/objects/media", &[], lines.as_bytes());
    assert_eq!(answer.expect("an answer").text(), "{\"registered\":2501}");

    let (mut keys, mut token) = (0, String::new());
    for page in ["1000", "1000", "501"] {
        let path = format!("/media?{token}list-type=2");
        let list = client.send("GET", &path, &[], &[]).expect("list");
        assert_eq!(list.element("KeyCount"), page);
        assert_eq!(
            list.text().matches(tag).count(),
            list.text().matches("<Key>").count()
        );
        keys += list.text().matches("<Key>").count();
        token = format!(
            "continuation-token={}&",
            list.element("NextContinuationToken")
        );
    }
    assert_eq!(keys, 2501);
    let unreadable = client.get("media", "n/0000").expect("an answer");
    assert_eq!(unreadable.error(), "500 InternalError");
    let lied_about = client.get("media", "real").expect("get");
    assert_eq!(
        (lied_about.text().as_str(), lied_about.header("etag")),
        ("bytes", &*format!("\"{tag}\""))
    );
}
