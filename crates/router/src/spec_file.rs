// SPDX-License-Identifier: Apache-2.0
//! The last applied spec on disk, so that a router that starts without a server is what it was.
//!
//! A file that cannot be read in full is an error with its reason, never an empty router (weak point W8 of CloudStack's
//! own router).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use outgate_model::RouterSpec;

use crate::RouterError;

const NAME: &str = "spec.json";
/// A spec larger than the control socket would take was not written by a router.
const SIZE_MAX: u64 = 64 * 1024 * 1024;

/// `spec.json` in the router's directory.
#[derive(Debug, Clone)]
pub struct SpecFile {
    dir: PathBuf,
}

impl SpecFile {
    /// The file in this directory.
    pub fn in_dir(dir: impl AsRef<Path>) -> Self {
        Self {
            dir: dir.as_ref().to_owned(),
        }
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.dir.join(NAME)
    }

    /// The spec that was applied last; `None` if none ever was.
    ///
    /// # Errors
    /// When the file is there but cannot be read, is no spec, or the spec is not valid.
    pub fn load(&self) -> Result<Option<RouterSpec>, RouterError> {
        let path = self.path();
        let refused = |reason: &dyn ToString| {
            RouterError::failed(
                format!("reading {}", path.display()),
                format!(
                    "{}; it is not read as empty: apply the spec again or remove the file",
                    reason.to_string()
                ),
            )
        };
        let text = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(refused(&error)),
            Ok(data) if data.len() > SIZE_MAX => return Err(refused(&"it is larger than 64 MiB")),
            Ok(_) => fs::read(&path).map_err(|e| refused(&e))?,
        };
        let spec: RouterSpec = serde_json::from_slice(&text).map_err(|e| refused(&e))?;
        spec.validate()
            .map_err(|problems| refused(&RouterError::bad_spec(&problems)))?;
        Ok(Some(spec))
    }

    /// Writes the spec so that after a crash at any moment either the old or the new one is there, whole.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn save(&self, spec: &RouterSpec) -> Result<(), RouterError> {
        let written = serde_json::to_vec(spec)
            .map_err(io::Error::from)
            .and_then(|text| self.replace(&text));
        written.map_err(|e| RouterError::failed(format!("writing {}", self.path().display()), e))
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let new = self.dir.join("spec.json.new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(text)?;
        file.sync_data()?;
        fs::rename(&new, self.path())?;
        File::open(&self.dir)?.sync_all()
    }
}
