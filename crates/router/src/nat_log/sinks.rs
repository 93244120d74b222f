// SPDX-License-Identifier: Apache-2.0
//! Where records go: files, a collector, or both. One that fails does not hold up the other; it is told once, tried
//! again, and what it misses is counted.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use outgate_model::router_spec::NatLog;

use super::Tally;
use super::file::LogFile;
use super::ipfix::Exporter;
use super::record::Record;
use crate::cloud_log::CloudLog;

/// How many seconds lie between two tellings of what was lost, and between two tries to open what failed.
const PAUSE_SECS: i64 = 1;

/// The sinks.
#[derive(Debug)]
pub struct Sinks {
    wanted: NatLog,
    dir: PathBuf,
    domain: u32,
    log: CloudLog,
    file: Option<LogFile>,
    exporter: Option<Exporter>,
    /// Whether the last thing each did failed, and was told.
    file_failed: bool,
    exporter_failed: bool,
    /// Records that are missing, since it was told and in all.
    lost: u64,
    lost_in_all: u64,
    tally: Arc<Tally>,
    told_at: i64,
    tried_at: i64,
}

impl Sinks {
    /// Opens what is wanted. What cannot be opened now is tried again later.
    pub fn open(wanted: NatLog, dir: &Path, domain: u32, log: CloudLog, tally: Arc<Tally>) -> Self {
        let mut sinks = Self {
            wanted,
            dir: dir.to_owned(),
            domain,
            log,
            file: None,
            exporter: None,
            file_failed: false,
            exporter_failed: false,
            lost: 0,
            lost_in_all: 0,
            tally,
            told_at: i64::MIN,
            tried_at: i64::MIN,
        };
        sinks.reopen(Timestamp::now());
        sinks
    }

    /// Notes that records begin here: what is not listed from now on ended without one.
    pub fn begin(&mut self, now: Timestamp) {
        if let Some(file) = &mut self.file {
            file.begin(now);
        }
    }

    /// Adds a record.
    pub fn push(&mut self, record: &Record) {
        let file = self.file.as_mut().map(|file| file.push(record));
        let exporter = self.exporter.as_mut().map(|exporter| exporter.push(record));
        if matches!((&file, &exporter), (Some(Ok(())), _) | (_, Some(Ok(())))) {
            self.tally.written();
        } else {
            self.lost(1);
        }
        self.judge(file, exporter);
    }

    /// Writes and sends what was collected, and from time to time that `refused` more records were lost; that is 0
    /// then.
    pub fn flush(&mut self, refused: &mut u64, now: Timestamp) {
        self.lost(std::mem::take(refused));
        let second = now.as_second();
        if self.lost > 0 && second.saturating_sub(self.told_at) >= PAUSE_SECS {
            self.tell_lost(now);
        }
        let file = self.file.as_mut().map(LogFile::flush);
        let exporter = self.exporter.as_mut().map(|exporter| exporter.flush(now));
        self.judge(file, exporter);
        let is_whole = (self.file.is_some() || self.wanted.file_mib == 0)
            && (self.exporter.is_some() || self.wanted.collector.is_none());
        if !is_whole && second.saturating_sub(self.tried_at) >= PAUSE_SECS {
            self.reopen(now);
        }
    }

    fn lost(&mut self, count: u64) {
        self.lost += count;
        self.tally.lost(count);
    }

    fn tell_lost(&mut self, now: Timestamp) {
        self.lost_in_all += self.lost;
        self.told_at = now.as_second();
        if let Some(file) = &mut self.file {
            file.lost(self.lost, now);
        }
        let in_all = self.lost_in_all;
        let exporter = self.exporter.as_mut().map(|exporter| exporter.lost(in_all, now));
        self.log.warn(&format!(
            "NAT log: {} records lost, {in_all} since it began; raise the limit of records or take load off the host",
            self.lost
        ));
        self.lost = 0;
        self.judge(None, exporter);
    }

    /// A file that failed is opened anew, so that a full disk or a removed directory heals.
    fn judge(&mut self, file: Option<io::Result<()>>, exporter: Option<io::Result<()>>) {
        if let Some(result) = file {
            if result.is_err() {
                self.file = None;
            }
            told_once("its files", result, &mut self.file_failed, &self.log);
        }
        if let Some(result) = exporter {
            told_once("its collector", result, &mut self.exporter_failed, &self.log);
        }
    }

    fn reopen(&mut self, now: Timestamp) {
        self.tried_at = now.as_second();
        if self.file.is_none() && self.wanted.file_mib > 0 {
            match LogFile::open(&self.dir, self.wanted.file_mib) {
                Ok(file) => self.file = Some(file),
                Err(error) => told_once("its files", Err(error), &mut self.file_failed, &self.log),
            }
        }
        if let (None, Some(collector)) = (&self.exporter, self.wanted.collector) {
            match Exporter::new(collector, self.domain) {
                Ok(exporter) => self.exporter = Some(exporter),
                Err(error) => told_once("its collector", Err(error), &mut self.exporter_failed, &self.log),
            }
        }
    }
}

/// Tells a failure when it begins and when it is over.
fn told_once(what: &str, result: io::Result<()>, failed: &mut bool, log: &CloudLog) {
    match result {
        Ok(()) if *failed => {
            *failed = false;
            log.info(&format!("NAT log: {what} take records again"));
        }
        Err(error) if !*failed => {
            *failed = true;
            log.error(&format!("NAT log: {what} cannot take records: {error}"));
        }
        _ => {}
    }
}
