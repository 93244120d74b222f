// SPDX-License-Identifier: Apache-2.0
//! `outgate lab internet` (hidden): what answers in the lab's internet. HTTP says which address it saw; TCP and UDP
//! port 7 echo (RFC 862). DNS is dnsmasq's, ping the kernel's.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::ConnectInfo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;

use super::network::{RESOLVERS, WEB};

const ECHO_PORT: u16 = 7;
const MAX_ECHO_SESSIONS: usize = 4096;

/// Serves until it is ended.
pub fn run() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?
        .block_on(serve())
}

async fn serve() -> anyhow::Result<()> {
    let web = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80))
        .await
        .context("HTTP")?;
    let echo = TcpListener::bind((Ipv4Addr::UNSPECIFIED, ECHO_PORT))
        .await
        .context("TCP echo")?;
    let mut tasks = tokio::task::JoinSet::new();
    // One socket for each address, so that an answer comes from the address that was asked.
    for address in RESOLVERS.iter().chain([&WEB]) {
        let socket = UdpSocket::bind((*address, ECHO_PORT))
            .await
            .with_context(|| format!("UDP echo on {address}"))?;
        tasks.spawn(echo_datagrams(socket));
    }
    tasks.spawn(echo_streams(echo));
    let app = Router::new().fallback(async |ConnectInfo(from): ConnectInfo<SocketAddr>| {
        format!("you came from {}\n", from.ip())
    });
    tasks.spawn(async move {
        axum::serve(web, app.into_make_service_with_connect_info::<SocketAddr>())
            .await
            .context("HTTP")
    });
    match tasks.join_next().await {
        Some(ended) => ended?,
        None => Ok(()),
    }
}

async fn echo_datagrams(socket: UdpSocket) -> anyhow::Result<()> {
    let mut buffer = vec![0; 65_536];
    loop {
        // An ICMP error for an earlier answer shows up here; the next datagram is none the worse for it.
        if let Ok((size, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..size], from).await;
        }
    }
}

async fn echo_streams(listener: TcpListener) -> anyhow::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_ECHO_SESSIONS));
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A session that breaks is its own end.
            let _ = echo(stream).await;
            drop(place);
        });
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 16_384];
    loop {
        let size = stream.read(&mut buffer).await?;
        if size == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..size]).await?;
    }
}
