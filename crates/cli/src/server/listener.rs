// SPDX-License-Identifier: Apache-2.0
//! The API's socket: our own, systemd's, or the one on standard input.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;

use anyhow::{Context as _, bail};

use super::config::Listen;
use crate::exit::{Unavailable, Usage};

/// Opens or takes over the socket.
pub fn open(listen: Listen) -> anyhow::Result<TcpListener> {
    let listener = match listen {
        Listen::Address(address) => bind(address)?,
        Listen::Stdin => TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned()?),
        Listen::Systemd => systemd()?,
    };
    // Also tells a socket from anything else that standard input may be.
    listener
        .local_addr()
        .map_err(|e| Usage(format!("--listen: what was passed is no listening socket: {e}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket of our own.
pub fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).map_err(|e| {
        Unavailable(format!(
            "cannot listen on {address}: {e}; is another server running?"
        ))
    });
    Ok(bound?)
}

fn systemd() -> anyhow::Result<TcpListener> {
    let mut passed = listenfd::ListenFd::from_env();
    match passed
        .take_tcp_listener(0)
        .context("the socket that systemd passed")?
    {
        Some(listener) => Ok(listener),
        None => bail!(Usage(
            "--listen systemd: no socket was passed; start the server by its socket unit".to_owned()
        )),
    }
}
