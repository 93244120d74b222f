// SPDX-License-Identifier: Apache-2.0
//! Finds the files of NAT logs and reads them, the oldest first, while their writer may set them aside.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The newest file's name; older ones have a number behind it, the oldest the highest.
const NAME: &str = "nat.log";
/// `<run>/<instance>/routers/<id>/nat.log`: so deep they lie.
const DEPTH: u32 = 4;
/// No record is longer, so what is longer is no record and is cut.
const LINE_MAX: u64 = 512;

/// One router's log, its files opened.
#[derive(Debug)]
pub struct Log {
    /// Where it lies; `None` for standard input.
    pub dir: Option<PathBuf>,
    /// The oldest first.
    files: Vec<File>,
}

impl Log {
    /// Standard input.
    pub fn stdin() -> Self {
        Self {
            dir: None,
            files: Vec::new(),
        }
    }

    /// Hands every line to `take`.
    pub fn lines(&self, mut take: impl FnMut(&str)) -> io::Result<()> {
        if self.dir.is_none() {
            return lines(io::stdin().lock(), &mut take);
        }
        self.files
            .iter()
            .try_for_each(|file| lines(BufReader::with_capacity(1 << 16, file), &mut take))
    }
}

fn lines(mut reader: impl BufRead, take: &mut impl FnMut(&str)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        reader.by_ref().take(LINE_MAX).read_until(b'\n', &mut line)?;
        // A line without an end is being written.
        if line.last() != Some(&b'\n') {
            if line.len() < 512 {
                return Ok(());
            }
            reader.skip_until(b'\n')?;
        }
        take(&String::from_utf8_lossy(&line));
    }
}

/// The logs in these files and directories, each directory's files together.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<Log>> {
    let mut of_dir: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let about = || path.display().to_string();
        if fs::metadata(path).with_context(about)?.is_dir() {
            collect(path, DEPTH, &mut of_dir).with_context(about)?;
        } else {
            let dir = path.parent().unwrap_or(Path::new("")).to_owned();
            of_dir.entry(dir).or_default().push(path.clone());
        }
    }
    of_dir.into_iter().map(|(dir, paths)| open(dir, paths)).collect()
}

fn collect(dir: &Path, depth: u32, of_dir: &mut BTreeMap<PathBuf, Vec<PathBuf>>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let (entry, path) = {
            let entry = entry?;
            (entry.file_type()?, entry.path())
        };
        if entry.is_file() && number(&path).is_some() {
            of_dir.entry(dir.to_owned()).or_default().push(path);
        } else if entry.is_dir() && depth > 0 {
            match collect(&path, depth - 1, of_dir) {
                // A router that goes away takes its directory with it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    Ok(())
}

/// 0 for `nat.log`, 3 for `nat.log.3`.
fn number(path: &Path) -> Option<u32> {
    match path.file_name()?.to_str()?.strip_prefix(NAME)? {
        "" => Some(0),
        rest => rest.strip_prefix('.')?.parse().ok(),
    }
}

/// Opens the newest first: a file that is set aside meanwhile is then met twice and never missed.
fn open(dir: PathBuf, mut paths: Vec<PathBuf>) -> anyhow::Result<Log> {
    paths.sort_by_key(|path| (number(path).unwrap_or(0), path.clone()));
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for path in &paths {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.with_context(|| path.display().to_string())?,
        };
        let data = file.metadata()?;
        if seen.insert((data.dev(), data.ino())) {
            files.push(file);
        }
    }
    files.reverse();
    Ok(Log {
        dir: Some(dir),
        files,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_files_of_each_router_are_read_the_oldest_first_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("i/routers/1"), dir.path().join("i/routers/2"));
        for router in [&one, &two] {
            fs::create_dir_all(router).unwrap();
        }
        for (name, text) in [
            ("nat.log", "new\nhalf"),
            ("nat.log.10", "oldest\n"),
            ("nat.log.2", "older\n"),
            ("cloud.log", "x\n"),
            ("nat.log.gz", "x\n"),
        ] {
            fs::write(one.join(name), text).unwrap();
        }
        fs::write(two.join("nat.log"), "other\n").unwrap();
        let logs = find(&[dir.path().to_owned()]).unwrap();
        let read = |log: &Log| {
            let mut all = Vec::new();
            log.lines(|line| all.push(line.trim_end().to_owned())).unwrap();
            all
        };
        assert_eq!(
            logs.iter().map(read).collect::<Vec<_>>(),
            [vec!["oldest", "older", "new"], vec!["other"]]
        );
        assert_eq!(logs[1].dir, Some(two));
    }

    #[test]
    fn what_is_no_text_and_has_no_end_is_neither_kept_nor_an_error() {
        let text = [vec![0xff; 2_000], b"\nnext\n".to_vec()].concat();
        let mut seen = Vec::new();
        lines(&text[..], &mut |line: &str| seen.push(line.len())).unwrap();
        assert_eq!((seen.len(), seen[1]), (2, 5));
    }
}
