// SPDX-License-Identifier: Apache-2.0
//! Files that are whole or not there.

use std::fs;
use std::io;
use std::path::Path;

/// Puts `text` into the file: whoever reads it, whenever, sees the old text or the new one, whole. The file is not
/// forced to disk: what lies in a run directory does not outlive the machine's boot anyway.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text)?;
    fs::rename(&fresh, path)
}
