// SPDX-License-Identifier: Apache-2.0
//! Kernel parameters by dotted name (`net.ipv4.ip_forward`), under /proc/sys. Those under `net` belong to the calling
//! thread's network namespace.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use crate::KernelError;

/// The kernel's own limit for most parameters; longer values are cut.
const VALUE_MAX: usize = 4_096;

/// The value as /proc/sys shows it, without the newline.
///
/// # Errors
/// When the name is malformed, the parameter does not exist or may not be read.
pub fn read(name: &str) -> Result<String, KernelError> {
    let doing = || format!("reading {name}");
    let mut value = [0; VALUE_MAX];
    // A parameter is given whole by one read: a router looks at some sixty again and again.
    let read = File::open(path(name)?).and_then(|mut file| file.read(&mut value));
    let length = read.map_err(|e| KernelError::os(doing(), &e))?;
    let text = String::from_utf8_lossy(value.get(..length).unwrap_or_default());
    Ok(text.trim_end().to_owned())
}

/// Sets the value.
///
/// # Errors
/// When the name is malformed, the parameter does not exist, may not be written, or the kernel refuses the value.
pub fn write(name: &str, value: &str) -> Result<(), KernelError> {
    let doing = || format!("setting {name} to {value}");
    fs::write(path(name)?, value).map_err(|e| KernelError::os(doing(), &e))
}

/// `net.ipv4.ip_forward` -> `/proc/sys/net/ipv4/ip_forward`. Only letters, digits, `_` and `-` between the dots, so
/// that no name leads elsewhere.
fn path(name: &str) -> Result<PathBuf, KernelError> {
    let fine = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
    };
    if name.len() > 200 || !name.split('.').all(fine) {
        let error = io::Error::new(
            io::ErrorKind::InvalidInput,
            "not the dotted name of a kernel parameter",
        );
        return Err(KernelError::os(format!("sysctl {name:?}"), &error));
    }
    Ok(PathBuf::from("/proc/sys").join(name.replace('.', "/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_read_by_its_dotted_name() {
        assert_eq!(read("kernel.ostype").unwrap(), "Linux");
        assert_eq!(
            read("net.ipv4.no_such_thing").unwrap_err().errno(),
            Some(libc::ENOENT)
        );
    }

    #[test]
    fn a_name_cannot_lead_out_of_proc_sys() {
        for name in [
            "",
            "..",
            "net..ipv4",
            "../etc/passwd",
            "/etc/passwd",
            "net.ipv4.ip_forward\0",
            "a b",
        ] {
            assert!(path(name).is_err(), "{name:?}");
        }
    }
}
