// SPDX-License-Identifier: Apache-2.0
//! Secrets are stored sealed with a key that lives in a file of its own, readable by the server's user only. Nothing
//! here prints a secret or a key.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;

/// What can go wrong with secrets.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key file cannot be used.
    #[error("the key file {path} cannot be used: {reason}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
    /// A secret does not open: another key sealed it, or it was changed.
    #[error(
        "a stored secret cannot be opened: the key file does not belong to this store, or the secret was changed"
    )]
    NotOurs,
}

/// Seals and opens secrets with ChaCha20-Poly1305 (RFC 8439).
pub struct Sealer {
    cipher: ChaCha20Poly1305,
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealer")
    }
}

impl Sealer {
    /// Reads the key file, or makes it when `may_create` and it is not there.
    ///
    /// # Errors
    /// When the file cannot be read or made, has a wrong length, or others may read it.
    pub fn open(path: &Path, may_create: bool) -> Result<Self, SecretError> {
        let fail = |reason: String| SecretError::KeyFile {
            path: path.to_owned(),
            reason,
        };
        if may_create && !path.exists() {
            create_key(path).map_err(|e| fail(e.to_string()))?;
        }
        let mut file = File::open(path).map_err(|e| {
            fail(format!(
                "{e}; it was made together with the store: restore it from the same backup"
            ))
        })?;
        let mode = file
            .metadata()
            .map_err(|e| fail(e.to_string()))?
            .permissions()
            .mode()
            & 0o777;
        if mode & 0o077 != 0 {
            return Err(fail(format!(
                "others may read it (mode {mode:o}); make new keys, or chmod 600 it"
            )));
        }
        let mut key = Vec::with_capacity(KEY_BYTES + 1);
        Read::by_ref(&mut file)
            .take(64)
            .read_to_end(&mut key)
            .map_err(|e| fail(e.to_string()))?;
        let key: [u8; KEY_BYTES] = key
            .try_into()
            .map_err(|k: Vec<u8>| fail(format!("{} bytes instead of {KEY_BYTES}", k.len())))?;
        Ok(Self {
            cipher: ChaCha20Poly1305::new(&Key::from(key)),
        })
    }

    /// Seals `secret` for `context` (such as the id of its user): base64 of a random nonce and the ciphertext.
    ///
    /// # Errors
    /// Only for secrets beyond the cipher's limit of 256 GiB.
    pub fn seal(&self, context: &str, secret: &str) -> Result<String, SecretError> {
        let nonce: [u8; NONCE_BYTES] = rand::random();
        let payload = Payload {
            msg: secret.as_bytes(),
            aad: context.as_bytes(),
        };
        let sealed = self
            .cipher
            .encrypt(&Nonce::from(nonce), payload)
            .map_err(|_| SecretError::NotOurs)?;
        Ok(STANDARD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what [`Sealer::seal`] made for the same `context`.
    ///
    /// # Errors
    /// When it was made with another key or for another context, or was changed.
    pub fn open_secret(&self, context: &str, sealed: &str) -> Result<String, SecretError> {
        let bytes = STANDARD.decode(sealed).map_err(|_| SecretError::NotOurs)?;
        let (nonce, sealed) = bytes
            .split_first_chunk::<NONCE_BYTES>()
            .ok_or(SecretError::NotOurs)?;
        let payload = Payload {
            msg: sealed,
            aad: context.as_bytes(),
        };
        let opened = self
            .cipher
            .decrypt(&Nonce::from(*nonce), payload)
            .map_err(|_| SecretError::NotOurs)?;
        String::from_utf8(opened).map_err(|_| SecretError::NotOurs)
    }
}

/// Writes a new key beside `path` and renames it, so that a crash leaves no half key.
fn create_key(path: &Path) -> std::io::Result<()> {
    let key: [u8; KEY_BYTES] = rand::random();
    let new = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(&key)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_with_the_same_key_and_context_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        let sealed = Sealer::open(&path, true)
            .unwrap()
            .seal("alice", "s3cret")
            .unwrap();
        let again = Sealer::open(&path, false).unwrap();
        assert_eq!(again.open_secret("alice", &sealed).unwrap(), "s3cret");
        assert!(again.open_secret("bob", &sealed).is_err());
        let other = Sealer::open(&dir.path().join("other.key"), true).unwrap();
        assert!(other.open_secret("alice", &sealed).is_err());
        assert!(!sealed.contains("s3cret"));
    }

    #[test]
    fn the_key_file_is_for_its_owner_only_and_a_readable_or_truncated_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret.key");
        Sealer::open(&path, true).unwrap();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        assert!(
            Sealer::open(&path, true)
                .unwrap_err()
                .to_string()
                .contains("others may read it")
        );
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, [7; 16]).unwrap();
        assert!(
            Sealer::open(&path, true)
                .unwrap_err()
                .to_string()
                .contains("16 bytes instead of 32")
        );
    }

    #[test]
    fn a_missing_key_file_is_not_made_anew_for_a_store_that_has_secrets() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Sealer::open(&dir.path().join("secret.key"), false).is_err());
    }
}
