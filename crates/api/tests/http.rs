// SPDX-License-Identifier: Apache-2.0
//! The HTTP side: methods, forms, limits, shutdown, and what is never logged.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{Served, agent, answered, encoded};
use outgate_api::ServerConfig;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_query_and_a_form_are_answered_alike_and_may_be_mixed() {
    let served = Served::new(4).await;
    let signed = served.signed("listZones", &[("keyword", "lab")]);
    let by_get = served.get(&signed).await;
    assert_eq!(by_get.status, 200);
    assert_eq!(by_get.content_type, "application/json; charset=UTF-8");
    assert_eq!(by_get.body, served.post(&signed).await.body);
    let (url, (query, form)) = (served.url(), signed.split_at(signed.find('&').unwrap()));
    let (url, form) = (format!("{url}?{query}"), form.trim_start_matches('&').to_owned());
    let mixed = tokio::task::spawn_blocking(move || {
        answered(
            agent()
                .post(&url)
                .content_type("application/x-www-form-urlencoded; charset=utf-8")
                .send(form),
        )
    });
    assert_eq!(mixed.await.unwrap().body, by_get.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_commands_and_parameters_are_read_in_any_case() {
    let served = Served::new(4).await;
    for (command, name) in [("LISTZONES", "Keyword"), ("listzones", "KEYWORD")] {
        let answer = served.call(command, &[(name, "lab")]).await;
        assert_eq!(
            (answer.status, answer.key()),
            (200, "listzonesresponse"),
            "{}",
            answer.body
        );
    }
}

/// Sends bytes and reads until the server has nothing more to say.
fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let _ = stream.write_all(bytes);
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    String::from_utf8_lossy(&reply).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_paths_and_bodies_are_refused_in_json() {
    let served = Served::new(4).await;
    let close = "Host: x\r\nConnection: close\r\n";
    let long = "x".repeat(70_000);
    let many = (0..300).map(|i| format!("p{i}=1&")).collect::<String>();
    let table = [
        (format!("PUT /client/api HTTP/1.1\r\n{close}\r\n"), "405", "PUT"),
        (
            format!("DELETE /client/api?command=listZones HTTP/1.1\r\n{close}\r\n"),
            "405",
            "DELETE",
        ),
        (format!("GET / HTTP/1.1\r\n{close}\r\n"), "404", "/client/api"),
        (
            format!("GET /client/api HTTP/1.1\r\n{close}\r\n"),
            "400",
            "no command specified",
        ),
        (
            format!("GET /client/api?command= HTTP/1.1\r\n{close}\r\n"),
            "400",
            "no command specified",
        ),
        (
            format!("GET /client/api?{many} HTTP/1.1\r\n{close}\r\n"),
            "430",
            "200 parameters",
        ),
        (
            format!("GET /client/api?command=%ff HTTP/1.1\r\n{close}\r\n"),
            "430",
            "UTF-8",
        ),
        (
            format!(
                "POST /client/api HTTP/1.1\r\n{close}Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}"
            ),
            "400",
            "application/x-www-form-urlencoded",
        ),
        (
            format!(
                "POST /client/api HTTP/1.1\r\n{close}Content-Length: {}\r\n\r\n{long}",
                long.len()
            ),
            "430",
            "65536 bytes",
        ),
    ];
    for (request, status, word) in table {
        let reply = raw(&served, request.as_bytes());
        let start = &request[..request.len().min(60)];
        assert!(
            reply.starts_with(&format!("HTTP/1.1 {status}")),
            "{start}: {reply}"
        );
        assert!(
            reply.contains("errorresponse") && reply.contains(word),
            "{start}: {reply}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_closed_and_garbage_harms_nothing() {
    let config = ServerConfig {
        idle: Duration::from_millis(200),
        ..ServerConfig::default()
    };
    let served = Served::with(4, config).await;
    let started = Instant::now();
    assert_eq!(raw(&served, b""), "");
    assert_eq!(raw(&served, b"GET /client/api HT"), "");
    assert!(
        started.elapsed() < DEADLINE,
        "closed by the server, not by our own time limit"
    );
    let _ = raw(&served, &[0, 159, 146, 150, 13, 10, 13, 10]);
    let slow = raw(
        &served,
        b"POST /client/api HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab",
    );
    assert!(slow.is_empty() || slow.contains("broke off"), "{slow}");
    assert_eq!(served.call("listZones", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_than_turns_wait_and_are_refused_when_they_wait_too_long() {
    let config = ServerConfig {
        concurrency: 0,
        queue: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let served = Served::with(4, config).await;
    let answer = served.call("listZones", &[]).await;
    assert_eq!(
        (answer.status, answer.key()),
        (503, "errorresponse"),
        "{}",
        answer.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_its_form_slowly_takes_nobody_s_turn() {
    let config = ServerConfig {
        concurrency: 1,
        queue: Duration::from_millis(50),
        ..ServerConfig::default()
    };
    let served = Served::with(4, config).await;
    let head = b"POST /client/api HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n";
    let mut slow = TcpStream::connect(served.address).unwrap();
    slow.set_read_timeout(Some(DEADLINE)).unwrap();
    slow.write_all(head).unwrap();
    // The server says that it waits for the form.
    let mut begun = [0; 12];
    slow.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 100");
    assert_eq!(served.call("listZones", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_arrives_byte_by_byte_is_cut_off() {
    let config = ServerConfig {
        idle: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let served = Served::with(4, config).await;
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    stream.write_all(b"GET /client/api HTTP/1.1\r\nHost: ").unwrap();
    let started = Instant::now();
    // The read is the pause between two bytes; it ends when the server has closed the connection.
    while started.elapsed() < DEADLINE && stream.write_all(b"x").is_ok() {
        if stream.read(&mut [0; 64]).is_ok() {
            break;
        }
    }
    assert!(started.elapsed() < DEADLINE, "it goes on and on");
    assert_eq!(served.call("listZones", &[]).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn further_connections_wait_until_one_is_free() {
    let config = ServerConfig {
        connections: 1,
        ..ServerConfig::default()
    };
    let served = Served::with(4, config).await;
    let first = TcpStream::connect(served.address).unwrap();
    let url = format!("{}?{}", served.url(), served.signed("listZones", &[]));
    let second = tokio::task::spawn_blocking(move || answered(agent().get(&url).call()));
    assert!(!second.is_finished());
    drop(first);
    assert_eq!(
        tokio::time::timeout(DEADLINE, second)
            .await
            .unwrap()
            .unwrap()
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_ends_the_server_although_clients_stay_connected() {
    let config = ServerConfig {
        drain: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let mut served = Served::with(4, config).await;
    let _idle = TcpStream::connect(served.address).unwrap();
    assert_eq!(served.call("listZones", &[]).await.status, 200);
    served.stop();
    let ended = tokio::time::timeout(DEADLINE, &mut served.ended).await;
    assert!(ended.expect("it ends").unwrap().is_ok());
    assert!(
        TcpStream::connect(served.address).is_err(),
        "nothing listens any more"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_request_but_names_is_printed_for_debugging() {
    let query = encoded(&[
        ("command", "listZones"),
        ("signature", "TOPSECRET"),
        ("userdata", "PRIVATE"),
    ]);
    let raw = outgate_api::wire::request::RawParameters::parse(&query, b"").unwrap();
    let printed = format!("{raw:?} {:?}", raw.clone().fold().unwrap());
    assert!(printed.contains("signature") && !printed.contains("TOPSECRET") && !printed.contains("PRIVATE"));
}
