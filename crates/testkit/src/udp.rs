// SPDX-License-Identifier: Apache-2.0
//! UDP: an echo server, and a steady stream that counts what it loses.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::socket::{setsockopt, sockopt::RcvBufForce};

use crate::Namespace;

/// Room for a minute of a fast stream: a thread that waits for a core for a while loses nothing.
const ROOM: usize = 64 << 20;

/// Sends every datagram back, and remembers who sent. Ends when dropped.
#[derive(Debug)]
pub struct UdpEcho {
    /// Where it listens.
    pub address: SocketAddrV4,
    seen: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl UdpEcho {
    /// Listens in a namespace; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not there or taken.
    pub fn start(namespace: &Namespace, address: SocketAddrV4) -> anyhow::Result<Self> {
        let socket = namespace
            .within(|| UdpSocket::bind(address))?
            .with_context(|| format!("{address}"))?;
        let SocketAddr::V4(address) = socket.local_addr()? else {
            anyhow::bail!("not IPv4")
        };
        setsockopt(&socket, RcvBufForce, &ROOM)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (seeing, stopping) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = Some(std::thread::spawn(move || echo(&socket, &seeing, &stopping)));
        Ok(Self {
            address,
            seen,
            stop,
            thread,
        })
    }

    /// Every sender, each once, in order of first sight.
    pub fn seen(&self) -> Vec<SocketAddr> {
        self.seen.lock().map(|seen| seen.clone()).unwrap_or_default()
    }
}

impl Drop for UdpEcho {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn echo(socket: &UdpSocket, seen: &Mutex<Vec<SocketAddr>>, stop: &AtomicBool) {
    let mut buffer = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        let Ok((count, from)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        let _ = socket.send_to(buffer.get(..count).unwrap_or_default(), from);
        if let Ok(mut seen) = seen.lock()
            && !seen.contains(&from)
        {
            seen.push(from);
        }
    }
}

/// What a stream lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that came back.
    pub received: u64,
}

impl Loss {
    /// Datagrams that did not come back.
    pub fn lost(self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// A stream of numbered datagrams to a [`UdpEcho`], from one port, at a steady rate, until it is stopped.
#[derive(Debug)]
pub struct UdpStream {
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
    latest: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    sender: JoinHandle<()>,
    sent_all: Arc<AtomicBool>,
    receiver: JoinHandle<()>,
}

impl UdpStream {
    /// Starts sending `rate` datagrams a second from a namespace.
    ///
    /// # Errors
    /// When there is no way to `to`.
    pub fn start(namespace: &Namespace, to: SocketAddrV4, rate: u32) -> anyhow::Result<Self> {
        let socket = namespace.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))??;
        socket.connect(to)?;
        setsockopt(&socket, RcvBufForce, &ROOM)?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let receiving = socket.try_clone()?;
        let [sent, received, latest] = [(); 3].map(|()| Arc::<AtomicU64>::default());
        let (stop, sent_all) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        Ok(Self {
            sender: std::thread::spawn({
                let (sent, stop) = (Arc::clone(&sent), Arc::clone(&stop));
                move || send(&socket, rate, &sent, &stop)
            }),
            receiver: std::thread::spawn({
                let (received, sent) = (Arc::clone(&received), Arc::clone(&sent));
                let (latest, sent_all) = (Arc::clone(&latest), Arc::clone(&sent_all));
                move || receive(&receiving, (&received, &latest), &sent, &sent_all)
            }),
            sent,
            received,
            latest,
            stop,
            sent_all,
        })
    }

    /// How many came back so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Of those that came back, which was sent last: how many had been sent when it was, itself included.
    pub fn latest(&self) -> u64 {
        self.latest.load(Ordering::SeqCst)
    }

    /// Stops sending, waits until for a second nothing more has come back, and tells what was lost.
    pub fn stop(self) -> Loss {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.sender.join();
        // Only now: the sender may have been about to send one more, which is to be waited for.
        self.sent_all.store(true, Ordering::SeqCst);
        let _ = self.receiver.join();
        Loss {
            sent: self.sent.load(Ordering::SeqCst),
            received: self.received.load(Ordering::SeqCst),
        }
    }
}

fn send(socket: &UdpSocket, rate: u32, sent: &AtomicU64, stop: &AtomicBool) {
    let step = Duration::from_secs(1) / rate.max(1);
    let mut next = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let number = sent.fetch_add(1, Ordering::SeqCst);
        // A refusal (an ICMP error that came in) counts as sent and lost.
        let _ = socket.send(&number.to_be_bytes());
        next += step;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

fn receive(
    socket: &UdpSocket,
    (received, latest): (&AtomicU64, &AtomicU64),
    sent: &AtomicU64,
    sent_all: &AtomicBool,
) {
    let mut buffer = [0; 8];
    let mut last = Instant::now();
    loop {
        let all = received.load(Ordering::SeqCst) >= sent.load(Ordering::SeqCst);
        if sent_all.load(Ordering::SeqCst) && (all || last.elapsed() > Duration::from_secs(1)) {
            return;
        }
        if let Ok(8) = socket.recv(&mut buffer) {
            latest.fetch_max(u64::from_be_bytes(buffer) + 1, Ordering::SeqCst);
            received.fetch_add(1, Ordering::SeqCst);
            last = Instant::now();
        }
    }
}
