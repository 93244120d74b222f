// SPDX-License-Identifier: Apache-2.0
//! The credentials file: INI as `cs` and CloudMonkey read it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;

use crate::exit::{Unavailable, Usage};

/// Where a server is and who we are to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// `http://127.0.0.1:8080/client/api`.
    pub endpoint: String,
    /// The API key.
    pub key: String,
    /// The secret key; never printed.
    pub secret: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("endpoint", &self.endpoint)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads section `[cloudstack]` of the file.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Unavailable(format!(
                "cannot read the credentials in {}: {e}; is the lab up (outgate lab status --all)? --credentials-file names those of \
                 another server, --instance another lab",
                path.display()
            ))
        })?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let mut inside = false;
        let (mut endpoint, mut key, mut secret) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                inside = line == "[cloudstack]";
            }
            let Some((name, value)) = line.split_once('=').filter(|_| inside) else {
                continue;
            };
            let value = Some(value.trim().to_owned());
            match name.trim() {
                "endpoint" => endpoint = value,
                "key" => key = value,
                "secret" => secret = value,
                _ => {}
            }
        }
        let missing = |name| Usage(format!("[cloudstack] has no {name}"));
        Ok(Self {
            endpoint: endpoint.ok_or_else(|| missing("endpoint"))?,
            key: key.ok_or_else(|| missing("key"))?,
            secret: secret.ok_or_else(|| missing("secret"))?,
        })
    }

    /// Writes the file for its owner alone (mode 0600), whole or not at all.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = format!(
            "[cloudstack]\nendpoint = {}\nkey = {}\nsecret = {}\n",
            self.endpoint, self.key, self.secret
        );
        let draft = path.with_extension("new");
        let _ = std::fs::remove_file(&draft);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path).with_context(|| format!("writing {}", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_nobody_else_may_read_it() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cloudstack.ini");
        let wrote = Credentials {
            endpoint: "http://127.0.0.1:1/client/api".into(),
            key: "k".into(),
            secret: "s=".into(),
        };
        wrote.write(&path).unwrap();
        assert_eq!(Credentials::read(&path).unwrap(), wrote);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(!format!("{wrote:?}").contains("s="));
    }

    #[test]
    fn a_missing_entry_is_named() {
        let error =
            Credentials::parse("[cloudstack]\nendpoint = x\nkey = y\n[other]\nsecret = z\n").unwrap_err();
        assert_eq!(error.to_string(), "[cloudstack] has no secret");
    }
}
