//! The second S3 server of the tests comes up and keeps what it is given.

use e2e::seaweed::Seaweed;

#[test]
fn seaweedfs_keeps_an_object_with_its_type_and_digest() {
    let seaweed = Seaweed::start().expect("SeaweedFS starts");
    let client = seaweed.client();
    let headers = [
        ("content-type", "image/png"),
        ("content-md5", "Qbor3JM17+BJ+Cn+1OHb+g=="),
    ];
    let key = "a b+c/日本.png";
    let refused = client
        .put(&seaweed.bucket, key, &headers, b"other bytes")
        .expect("an answer");
    assert_eq!(refused.status, 400, "{}", refused.text());
    let stored = client
        .put(&seaweed.bucket, key, &headers[..1], b"bytes")
        .expect("an answer");
    assert_eq!(stored.status, 200, "{}", stored.text());
    let read = client.get(&seaweed.bucket, key).expect("an answer");
    assert_eq!(
        (read.text().as_str(), read.header("content-type")),
        ("bytes", "image/png")
    );
    let listed = client
        .send("GET", "/media?list-type=2", &[], &[])
        .expect("an answer");
    assert_eq!(
        (listed.element("KeyCount"), listed.element("Key")),
        ("1".to_owned(), key.to_owned())
    );
}
