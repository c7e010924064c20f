//! The origin does what its script says, seen by the client of the comparison.

use std::net::SocketAddr;

use super::{Answer, Fault, Framing, Script, ScriptedOrigin, Side};
use crate::compare::exchange::{BodyEnd, Question, Reply, exchange};

async fn start(answers: Vec<Answer>) -> ScriptedOrigin {
    let script = Script::from([("folder/a b.jpg".to_owned(), answers)]);
    ScriptedOrigin::start(script).await.unwrap()
}

fn address(origin: &ScriptedOrigin, side: Side) -> SocketAddr {
    let url = origin.url(side);
    url["http://".len()..]
        .split('/')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

async fn get(origin: &ScriptedOrigin, side: Side, headers: &[&str]) -> anyhow::Result<Reply> {
    let question = Question::get("/media/folder/a%20b.jpg", headers);
    exchange(address(origin, side), &question).await
}

#[tokio::test]
async fn answers_follow_the_script_and_each_side_has_its_own_place_in_it() {
    let origin = start(vec![
        Answer::default(),
        Answer {
            status: 503,
            ..Answer::default()
        },
    ])
    .await;
    assert_eq!(get(&origin, Side::Nginx, &[]).await.unwrap().status, 200);
    assert_eq!(get(&origin, Side::Nginx, &[]).await.unwrap().status, 503);
    assert_eq!(
        get(&origin, Side::Nginx, &[]).await.unwrap().status,
        503,
        "the last answer stays"
    );
    assert_eq!(get(&origin, Side::Worker, &[]).await.unwrap().status, 200);
    assert_eq!(origin.asked(Side::Nginx, "/folder/").len(), 3);
    assert_eq!(origin.asked(Side::Worker, "/folder/").len(), 1);
    assert_eq!(origin.asked(Side::Worker, "/other/").len(), 0);
}

#[tokio::test]
async fn a_matching_condition_is_answered_304() {
    let origin = start(vec![Answer::default()]).await;
    assert_eq!(
        get(&origin, Side::Nginx, &["If-None-Match: \"v1\""])
            .await
            .unwrap()
            .status,
        304
    );
    assert_eq!(
        get(&origin, Side::Worker, &["If-None-Match: \"v2\""])
            .await
            .unwrap()
            .status,
        200
    );
}

#[tokio::test]
async fn faults_show_as_what_they_are() {
    let fault = |fault, framing| Answer {
        fault: Some(fault),
        framing,
        after: 10,
        ..Answer::default()
    };
    for framing in [Framing::Length, Framing::Chunked] {
        let origin = start(vec![
            fault(Fault::Cut, framing),
            fault(Fault::CutReset, framing),
        ])
        .await;
        for _ in 0..2 {
            let reply = get(&origin, Side::Worker, &[]).await.unwrap();
            assert_eq!((reply.status, reply.end), (200, BodyEnd::CutShort));
        }
    }
    for none in [Fault::Reset, Fault::Close, Fault::Garbage] {
        let origin = start(vec![fault(none, Framing::Length)]).await;
        assert!(get(&origin, Side::Worker, &[]).await.is_err(), "{none:?}");
    }
}

#[tokio::test]
async fn bytes_after_an_answers_end_are_counted() {
    let origin = start(vec![Answer::default()]).await;
    let head = Question {
        method: "HEAD".to_owned(),
        ..Question::get("/media/folder/a%20b.jpg", &[])
    };
    let reply = exchange(address(&origin, Side::Nginx), &head)
        .await
        .unwrap();
    assert_eq!((reply.status, reply.extra), (200, 0));

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let liar = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nbody";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                .await
                .unwrap();
        }
    });
    let reply = exchange(liar, &head).await.unwrap();
    assert_eq!((reply.body.len(), reply.extra), (0, 4));
    let reply = exchange(liar, &Question::get("/", &[])).await.unwrap();
    assert_eq!((reply.body.len(), reply.extra), (2, 2));
}

#[tokio::test]
async fn a_body_can_pause_and_then_go_on_or_break_off() {
    let pausing = |fault| Answer {
        after: 10,
        pause: 0.2,
        fault,
        ..Answer::default()
    };
    let origin = start(vec![pausing(None), pausing(Some(Fault::Cut))]).await;
    for (length, end) in [(1000, BodyEnd::Whole), (10, BodyEnd::CutShort)] {
        let reply = get(&origin, Side::Nginx, &[]).await.unwrap();
        assert_eq!((reply.body.len(), reply.end), (length, end));
    }
}

#[tokio::test]
async fn a_path_that_is_not_escaped_is_refused() {
    let origin = start(vec![Answer::default()]).await;
    for target in [
        "/media/folder/a b.jpg",
        "/media/folder/å",
        "/media/folder/a[1]",
    ] {
        let reply = exchange(address(&origin, Side::Nginx), &Question::get(target, &[]))
            .await
            .unwrap();
        assert_eq!(reply.status, 400, "{target}");
    }
    assert_eq!(
        origin.asked(Side::Nginx, "/folder/").len(),
        3,
        "and counted"
    );
}

#[tokio::test]
async fn a_stopped_origin_refuses_connections() {
    let origin = start(vec![Answer::default()]).await;
    let before = address(&origin, Side::Worker);
    origin.stop().await.unwrap();
    let refused = tokio::net::TcpStream::connect(before).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
