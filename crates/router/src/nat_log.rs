// SPDX-License-Identifier: Apache-2.0
//! NAT logging: who had which public address and port, and when. One thread listens to the kernel's sessions and writes
//! each translated one into files, to a collector, or both. What cannot be recorded is counted, and the count recorded.

mod file;
pub mod history;
mod ipfix;
mod limit;
mod record;
mod sinks;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use outgate_kernel::KernelError;
use outgate_kernel::conntrack::{self, Change, Events, Flow};
use outgate_model::id::RouterId;
use outgate_model::router_spec::NatLog;
use outgate_model::stats::NatLogUse;

use crate::RouterError;
use crate::cloud_log::CloudLog;
use limit::Limit;
use record::{Record, What};
use sinks::Sinks;

/// So many bytes of notifications wait in the kernel while this process does not get its turn: some 100,000 sessions.
const RECEIVE_BUFFER: usize = 64 * 1024 * 1024;
/// How often it looks whether it is still wanted.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long it lets sessions gather before it takes them: to be woken for each one costs more than to record it.
const GATHER: Duration = Duration::from_millis(10);
/// The wait after the kernel or a file refused.
const RETRY: Duration = Duration::from_secs(1);

/// What is wanted, and that it changed.
#[derive(Debug, Default)]
struct Wish {
    wanted: Mutex<Option<NatLog>>,
    changed: Condvar,
}

impl Wish {
    fn get(&self) -> Option<NatLog> {
        *self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until records are wanted.
    fn wait(&self) -> NatLog {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(wanted) = *wanted {
                return wanted;
            }
            wanted = self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// What was written and lost since the thread began; read from any thread.
#[derive(Debug, Default)]
struct Tally {
    written: AtomicU64,
    lost: AtomicU64,
}

impl Tally {
    fn written(&self) {
        self.written.fetch_add(1, Ordering::Relaxed);
    }

    fn lost(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    fn read(&self) -> NatLogUse {
        NatLogUse {
            written: self.written.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
        }
    }
}

/// The thread that writes records. It has none until they are wanted for the first time.
#[derive(Debug)]
pub struct NatLogger {
    dir: PathBuf,
    router: RouterId,
    log: CloudLog,
    wish: Arc<Wish>,
    tally: Arc<Tally>,
    is_started: bool,
}

impl NatLogger {
    /// A logger for the router whose files lie in `dir`.
    pub fn new(dir: &Path, router: RouterId, log: CloudLog) -> Self {
        Self {
            dir: dir.to_owned(),
            router,
            log,
            wish: Arc::default(),
            tally: Arc::default(),
            is_started: false,
        }
    }

    /// What it has written and lost so far.
    pub fn counts(&self) -> NatLogUse {
        self.tally.read()
    }

    /// From now on writes what is wanted, in the network namespace of the thread that asks first.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn follow(&mut self, wanted: Option<NatLog>) -> Result<(), RouterError> {
        *self.wish.wanted.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
        self.wish.changed.notify_one();
        if self.is_started || wanted.is_none() {
            return Ok(());
        }
        let writer = Writer {
            dir: self.dir.clone(),
            domain: domain(self.router),
            log: self.log.clone(),
            wish: Arc::clone(&self.wish),
            tally: Arc::clone(&self.tally),
        };
        std::thread::Builder::new()
            .name("nat-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| RouterError::failed("starting the NAT log", e))?;
        self.is_started = true;
        Ok(())
    }
}

/// IPFIX tells routers apart by 32 bits.
fn domain(router: RouterId) -> u32 {
    let [a, b, c, d, ..] = *router.0.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

struct Writer {
    dir: PathBuf,
    domain: u32,
    log: CloudLog,
    wish: Arc<Wish>,
    tally: Arc<Tally>,
}

impl Writer {
    fn run(&self) {
        let mut told = None;
        loop {
            let wanted = self.wish.wait();
            match self.record(wanted) {
                Ok(()) => told = None,
                Err(error) => {
                    // Told once, however often it fails.
                    let text = format!("NAT log: {error}; sessions are not recorded until this is mended");
                    if told.as_ref() != Some(&text) {
                        self.log.error(&text);
                        told = Some(text);
                    }
                    std::thread::sleep(RETRY);
                }
            }
        }
    }

    /// Records until something else is wanted.
    fn record(&self, wanted: NatLog) -> Result<(), KernelError> {
        // It listens before it lists, so that no session falls between.
        let mut events = Events::open(RECEIVE_BUFFER)?;
        let tally = Arc::clone(&self.tally);
        let mut sinks = Sinks::open(wanted, &self.dir, self.domain, self.log.clone(), tally);
        sinks.begin(Timestamp::now());
        let mut limit = Limit::new(wanted.records_per_second);
        let mut refused = 0;
        let mut listed = HashSet::new();
        conntrack::dump(|flow| {
            record(What::Active, &flow, &mut limit, &mut sinks, &mut refused);
            listed.insert(flow.id);
            Ok(())
        })?;
        self.log.info("NAT log: recording sessions");
        let mut dropped = 0;
        while self.wish.get() == Some(wanted) {
            let taken = events.wait(PATIENCE, |change, flow| {
                let what = match change {
                    // It began after this listened and before it was listed.
                    Change::Begins if listed.contains(&flow.id) => return,
                    Change::Begins => What::Create,
                    Change::Ends => What::Delete,
                };
                record(what, flow, &mut limit, &mut sinks, &mut refused);
            })?;
            // All that came while it listed has been taken; later sessions may get the same numbers.
            if taken < conntrack::EVENTS_AT_ONCE {
                listed = HashSet::new();
                std::thread::sleep(GATHER);
            }
            let total = events.lost()?;
            refused += u64::from(total.wrapping_sub(dropped));
            dropped = total;
            sinks.flush(&mut refused, Timestamp::now());
        }
        Ok(())
    }
}

/// Writes a session's record, or counts it as lost.
fn record(what: What, flow: &Flow, limit: &mut Limit, sinks: &mut Sinks, lost: &mut u64) {
    let now = Timestamp::now();
    let Some(record) = Record::of(what, flow, now) else {
        return;
    };
    if limit.allows(now.as_second()) {
        sinks.push(&record);
    } else {
        *lost += 1;
    }
}
