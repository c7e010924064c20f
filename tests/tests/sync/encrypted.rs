//! Over TLS, as every real bucket is reached.

use e2e::tls::TlsFront;
use serde_json::json;

use super::world::World;

#[test]
fn over_tls_all_arrives_and_errors_are_retried() {
    let world = World::origin();
    world.fill(150, 3000);
    world.write("video.mp4", vec![5; 12 << 20]);
    let front = TlsFront::start(&world.control().s3_url).expect("a front");
    world.faults(json!([
        { "kind": "slow_down", "next": 3, "method": "PUT" },
        { "kind": "reset", "next": 3, "method": "PUT" },
    ]));
    let run = || {
        let arguments = ["--multipart-from", "6MiB", "--part-size", "5MiB", "--json"];
        let mut command = world.command(&arguments);
        command
            .env("B2_ENDPOINT", &front.url)
            .env("SSL_CERT_FILE", &front.certificate);
        let ran = world.ran(&mut command).expect(0);
        ran.json().expect("a report")
    };
    let first = run();
    assert_eq!(first["uploaded"]["files"], 151, "{first}");
    assert_eq!(first["retries"], 6, "{first}");
    world.assert_all_there("");
    let second = run();
    assert_eq!(second["unchanged"]["files"], 151, "{second}");
}

#[test]
fn a_certificate_of_an_unknown_authority_is_not_trusted() {
    let world = World::origin();
    world.fill(5, 100);
    let front = TlsFront::start(&world.control().s3_url).expect("a front");
    let ran = world
        .ran(world.command(&[]).env("B2_ENDPOINT", &front.url))
        .expect(1);
    assert_eq!(ran.stderr.matches("error:").count(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("hint: check the endpoint's name and this machine's clock"),
        "{}",
        ran.stderr
    );
    assert_eq!(world.requests().total, 0);
}
