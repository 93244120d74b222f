// SPDX-License-Identifier: Apache-2.0
//! Why the kernel, or a program that speaks to it, did not do what was asked.

use std::io;

/// Why an operation on the kernel failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// A program could not be started.
    #[error("{program} could not be started: {reason}; is it installed?")]
    NotStarted {
        /// Its name: `nft`.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// A program ran and refused.
    #[error("{program} refused: {reason}")]
    Refused {
        /// Its name: `nft`.
        program: String,
        /// What it wrote to standard error, at most 2 KiB.
        reason: String,
    },
    /// The kernel refused a request.
    #[error("{doing}: {reason}")]
    Os {
        /// What was asked: `reading net.ipv4.ip_forward`.
        doing: String,
        /// What the system said.
        reason: String,
        /// The errno, 0 when there is none.
        errno: i32,
    },
    /// An answer could not be understood.
    #[error("{doing}: the answer cannot be understood: {reason}")]
    Garbled {
        /// What was asked.
        doing: String,
        /// What is wrong with the answer.
        reason: String,
    },
}

impl KernelError {
    /// A system call's failure while `doing` something.
    pub fn os(doing: impl Into<String>, error: &io::Error) -> Self {
        Self::Os {
            doing: doing.into(),
            reason: error.to_string(),
            errno: error.raw_os_error().unwrap_or(0),
        }
    }

    /// The errno behind this error, if the kernel gave one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Os { errno, .. } if *errno != 0 => Some(*errno),
            _ => None,
        }
    }
}
