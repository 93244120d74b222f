// SPDX-License-Identifier: Apache-2.0
//! Records as lines of text, in a bounded number of bounded files: `nat.log` is the newest, `nat.log.7` the oldest.
//!
//! ```text
//! 2026-11-25T15:45:30.000Z begin
//! 2026-11-25T15:45:37.123Z create tcp 10.1.1.11:40000 > 198.51.100.1:443 as 203.0.113.10:1024 > 198.51.100.1:443
//! 2026-11-25T15:45:38.000Z lost 231
//! ```

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::record::{ProtocolName, Record};

const NAME: &str = "nat.log";
/// The files, the newest included.
const FILES: u64 = 8;
const MIB: u64 = 1024 * 1024;
/// So much is collected before it is written.
const CHUNK: usize = 64 * 1024;

/// Writes records into files of a directory.
#[derive(Debug)]
pub struct LogFile {
    dir: PathBuf,
    file: File,
    written: u64,
    /// A file that is as long as this is set aside.
    file_max: u64,
    text: String,
    clock: Clock,
}

impl LogFile {
    /// Goes on with the files in `dir`, which hold `mib` MiB together.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(dir: &Path, mib: u32) -> io::Result<Self> {
        let file = open(&dir.join(NAME))?;
        Ok(Self {
            dir: dir.to_owned(),
            written: file.metadata()?.len(),
            file,
            file_max: u64::from(mib) * MIB / FILES,
            text: String::with_capacity(2 * CHUNK),
            clock: Clock::default(),
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// When what was collected cannot be written; it is lost then.
    pub fn push(&mut self, record: &Record) -> io::Result<()> {
        self.clock.stamp(record.at, &mut self.text);
        let protocol = ProtocolName(record.protocol);
        // Writing into a string cannot fail.
        let _ = writeln!(
            self.text,
            " {} {protocol} {} as {}",
            record.what, record.original, record.translated
        );
        if self.text.len() < CHUNK {
            return Ok(());
        }
        self.flush()
    }

    /// Adds that records begin here, with the sessions that there are.
    pub fn begin(&mut self, now: Timestamp) {
        self.clock.stamp(now, &mut self.text);
        self.text.push_str(" begin\n");
    }

    /// Adds how many records are missing here.
    pub fn lost(&mut self, count: u64, now: Timestamp) {
        self.clock.stamp(now, &mut self.text);
        let _ = writeln!(self.text, " lost {count}");
    }

    /// Writes what was collected.
    ///
    /// # Errors
    /// When it cannot be written; it is lost then.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let result = self.write();
        self.text.clear();
        result
    }

    fn write(&mut self) -> io::Result<()> {
        if self.written >= self.file_max {
            self.set_aside()?;
        }
        self.file.write_all(self.text.as_bytes())?;
        self.written += u64::try_from(self.text.len()).unwrap_or(u64::MAX);
        Ok(())
    }

    fn set_aside(&mut self) -> io::Result<()> {
        let path = |n: u64| match n {
            0 => self.dir.join(NAME),
            n => self.dir.join(format!("{NAME}.{n}")),
        };
        for n in (0..FILES - 1).rev() {
            match std::fs::rename(path(n), path(n + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&path(0))?;
        self.written = 0;
        Ok(())
    }
}

/// Only the operator reads who spoke to whom.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// Writes times; the part up to the second is made once a second.
#[derive(Debug, Default)]
struct Clock {
    second: i64,
    text: String,
}

impl Clock {
    fn stamp(&mut self, at: Timestamp, into: &mut String) {
        if self.text.is_empty() || at.as_second() != self.second {
            self.second = at.as_second();
            self.text = at.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        }
        let _ = write!(into, "{}.{:03}Z", self.text, at.subsec_millisecond());
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::What;
    use super::super::record::tests::flow;
    use super::*;
    use outgate_kernel::conntrack::STATUS_SOURCE_NAT;

    fn record(at: &str) -> Record {
        Record::of(What::Create, &flow(STATUS_SOURCE_NAT), at.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_record_is_one_line_that_says_when_who_and_as_whom() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), 8).unwrap();
        log.push(&record("2026-11-25T15:45:37.123456Z")).unwrap();
        log.push(&record("2026-11-25T15:45:38.004Z")).unwrap();
        log.lost(231, "2026-11-25T15:45:38.5Z".parse().unwrap());
        log.flush().unwrap();
        let pair = "tcp 10.1.1.11:40000 > 198.51.100.1:443 as 203.0.113.10:1024 > 198.51.100.1:443";
        assert_eq!(
            std::fs::read_to_string(dir.path().join("nat.log")).unwrap(),
            format!(
                "2026-11-25T15:45:37.123Z create {pair}\n2026-11-25T15:45:38.004Z create {pair}\n2026-11-25T15:45:38.500Z lost 231\n"
            )
        );
    }

    #[test]
    fn files_are_bounded_and_the_oldest_goes_first() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = LogFile::open(dir.path(), 8).unwrap();
        let line = record("2026-11-25T15:45:37.123Z");
        for _ in 0..120_000 {
            log.push(&line).unwrap();
        }
        log.flush().unwrap();
        let sizes: Vec<u64> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .collect();
        assert_eq!(sizes.len(), 8);
        let total: u64 = sizes.iter().sum();
        assert!((7 * MIB..=9 * MIB).contains(&total), "{sizes:?}");
    }
}
