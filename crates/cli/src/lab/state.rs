// SPDX-License-Identifier: Apache-2.0
//! Where a lab keeps its files, and what is remembered about its supervisor.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use crate::exit::Usage;

/// A lab's name: lower-case letters, digits and hyphens, 1 to 20, starting with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance(String);

impl FromStr for Instance {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let tame = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let fits = (1..=20).contains(&text.len());
        if fits && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(tame) {
            Ok(Self(text.to_owned()))
        } else {
            Err(
                "a name is 1 to 20 lower-case letters, digits and hyphens, and starts with a letter"
                    .to_owned(),
            )
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Instance {
    /// The lab's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where this lab's files are: root's in /var/lib/outgate/labs, others' in `$XDG_STATE_HOME/outgate/labs`.
    pub fn paths(&self) -> anyhow::Result<Paths> {
        Ok(Paths {
            dir: labs_dir()?.join(&self.0),
        })
    }
}

/// The folder that holds every lab of this user.
pub fn labs_dir() -> anyhow::Result<PathBuf> {
    let variable = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    if let Some(dir) = variable("OUTGATE_LABS_DIR") {
        return Ok(dir);
    }
    if nix::unistd::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/outgate/labs"));
    }
    let state = variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .with_context(|| {
            Usage("neither XDG_STATE_HOME nor HOME is set; set one to an absolute path".to_owned())
        })?;
    Ok(state.join("outgate/labs"))
}

/// Every lab of this user, by name, up or not.
pub fn all() -> anyhow::Result<Vec<(Instance, Paths)>> {
    let folders = match std::fs::read_dir(labs_dir()?) {
        Ok(folders) => folders,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e.into()),
    };
    let names = folders.filter_map(|f| f.ok()?.file_name().to_str()?.parse::<Instance>().ok());
    let mut labs = names
        .map(|name| Ok((name.clone(), name.paths()?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    labs.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(labs)
}

/// The files of one lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    dir: PathBuf,
}

impl Paths {
    /// Everything of the lab.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The credentials file, INI.
    pub fn credentials(&self) -> PathBuf {
        self.dir.join("cloudstack.ini")
    }

    /// What is remembered about the supervisor.
    pub fn record(&self) -> PathBuf {
        self.dir.join("supervisor.json")
    }

    /// What the supervisor and the server log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("lab.log")
    }

    /// The private key for SSH into routers; its public half lies beside it.
    pub fn ssh_key(&self) -> PathBuf {
        self.dir.join("id_rsa.cloud")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_leave_its_folder_is_refused() {
        for wrong in ["", "..", "a/b", "A", "1a", "-a", "a b", "abcdefghijklmnopqrstu"] {
            assert!(wrong.parse::<Instance>().is_err(), "{wrong:?}");
        }
        assert!("two-2".parse::<Instance>().is_ok());
    }
}
