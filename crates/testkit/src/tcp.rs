// SPDX-License-Identifier: Apache-2.0
//! TCP: an echo server and connections that prove they still live.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, ensure};
use socket2::{Domain, Socket, Type};

use crate::Namespace;

/// How long a live connection may take to answer, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long an answer that must not come is waited for.
const SHORT: Duration = Duration::from_secs(2);

/// Echoes whatever arrives, and remembers who came. Ends when dropped.
#[derive(Debug)]
pub struct TcpEcho {
    /// Where it listens.
    pub address: SocketAddrV4,
    seen: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl TcpEcho {
    /// Listens in a namespace; port 0 takes a free one.
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
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seeing, stopping) = (Arc::clone(&seen), Arc::clone(&stop));
        let accepting = Some(std::thread::spawn(move || accept(&listener, &seeing, &stopping)));
        Ok(Self {
            address,
            seen,
            stop,
            accepting,
        })
    }

    /// Everybody who connected, in order.
    pub fn seen(&self) -> Vec<SocketAddr> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for TcpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.accepting.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, seen: &Mutex<Vec<SocketAddr>>, stop: &Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, from)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(1));
            continue;
        };
        if let Ok(mut seen) = seen.lock() {
            seen.push(from);
        }
        let stop = Arc::clone(stop);
        std::thread::spawn(move || echo(stream, &stop));
    }
}

fn echo(mut stream: TcpStream, stop: &AtomicBool) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.set_nodelay(true);
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let mut buffer = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => {
                let Some(received) = buffer.get(..count) else {
                    return;
                };
                if stream.write_all(received).is_err() {
                    return;
                }
            }
            Err(e)
                if matches!(
                    e.kind(),
                    std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                ) => {}
            _ => return,
        }
    }
}

/// A connection to a [`TcpEcho`].
#[derive(Debug)]
pub struct TcpProbe {
    stream: TcpStream,
}

impl TcpProbe {
    /// Connects from a namespace.
    ///
    /// # Errors
    /// When nobody answers within `limit`, or it is refused.
    pub fn connect(namespace: &Namespace, to: SocketAddrV4, limit: Duration) -> anyhow::Result<Self> {
        Self::connect_from(namespace, SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0), to, limit)
    }

    /// Connects from a chosen local address and port.
    ///
    /// # Errors
    /// As [`TcpProbe::connect`], and when the local address is not there or taken.
    pub fn connect_from(
        namespace: &Namespace,
        from: SocketAddrV4,
        to: SocketAddrV4,
        limit: Duration,
    ) -> anyhow::Result<Self> {
        let socket = namespace.within(|| -> std::io::Result<Socket> {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.set_reuse_address(true)?;
            socket.bind(&from.into())?;
            Ok(socket)
        })??;
        socket
            .connect_timeout(&to.into(), limit)
            .with_context(|| format!("connecting to {to}"))?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream })
    }

    /// Sends bytes and takes the same back.
    ///
    /// # Errors
    /// When the connection is dead, or other bytes come back.
    pub fn echo(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        // Written beside the reading: more bytes than the buffers hold would block both sides.
        let mut writer = self.stream.try_clone()?;
        let mut back = vec![0; bytes.len()];
        std::thread::scope(|scope| -> anyhow::Result<()> {
            let writing = scope.spawn(move || writer.write_all(bytes));
            self.stream.read_exact(&mut back).context("nothing came back")?;
            writing.join().unwrap_or(Ok(())).context("sending")
        })?;
        ensure!(back == bytes, "other bytes came back");
        Ok(())
    }

    /// Whether it is dead: refused, or without an answer for two seconds. It is of no use any more then.
    pub fn is_dead(&mut self) -> bool {
        let _ = self.stream.set_read_timeout(Some(SHORT));
        let dead = self.echo(b"still there?").is_err();
        let _ = self.stream.set_read_timeout(Some(PATIENCE));
        dead
    }

    /// Its own end's address.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.stream.local_addr()?)
    }

    /// Ends the sending side.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn finish(&self) -> anyhow::Result<()> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }
}
