// SPDX-License-Identifier: Apache-2.0
//! The administrator's password, for sessions: kept in a file that only its owner can read.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

use crate::exit::Usage;

/// The longest file that is read, in bytes.
const LONGEST: u64 = 4096;

/// The password in the file; a random one is made and written when there is no file.
pub fn read_or_make(path: &Path) -> anyhow::Result<String> {
    if !path.exists() {
        return make(path);
    }
    let mut file = std::fs::File::open(path).with_context(|| path.display().to_string())?;
    let mode = file.metadata()?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let text = format!(
            "--admin-password-file: others may read {} (mode {mode:o}); chmod 600 it",
            path.display()
        );
        return Err(Usage(text).into());
    }
    let mut text = String::new();
    std::io::Read::by_ref(&mut file)
        .take(LONGEST)
        .read_to_string(&mut text)?;
    let password = text.lines().next().unwrap_or_default();
    if password.is_empty() {
        let text = format!(
            "--admin-password-file: the first line of {} is empty",
            path.display()
        );
        return Err(Usage(text).into());
    }
    Ok(password.to_owned())
}

fn make(path: &Path) -> anyhow::Result<String> {
    let random: [u8; 16] = rand::random();
    let password: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("making {}", path.display()))?;
    writeln!(file, "{password}")?;
    file.sync_all()?;
    Ok(password)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_made_once_and_read_again_by_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        let made = read_or_make(&path).unwrap();
        assert_eq!(made.len(), 32);
        assert_eq!(read_or_make(&path).unwrap(), made);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read_or_make(&path).unwrap_err().to_string().contains("chmod 600"));
    }

    #[test]
    fn an_empty_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(read_or_make(&path).is_err());
    }
}
