// SPDX-License-Identifier: Apache-2.0
//! What can go wrong with interfaces.

use std::io;

/// Why an interface, address or route could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no interface of that name.
    #[error("Interface {name} not found")]
    NotFound {
        /// Its name: `eth2`.
        name: String,
    },
    /// There is one of that name already.
    #[error("Interface {name} exists already")]
    Exists {
        /// Its name.
        name: String,
    },
    /// The kernel refused.
    #[error("{doing} failed: {source}")]
    Refused {
        /// What was being done: `adding address 10.1.1.1/24 to eth0`.
        doing: String,
        /// Why.
        source: io::Error,
    },
    /// The kernel's answer was not understood, or none came.
    #[error("{doing} failed: {reason}")]
    Protocol {
        /// What was being done.
        doing: String,
        /// What was wrong with the answer.
        reason: String,
    },
    /// There is no netlink socket to be had.
    #[error("opening a netlink socket failed: {source}")]
    Socket {
        /// Why.
        source: io::Error,
    },
}

impl LinkError {
    /// An error that is not about one interface.
    pub(super) fn new(doing: impl Into<String>, error: rtnetlink::Error) -> Self {
        let doing = doing.into();
        match error {
            rtnetlink::Error::NetlinkError(message) => Self::Refused {
                doing,
                source: message.to_io(),
            },
            other => Self::Protocol {
                doing,
                reason: other.to_string(),
            },
        }
    }

    /// An error of a request about the interface `name`, whose absence is an error of its own.
    pub(super) fn of_link(name: &str, doing: impl Into<String>, error: rtnetlink::Error) -> Self {
        let error = Self::new(doing, error);
        if error.errno() == Some(libc::ENODEV) {
            Self::NotFound {
                name: name.to_owned(),
            }
        } else {
            error
        }
    }

    /// The kernel's error number, when it was the kernel that refused.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } | Self::Socket { source } => source.raw_os_error(),
            Self::NotFound { .. } => Some(libc::ENODEV),
            Self::Exists { .. } => Some(libc::EEXIST),
            Self::Protocol { .. } => None,
        }
    }
}
