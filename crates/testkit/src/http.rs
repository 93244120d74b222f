// SPDX-License-Identifier: Apache-2.0
//! A web server that says which address it saw.

use std::io::{Read, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

use crate::Namespace;

/// Answers every request with the client's address as it saw it, in one line. Ends when dropped.
#[derive(Debug)]
pub struct HttpServer {
    /// Where it listens.
    pub address: SocketAddrV4,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpServer {
    /// Listens in a namespace.
    ///
    /// # Errors
    /// When the address is not there or taken.
    pub fn start(namespace: &Namespace, address: SocketAddrV4) -> anyhow::Result<Self> {
        let listener = namespace
            .within(|| TcpListener::bind(address))?
            .with_context(|| format!("{address}"))?;
        let SocketAddr::V4(address) = listener.local_addr()? else {
            anyhow::bail!("not IPv4")
        };
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopping.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, from)) => drop(std::thread::spawn(move || answer(stream, from))),
                    Err(_) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, from: SocketAddr) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    let (mut request, mut buffer) = (Vec::new(), [0; 1_024]);
    while !request.windows(4).any(|w| w == b"\r\n\r\n") && request.len() < 8_192 {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => request.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            _ => return,
        }
    }
    let body = format!("{}\n", from.ip());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n";
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}

/// Fetches `/` from a namespace and gives the body.
///
/// # Errors
/// When nobody answers within `limit`, or it is not `200 OK`.
pub fn http_get(namespace: &Namespace, from: SocketAddrV4, limit: Duration) -> anyhow::Result<String> {
    let mut stream = namespace.within(|| TcpStream::connect_timeout(&from.into(), limit))??;
    stream.set_read_timeout(Some(limit))?;
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: {from}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no HTTP answer")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(body.to_owned())
}
