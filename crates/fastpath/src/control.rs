// SPDX-License-Identifier: Apache-2.0
//! Switches the programs on and off, from any thread.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libbpf_rs::{MapCore, MapFlags, MapHandle};
use nix::time::{ClockId, clock_gettime};

use crate::FastPathError;
use crate::layout::Config;

/// Without a sign of life for so long no lease is taken any more: an engine that hangs does not see what changes.
const PATIENCE: Duration = Duration::from_secs(20);

/// What conntrack's entries get each time a lease of theirs is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// `nf_conntrack_tcp_timeout_established`.
    pub tcp: Duration,
    /// `nf_conntrack_udp_timeout_stream`.
    pub udp: Duration,
}

/// Switches the programs on and off, from any thread.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    map: MapHandle,
    config: Config,
    /// So many wishes to suspend were seen: [`Control::resume`] heeds only those that it knows.
    suspended: u64,
}

impl Control {
    pub(crate) fn new(map: MapHandle, config: Config) -> Self {
        let shared = Shared {
            map,
            config,
            suspended: 0,
        };
        Self {
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// From this moment on every packet is the kernel's, until [`Control::resume`].
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn suspend(&self) -> Result<(), FastPathError> {
        self.change(|shared| {
            shared.suspended += 1;
            shared.config.enabled = 0;
        })
    }

    /// As [`Control::suspend`], for a change that whoever calls [`Control::resume`] knows of.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn pause(&self) -> Result<(), FastPathError> {
        self.change(|shared| shared.config.enabled = 0)
    }

    /// How many times it was suspended so far: take it before you look whether everything is as it must be, and give it
    /// to [`Control::resume`] afterwards.
    pub fn suspensions(&self) -> u64 {
        self.lock().suspended
    }

    /// Ends every lease, and translates packets from now on, unless it was suspended once more since `seen`.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn resume(&self, seen: u64, timeouts: Timeouts) -> Result<bool, FastPathError> {
        let mut resumed = false;
        self.change(|shared| {
            resumed = shared.suspended == seen;
            shared.config.generation = shared.config.generation.wrapping_add(1);
            shared.config.tcp_timeout = millis(timeouts.tcp);
            shared.config.udp_timeout = millis(timeouts.udp);
            shared.config.enabled = u32::from(resumed);
        })?;
        Ok(resumed)
    }

    /// Ends every lease: the next packet of each session asks conntrack and the routing tables again.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn renew(&self) -> Result<(), FastPathError> {
        self.change(|shared| shared.config.generation = shared.config.generation.wrapping_add(1))
    }

    /// A sign of life, due every few seconds.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn keep_alive(&self) -> Result<(), FastPathError> {
        self.change(|_| ())
    }

    /// Whether packets are translated.
    pub fn is_running(&self) -> bool {
        self.lock().config.enabled != 0
    }

    fn change(&self, work: impl FnOnce(&mut Shared)) -> Result<(), FastPathError> {
        let mut shared = self.lock();
        work(&mut shared);
        shared.config.alive_until = alive_until();
        let bytes = shared.config.to_bytes();
        shared
            .map
            .update(&0_u32.to_ne_bytes(), &bytes, MapFlags::ANY)
            .map_err(FastPathError::map("config"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u32 {
    u32::try_from(time.as_millis()).unwrap_or(u32::MAX)
}

/// The clock that the programs read.
fn alive_until() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(Duration::ZERO, Duration::from);
    u64::try_from((now + PATIENCE).as_nanos()).unwrap_or(u64::MAX)
}
