// SPDX-License-Identifier: Apache-2.0
//! `/var/log/cloud.log`, where an operator looks first: one line for each thing that was done, differed or failed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use outgate_model::id::JobId;

/// Its place in the router.
pub const PATH: &str = "/var/log/cloud.log";
/// A file this large is set aside as `cloud.log.1` and begun anew, so that the log stays bounded.
const SIZE_MAX: u64 = 8 * 1024 * 1024;

/// How grave a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As wanted.
    Info,
    /// Differed and was repaired.
    Warn,
    /// Failed.
    Error,
}

/// Writes the log. Clones write to the same file.
#[derive(Debug, Clone)]
pub struct CloudLog {
    path: Arc<PathBuf>,
    /// The jobs that lines are about; held by who writes one.
    about: Arc<Mutex<Vec<JobId>>>,
}

/// While this lives, lines say what they are about.
#[derive(Debug)]
#[must_use]
pub struct About(Arc<Mutex<Vec<JobId>>>);

impl Drop for About {
    fn drop(&mut self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl CloudLog {
    /// The log at this path, made when the first line is written.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self {
            path: Arc::new(path.as_ref().to_owned()),
            about: Arc::default(),
        }
    }

    /// Each line names these jobs, until the value goes.
    pub fn about(&self, jobs: &[JobId]) -> About {
        *self.about.lock().unwrap_or_else(PoisonError::into_inner) = jobs.to_vec();
        About(Arc::clone(&self.about))
    }

    /// As wanted.
    pub fn info(&self, text: &str) {
        self.line(Level::Info, text, true);
    }

    /// What a program of the router printed: for this file only.
    pub fn note(&self, text: &str) {
        self.line(Level::Info, text, false);
    }

    /// Differed and was repaired.
    pub fn warn(&self, text: &str) {
        self.line(Level::Warn, text, true);
    }

    /// Failed.
    pub fn error(&self, text: &str) {
        self.line(Level::Error, text, true);
    }

    /// Into the file, and if `traced` into the process's own log too.
    fn line(&self, level: Level, text: &str, traced: bool) {
        let jobs = self.about.lock().unwrap_or_else(PoisonError::into_inner);
        if traced {
            trace(level, text, &jobs);
        }
        let words: Vec<String> = jobs.iter().map(|job| format!("job {job}")).collect();
        let about = if words.is_empty() {
            String::new()
        } else {
            format!(" [{}]", words.join(", "))
        };
        let text = line(Timestamp::now(), level, &format!("{text}{about}"));
        let written = self.open().and_then(|mut file| file.write_all(text.as_bytes()));
        if let Err(error) = written {
            tracing::warn!(path = %self.path.display(), %error, "cannot write the router's log");
        }
    }

    /// Opened for each line: the log goes on after somebody removed or rotated the file.
    fn open(&self) -> std::io::Result<File> {
        if std::fs::metadata(&*self.path).is_ok_and(|m| m.len() > SIZE_MAX) {
            std::fs::rename(&*self.path, self.path.with_extension("log.1"))?;
        }
        OpenOptions::new().create(true).append(true).open(&*self.path)
    }
}

/// A line in the process's own log, with the jobs as a field of it.
fn trace(level: Level, text: &str, jobs: &[JobId]) {
    let jobs: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let jobs = (!jobs.is_empty()).then(|| jobs.join(" "));
    match level {
        Level::Info => tracing::info!(jobs, "{text}"),
        Level::Warn => tracing::warn!(jobs, "{text}"),
        Level::Error => tracing::error!(jobs, "{text}"),
    }
}

/// `2026-11-24 01:40:12.123 WARN  text`, always one line.
fn line(now: Timestamp, level: Level, text: &str) -> String {
    let level = match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let text = text.replace(['\n', '\r'], " | ");
    format!("{} {level:<5} {text}\n", now.strftime("%Y-%m-%d %H:%M:%S%.3f"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_time_level_and_text_and_is_one_line() {
        let now: Timestamp = "2026-11-24T01:40:12.123456Z".parse().unwrap();
        let line = line(now, Level::Error, "Failed to apply nat rules: no\nsuch thing");
        assert_eq!(
            line,
            "2026-11-24 01:40:12.123 ERROR Failed to apply nat rules: no | such thing\n"
        );
    }

    #[test]
    fn lines_name_the_jobs_that_they_are_about_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let log = CloudLog::new(dir.path().join("cloud.log"));
        let (one, two) = (JobId::new(), JobId::new());
        let about = log.about(&[one, two]);
        log.clone().info("applied");
        drop(about);
        log.info("repaired");
        let text = std::fs::read_to_string(dir.path().join("cloud.log")).unwrap();
        assert!(
            text.contains(&format!("applied [job {one}, job {two}]\n")),
            "{text}"
        );
        assert!(text.ends_with("repaired\n"), "{text}");
    }

    #[test]
    fn the_log_goes_on_after_its_file_was_removed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloud.log");
        let log = CloudLog::new(&path);
        log.warn("one");
        std::fs::remove_file(&path).unwrap();
        log.error("two");
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("ERROR two\n"));
    }
}
